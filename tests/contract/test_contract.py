"""What every task and every shipped preset keeps: the Task contract."""

import json
import re

import numpy as np
import pytest
from helpers import filmed, formula, scene

import zoo
from zoo import hub
from zoo.contract.serving import Serving
from zoo.contract.task import Task
from zoo.metrics.text import text_error_rates

TEXTS = {
    "line_ocr_en": ["The quick brown fox jumps over the lazy dog.", "Vol. 14, pp. 66-75, 1991 (see Fig. 3)"],
}


@pytest.fixture
def some_input(task, draw_line):
    """What a person might give to this task, or what comes near it without a voice."""
    if task.name == "deep_speech":
        time = np.arange(16000) / 16000
        return (0.1 * np.sin(2 * np.pi * 300 * time) * np.sin(20 * time)).astype("float32")
    if task.name == "translator":
        return "A man in a blue shirt is riding a bicycle."
    if task.name == "char_lm":
        return "The "
    if task.name == "text_classifier":
        return "A film that is as warm as it is wise."
    if task.name == "sequence_classifier":
        steps = np.arange(60)[:, None] / 5 + np.arange(len(task.vocabulary))
        return (task.config.zero + np.sin(steps)).astype("float32")
    if task.name == "ink":
        return formula()
    if task.name == "captioner":
        return scene()
    if task.name == "video_captioner":
        return filmed()
    if task.name == "question_answering":
        return "Where is Mary?"
    if task.name == "speech_synthesis":
        return "Am 3. Mai kam er nach Hause."
    return draw_line("Figure 7 shows 1991.", size=32)


@pytest.fixture(scope="module", params=hub.names())
def preset(request):
    return request.param


@pytest.fixture(scope="module")
def task(preset):
    return zoo.load(preset)


FIRST = {hub.info(hub.find(name))["task"]: name for name in reversed(hub.names())}  # of each family


@pytest.fixture
def of_family(preset):
    """Skips all presets but one of each family, where their weights change nothing."""
    if preset not in FIRST.values():
        pytest.skip("another preset of its family tells")


def test_presets_are_there():
    lines, speech, translation, captions, text, sequences, ink = (
        {"line_ocr_en", "line_ocr_latin", "line_ocr_fraktur", "line_ocr_arabic", "script_arabic"},
        {"deep_speech_digits", "deep_speech_en", "deep_speech_de"},
        {"translator_en_de", "translator_en_fr", "translator_en_de_fixed_context"},
        {"captioner_flickr8k", "video_moving_digits"},
        {"sentiment_en", "qa_babi", "char_lm_shakespeare", "char_lm_c", "char_lm_latex"},
        {"actions_msr3d", "wrist_activity"},
        {"ink_formulae"},
    )
    assert lines | speech | translation | captions | text | sequences | ink <= set(hub.names())


@pytest.mark.slow
def test_the_contract(of_family, task):
    assert isinstance(task, Task) and isinstance(task.serving, Serving)
    example = task.serving.example(3, seed=1)
    assert set(example) == {spec.name for spec in task.serving.inputs}
    for spec in task.serving.inputs:
        assert example[spec.name].dtype == spec.dtype and example[spec.name].ndim == len(spec.shape)
    outputs = task.serving.function(example)
    assert set(outputs) == {spec.name for spec in task.serving.outputs}
    for spec in task.serving.outputs:
        value = np.asarray(outputs[spec.name])
        assert value.dtype == spec.dtype and value.shape[0] == 3 and value.ndim == len(spec.shape)


def test_what_is_said_of_a_preset(preset, task):
    folder = hub.find(preset)
    about = hub.info(folder)
    assert about["name"] == preset and about["task"] == task.name
    assert about["parameters"] == task.network.count_params()
    assert about["licence"] and about["description"]
    assert re.search("wrong|BLEU|bits a character", about["headline"]) and len(about["headline"]) < 120
    assert not re.search("%|CER|WER", about["headline"])
    for figure in about["figures"]:
        assert figure["command"].startswith(f"zoo evaluate {preset} --data ")
        # A share, not percent; words that nobody said count, so that more can be wrong than were said.
        most = {"cer": 1, "wer": 1.5, "cider": 10}.get(figure["metric"], 100)
        assert 0 <= figure["value"] < most and figure["samples"] > 0
    card = hub.card(folder)
    for heading in ("## Figures", "## Data", "## Limits", "## Licence"):
        assert heading in card
    assert json.loads((folder / "config.json").read_text())["task"] == task.name


@pytest.mark.parametrize("name", TEXTS)
def test_reads_rendered_lines(name, draw_line):
    texts = TEXTS[name]
    read = zoo.load(name).predict([draw_line(text, size=32) for text in texts])
    assert text_error_rates(texts, read)["cer"] < 0.05, read


@pytest.fixture
def decoding(task):
    """What makes results repeatable, where some are drawn, and what a question is on."""
    story = "Mary moved to the bathroom. John went to the hallway."
    return {"char_lm": {"seed": 0, "length": 60}, "question_answering": {"story": story}}.get(task.name, {})


@pytest.mark.slow
def test_predicts(task, some_input, decoding):
    alone, twice = task.predict(some_input, **decoding), task.predict([some_input, some_input], **decoding)
    assert twice == 2 * alone and all(isinstance(text, str) for text in twice)
    found = task.predict(some_input, details=True, **decoding)[0]
    assert found.text == alone[0] and 0 <= found.confidence <= 1 and found.to_json()


@pytest.mark.slow
def test_saved_again_it_is_the_same(of_family, task, tmp_path, some_input, decoding):
    task.save(tmp_path / "copy")
    copy = zoo.load(tmp_path / "copy")
    wanted = task.predict(some_input, details=True, **decoding)
    assert copy.predict(some_input, details=True, **decoding) == wanted
    assert copy.card["figures"] == task.card["figures"] and copy.assets == task.assets
