"""The options of every recipe: what their help says, what they take, and how errors are told."""

import argparse
import dataclasses
import functools
import importlib
import sys

import pytest
from PIL import Image

from recipes.training import command_line
from recipes.training.schedule import Schedule
from zoo import registry
from zoo.contract.config import NotAChoice, check_choices, choices_of, sentences_of
from zoo.errors import UserError


@dataclasses.dataclass(frozen=True)
class Config:
    """What a thing is made of.

    It has no ``height:`` here, and no width.

    Attributes:
        height: pixels that it is scaled to (Author et al. 2015, "Title"), 100 % of them. Widths follow.
        units, filters: of each layer,
            one after another.
        cell: kind of the layers: ``lstm`` or
            another.
        flag: whether it is.
        rate: how fast.
    """

    height: int = 40
    units: tuple = (128, 128)
    filters: tuple = ((2, 2), (1, 1))
    cell: str = "lstm"
    flag: bool = True
    rate: float = 0.5

    def __post_init__(self):
        check_choices(self, cell=("lstm", "gru"))
        if self.height < 0:
            raise ValueError("height is 0 or more")


@dataclasses.dataclass(frozen=True)
class Derived(Config):
    """Another.

    Attributes:
        height: another height.
        more: which only this has.
    """

    more: str = ""


def test_what_a_config_says_of_its_fields():
    assert sentences_of(Config) == {
        "height": "pixels that it is scaled to, 100 % of them",
        "units": "of each layer, one after another",
        "filters": "of each layer, one after another",
        "cell": "kind of the layers: lstm or another",
        "flag": "whether it is",
        "rate": "how fast",
    }
    of_derived = sentences_of(Derived)
    assert of_derived["height"] == "another height" and of_derived["more"] == "which only this has"
    assert of_derived["rate"] == "how fast"
    assert choices_of(Config, "cell") == choices_of(Derived, "cell") == ("lstm", "gru")
    assert choices_of(Config, "height") is None and choices_of(Config, "rate") is None
    with pytest.raises(NotAChoice, match="cell is one of lstm, gru, not 'x'"):
        Config(cell="x")


def read(*arguments, base=None):
    parser = argparse.ArgumentParser()
    command_line.add_fields(parser, "model", Config)
    return command_line.read_fields(parser.parse_args(arguments), "model", Config, base)


def test_values_become_what_their_field_is():
    given = ["--model.height", "7", "--model.units", "3", "--model.rate", "2", "--model.cell", "gru"]
    found = read(*given, "--model.filters", "(3,1),[2,2]", "--model.flag", "false")
    assert found == Config(7, (3,), ((3, 1), (2, 2)), "gru", False, 2.0) and type(found.rate) is float
    assert read("--model.flag", "True").flag is True
    base = Config(height=9, cell="gru")
    assert read("--model.rate", "1e-3", base=base) == dataclasses.replace(base, rate=1e-3)
    assert read() == Config()


@pytest.mark.parametrize(
    "option, text, complaint",
    [
        ("height", "2.5", "--model.height must be a whole number, e.g. 40; got 2.5."),
        ("height", "True", "--model.height must be a whole number, e.g. 40; got True."),
        ("height", "tall", "--model.height must be a whole number, e.g. 40; got tall."),
        ("height", "-1", "--model.*: height is 0 or more."),
        ("rate", "fast", "--model.rate must be a number, e.g. 0.5; got fast."),
        ("flag", "1", "--model.flag must be true or false, e.g. true; got 1."),
        ("units", "a,b", "--model.units must be numbers with commas between them, e.g. 128,128; got a,b."),
        ("cell", "rnn", "--model.cell must be one of lstm, gru; got rnn."),
    ],
)
def test_what_is_of_another_kind(option, text, complaint):
    with pytest.raises(UserError) as error:
        read(f"--model.{option}={text}")
    assert str(error.value) == complaint


@pytest.mark.parametrize(
    "field, value, complaint",
    [
        ("precision", "half", "precision is one of auto, float32"), ("epochs", -1, "epochs is 0 or more"),
        ("batch_size", 0, "batch_size is 1 or more"), ("learning_rate", 0.0, "learning_rate is more than 0"),
        ("warmup", 1.5, "warmup is a share"), ("learning_rate", float("nan"), "learning_rate is more than 0"),
    ],
)  # fmt: skip
def test_schedules_that_cannot_be(field, value, complaint):
    with pytest.raises(ValueError, match=complaint):
        Schedule(**{field: value})


def test_what_a_run_depends_on():
    fast = Schedule(threads=8, cache="none", influence=True)
    assert fast.defining() == Schedule().defining() != Schedule(seed=1).defining()


class Shown(Exception):
    """Instead of what a recipe would do with its options."""


@pytest.fixture
def parsers_of(monkeypatch):
    """A function that gives the parsers of a recipe's ``train`` and ``finetune``."""

    def parse(self, arguments):
        (actions,) = (one for one in self._actions if isinstance(one, argparse._SubParsersAction))
        raise Shown(actions.choices)

    def parsers(family, prog=None):
        monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse)
        with pytest.raises(Shown) as shown:
            importlib.import_module(f"recipes.{family}").main(["train"], prog)
        return shown.value.args[0]

    return parsers


@pytest.mark.parametrize("family", registry.FAMILIES)
def test_every_option_says_what_it_means(family, parsers_of):
    found = parsers_of(family)
    assert found.keys() == {"train", "finetune"}
    for action, parser in found.items():
        for option in parser._actions:
            said = " ".join((option.help or "").split())
            assert len(said) > 10 and "None" not in said, (action, option.option_strings)
            assert not any(mark in said for mark in ("``", "zoo.", "…", "(see ")), said
        text = parser.format_help()
        assert f"python -m recipes.{family} {action} " in text
        assert "--training.epochs" in text and "you need none of these to begin" in text
        assert ("default: the preset's" in text) == (action == "finetune")
        data = next(option for option in parser._actions if option.dest == "data")
        assert "tfds:NAME" in data.help or "folder" in data.help
        usage = " ".join(parser.format_usage().split())
        assert usage.endswith("--data CORPUS [CORPUS ...] --output RUN [options]")


def test_finetune_shows_what_the_preset_has(parsers_of):
    found = parsers_of("line_ocr", "zoo finetune line_ocr_hand_fr")
    helps = {option.dest: option.help for option in found["finetune"]._actions}
    assert helps["model.height"].endswith("default: the preset's, 56)")
    assert helps["model.units"].endswith("default: the preset's, 160,160)")


def test_finetune_may_have_a_schedule_of_its_own(parsers_of):
    found = parsers_of("text_classifier")

    def read(action, *more):
        options, _ = found[action].parse_known_args(["--data", "a", "--output", "b", *more])
        return command_line.read_schedule(options)

    assert read("train") == Schedule() and read("train").epochs == 30
    tuned = read("finetune", "--preset", "c", "--training.learning-rate", "0.1")
    assert tuned.epochs == 10 and tuned.learning_rate == 0.1
    assert "(a whole number; default: 10)" in " ".join(found["finetune"].format_help().split())


def test_the_zoo_command_calls_them_by_its_own_name(parsers_of):
    called = parsers_of("line_ocr", "zoo finetune line_ocr_en")["finetune"]
    usage = " ".join(called.format_usage().split())
    assert usage == "usage: zoo finetune line_ocr_en --data CORPUS [CORPUS ...] --output RUN [options]"
    assert "--preset" not in called.format_help()


@pytest.mark.parametrize("text, value", [("0.5", 0.5), ("0", None), ("1", None), ("half", None)])
def test_shares(text, value):
    if value is None:
        with pytest.raises(argparse.ArgumentTypeError, match="no share between 0 and 1"):
            command_line.share(text)
    else:
        assert command_line.share(text) == value


def test_how_a_command_ends(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["recipe", "a", "b"])
    given = []
    command_line.command(given.extend)
    assert given == ["a", "b"]

    def ended(error):
        def main(arguments):
            raise error

        with pytest.raises(SystemExit) as found:
            command_line.command(main)
        return found.value.code, capsys.readouterr().err

    assert ended(UserError("x.png: broken; mend it.")) == (2, "error: x.png: broken; mend it.\n")
    status, said = ended(KeyboardInterrupt())
    assert status == 130 and "same command again" in said
    status, said = ended(ModuleNotFoundError("No module named 'keras'", name="keras"))
    assert status == 2 and "keras" in said and "pip install" in said


def test_columns_of_tables():
    parser = argparse.ArgumentParser()
    command_line.add_columns(parser, "text", "label")
    assert vars(parser.parse_args([])) == {} and command_line.columns(parser.parse_args([])) is None
    given = parser.parse_args(["--columns", "text=The Body", "label=a=b"])
    assert command_line.columns(given) == {"text": "The Body", "label": "a=b"}
    with pytest.raises(UserError, match="--columns text: give WHAT=COLUMN"):
        command_line.columns(parser.parse_args(["--columns", "text"]))


@pytest.mark.parametrize(
    ("family", "column"), [("text_classifier", "text"), ("translator", "source"), ("deep_speech", "audio")]
)
def test_families_read_columns_by_name(family, column, tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    config = {"source": "en", "target": "de", "sampling_rate": 16000}
    with pytest.raises(UserError, match="there is no column nope; its columns are 'x, y'"):
        registry.load_corpus(family, str(tmp_path / "a.csv"), config, columns={column: "nope"})
    with pytest.raises(UserError, match="--columns what=x: there is no what; name "):
        registry.load_corpus(family, str(tmp_path / "a.csv"), config, columns={"what": "x"})


@pytest.mark.parametrize(("family", "text"), [("line_ocr", "text"), ("captioner", "caption")])
def test_families_of_images_read_columns_by_name(family, text, tmp_path):
    picture = Image.new("L", (40, 20), 255)
    picture.paste(0, (5, 5, 30, 12))
    picture.save(tmp_path / "1.png")
    (tmp_path / "a.csv").write_text("Foto,text,Body Text\n1.png,no,it is this\n")
    (tmp_path / "b.jsonl").write_text('{"Foto": "1.png", "Body Text": "it is this"}\n')
    load = functools.partial(registry.load_corpus, family, config={"image_size": 8})
    for given in (tmp_path / "a.csv", tmp_path / "b.jsonl", tmp_path):
        assert load(str(given), columns={"image": "Foto", text: "Body Text"}).texts == ["it is this"]
    with pytest.raises(UserError, match=f"first line names no .* --columns {text}=NAME"):
        load(str(tmp_path), columns={"image": "Foto", text: "nope"})
    with pytest.raises(UserError, match="--columns what=x: there is no what; name image, "):
        load(str(tmp_path), columns={"what": "x"})
