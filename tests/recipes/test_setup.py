"""What is learned and what validates, and the preset that a run begins with."""

import argparse
import shutil
import sys

import keras
import pytest
from helpers import own_card

from recipes import line_ocr
from recipes.training import command_line, setup
from recipes.training.schedule import Schedule
from zoo.backend import gpu_precision
from zoo.contract import task as tasks
from zoo.data.splitting import levels_by_name
from zoo.errors import UserError
from zoo.families.line_ocr.corpus import load_lines
from zoo.families.line_ocr.network import LineOcr


def options(**given):
    usual = {"data": ["lines"], "validation": None, "hold_out": None, "allow_skipped": False}
    return argparse.Namespace(**(usual | given))


def parted(corpus, **given):
    learn, check = setup.split(corpus, options(**given), load_lines, "lines", levels_by_name)
    assert len(learn) and len(check)
    return learn, check


@pytest.fixture
def two(line_folder, tmp_path):
    """Two corpora of twenty lines each, ``lines`` and ``lines-2``."""
    return [line_folder, shutil.copytree(line_folder, tmp_path / "more" / "lines")]


def test_what_is_kept_aside_is_told(two, capsys):
    corpus = load_lines(two)
    learn, check = parted(corpus)
    assert {*learn.names, *check.names} == set(corpus.names) and len(check) == 4
    assert parted(corpus)[1].names == check.names
    part = "18 to learn, 2 held out (single lines)"
    assert capsys.readouterr().out == f"lines: {part}; lines-2: {part}.\n" * 2


def test_what_is_kept_aside_may_be_named(two, line_folder, capsys):
    corpus = load_lines(two)
    learn, check = parted(corpus, hold_out="^lines-2/")
    assert len(check) == len(learn) == 20
    told = "lines: 20 to learn, 0 held out; lines-2: 0 to learn, 20 held out.\n"
    assert capsys.readouterr().out == told
    learn, check = parted(corpus, validation=[line_folder])
    assert len(learn) == 40 and len(check) == 20


@pytest.mark.parametrize(
    "given, shown",
    [
        ({}, 18 * 18),
        ({"action": "train"}, 18),
        ({"training.batch_size": "4"}, 90),
    ],
)
def test_few_lines_are_shown_often_where_a_preset_learns_them(line_folder, given, shown, capsys):
    """Eighteen lines in batches of sixteen are two steps; twenty are wanted."""
    usual = {"action": "finetune", "training.batch_size": None, "training.schedule": Schedule}
    learn, check = parted(load_lines([line_folder]), **(usual | given))
    assert (learn.shown(), check.shown(), len(learn)) == (shown, 2, 18)
    assert ("which are 20 steps." in capsys.readouterr().out) == (shown > 18)


@pytest.mark.parametrize("bad, stops", [(2, False), (3, True)])
def test_a_corpus_of_which_much_cannot_be_used(line_folder, tmp_path, bad, stops):
    """Twenty lines are good; above a tenth of all that is bad, a person has to say so."""
    folder = shutil.copytree(line_folder, tmp_path / "lines")
    for i in range(bad):
        (folder / f"bad{i}.gt.txt").write_text("text without an image")
    corpus = load_lines([folder])
    assert len(corpus) == 20 and len(corpus.skipped) == bad
    if stops:
        with pytest.raises(UserError, match="^lines: 3 of 23 lines cannot be used, .*--allow-skipped$"):
            parted(corpus)
    parted(corpus, allow_skipped=stops)


@pytest.mark.parametrize(
    "pattern, complaint",
    [
        ("[", "no regular expression"),
        ("nothing", "matches none of the 20 lines; they are called lines/book0_000, "),
        (".", "matches all of the 20 lines; "),
    ],
)
def test_what_cannot_be_kept_aside(pattern, complaint, line_folder):
    with pytest.raises(UserError, match=complaint):
        parted(load_lines(line_folder), hold_out=pattern)


def test_the_file_of_the_cache_is_for_what_is_learned(line_folder, small_reader, tmp_path, capsys):
    corpus = load_lines(line_folder)
    schedule = Schedule(cache=str(tmp_path / "kept"))
    setup.pipeline(small_reader, corpus.sample(5), schedule, check=True)
    assert not (tmp_path / "kept").exists()
    assert capsys.readouterr().out == ""
    setup.pipeline(small_reader, corpus, schedule)
    assert (tmp_path / "kept").is_file()
    assert capsys.readouterr().out.startswith(f"{tmp_path}/kept: 20 decoded samples, ")


def test_what_defines_a_run(small_reader):
    given = options(
        **{"training.epochs": "3", "model.height": None, "action": "train", "output": "runs/mine"}
    )
    found = setup.settings(small_reader, Schedule(epochs=3), given)
    assert found.pop("training")["epochs"] == 3 and found.pop("model")["height"] == 24
    about = {"recipe": "line_ocr", "action": "train", "data": ["lines"], "validation": None, "hold_out": None}
    assert found == about


def test_seed_and_precision():
    def drawn(**schedule):
        setup.set_up(Schedule(**schedule))
        return keras.random.normal((3,)).numpy().tolist(), keras.config.dtype_policy().name

    try:
        first, policy = drawn(seed=3, precision="mixed_bfloat16")
        assert policy == "mixed_bfloat16"
        assert drawn(seed=3) == (first, gpu_precision() or "float32")
        assert drawn(seed=4)[0] != first
    finally:
        keras.config.set_dtype_policy("float32")


# === The preset ===


@pytest.fixture
def preset(small_reader, tmp_path):
    small_reader.save(tmp_path / "preset")
    return str(tmp_path / "preset")


def load(preset, *given, cls=LineOcr):
    parser = argparse.ArgumentParser()
    command_line.add_fields(parser, "model", cls.Config)
    found = parser.parse_args(given)
    found.preset = preset
    return setup.load_preset(found, cls)


def test_a_preset_may_be_changed_where_its_weights_fit(preset, small_reader):
    task = load(preset)
    assert task.config == small_reader.config
    changed = load(preset, "--model.dropout", "0.4")
    assert changed.config.dropout == 0.4
    for path, value in task.weights().items():
        assert (changed.weights()[path] == value).all()


def test_what_does_not_fit_a_preset(preset):
    with pytest.raises(UserError) as error:
        load(preset, "--model.units", "32", "--model.dropout", "0.4")
    assert str(error.value) == (
        f"--model.units 32 --model.dropout 0.4 does not fit {preset}, whose weights are for 24, 0.2; leave "
        "it out, or train from nothing."
    )


def test_a_preset_of_another_family(preset):
    from zoo.families.char_lm.network import CharLm

    with pytest.raises(UserError, match="is a model for line_ocr; give one for char_lm"):
        load(preset, cls=CharLm)


def test_unknown_characters_ask_for_a_decision(preset, small_reader, draw_line, tmp_path, capsys):
    from PIL import Image

    folder = tmp_path / "greek"
    folder.mkdir()
    for i, text in enumerate(["λόγος fox", "the θεός", "dog φύσις", "five ψυχή"]):
        Image.fromarray(draw_line(text)).save(folder / f"{i}.png")
        (folder / f"{i}.gt.txt").write_text(text, encoding="utf-8")
    given = ["finetune", "--preset", preset, "--data", str(folder), "--training.epochs", "1", "--output"]
    with pytest.raises(UserError, match=r"characters \(.*λ.*add --extend to learn them"):
        line_ocr.main([*given, str(tmp_path / "no")])
    assert not (tmp_path / "no").exists()
    line_ocr.main([*given, str(tmp_path / "yes"), "--extend"])
    new = tasks.load(tmp_path / "yes").vocabulary.characters
    old = small_reader.vocabulary.characters
    assert new[: len(old)] == old and "λ" in new
    assert "3 lines to learn from (321 an epoch), 1 to validate on; none left out." in capsys.readouterr().out
    line_ocr.main([*given, str(tmp_path / "left_out"), "--ignore-unknown"], prog=f"zoo finetune {preset}")
    assert tasks.load(tmp_path / "left_out").vocabulary == small_reader.vocabulary
    assert f"\nzoo finetune {preset} --data " in own_card(tmp_path / "left_out", preset)


# === Options of a whole recipe ===


@pytest.fixture
def complaint(monkeypatch, capsys):
    """A function that gives what the recipe, in this process, says when it refuses what is given."""

    def complaint(*arguments):
        monkeypatch.setattr(sys, "argv", ["line_ocr", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            command_line.command(line_ocr.main)
        said = capsys.readouterr().err
        assert ended.value.code == 2 and "Traceback" not in said
        return said

    return complaint


@pytest.mark.parametrize(
    "option, message",
    [
        (["--model.height", "tall"], "--model.height must be a whole number, e.g. 40; got tall."),
        (["--training.precision"], "expected one argument"),
        (["--training.precision", "half"], "--training.precision must be one of auto, float32"),
        (["--model.colour", "3"], "unrecognized"),
        (["--hold-out", "["], "no regular expression"),
        (["--data", "nowhere"], "nowhere"),
    ],
)
def test_bad_options(option, message, line_folder, tmp_path, complaint):
    assert message in complaint("train", "--data", line_folder, "--output", tmp_path / "run", *option)
    assert not (tmp_path / "run").exists()


def test_lines_none_of_which_can_be_learned(tmp_path, draw_line, complaint):
    from PIL import Image

    for i in range(4):
        Image.fromarray(draw_line("a")).save(tmp_path / f"{i}.png")
        (tmp_path / f"{i}.gt.txt").write_text("far too long for so narrow an image" * 4)
    said = complaint("train", "--data", tmp_path, "--output", tmp_path / "run")
    assert "none of these lines can be learned" in said and said.count("skipped: ") == 3
