"""Confidence: none where there is nothing, and the same from Keras, a file and its copied reader."""

import json

import numpy as np
import pytest

import zoo
from export import runtime
from export.onnx_file import to_onnx
from zoo.contract.calibration import _with
from zoo.errors import UserError

WHITE = np.full((48, 400), 255, np.uint8)
NOTHING = {  # what has nothing to be read, heard or seen in it
    "line_ocr_en": [WHITE, WHITE // 2],
    "line_ocr_arabic": [WHITE],
    "script_arabic": [WHITE],
    "deep_speech_digits": [np.zeros(16000, np.float32)],
    "deep_speech_en": [np.zeros(16000, np.float32)],
    "translator_en_de": ["", " "],
    "sentiment_en": ["", " "],
    "captioner_flickr8k": [np.full((224, 224, 3), 90, np.uint8)],
    "actions_msr3d": [np.zeros((40, 60))],
    "wrist_activity": [np.zeros((200, 3)), np.full((50, 3), 31.0)],
    "video_moving_digits": [np.zeros((9, 64, 64, 3), np.uint8)],
}
REFUSED = {  # the same, where it is an error
    "ink_formulae": [np.zeros((2, 3)), np.zeros((0, 3))],
    "qa_babi": ["", {"question": "Where is Mary?", "context": ""}],
    "voice_de_kerstin": ["", "?!"],
    "wrist_activity": [np.full((50, 3), np.nan)],
}
MAPS = {"text": [0.7, 0.4, -0.3], "word": [1.2, 0.8, 0.1]}


@pytest.mark.parametrize("name", NOTHING)
def test_nothing_read_is_not_certainty(name):
    found = zoo.load(name).predict(NOTHING[name], details=True)
    assert [one.confidence for one in found] == [0] * len(found) and found


@pytest.mark.parametrize("name", REFUSED)
def test_nothing_to_read_is_refused(name):
    found = zoo.load(name).predict(REFUSED[name], details=True, errors="return")
    assert found and all(isinstance(one, UserError) for one in found)


def test_what_reads_as_noise_is_doubtful():
    random = np.random.default_rng(0)
    coarse = np.kron(random.random((7, 80)), np.ones((7, 7)))
    smooth = sum(np.roll(coarse, shift, axis) for axis in (0, 1) for shift in range(-3, 4)) / 14
    pixels = np.clip(128 + 60 * (smooth - smooth.mean()) / smooth.std(), 0, 255).astype(np.uint8)
    for name in ("line_ocr_en", "line_ocr_latin", "line_ocr_fraktur"):
        (line,) = zoo.load(name).predict([pixels], details=True)
        assert line.text and line.confidence < 0.05, (name, line.text, line.confidence)


@pytest.mark.slow
def test_a_file_is_as_sure_as_its_task(tmp_path, draw_line):
    task, path = _with(zoo.load("line_ocr_en"), MAPS), tmp_path / "line.onnx"
    to_onnx(task, str(path))
    lines = [draw_line("Figure 7 shows 1991.", size=32), WHITE]
    plain = [one.confidence for one in _with(task, None).predict(lines, details=True)]
    for options in ({}, {"beam_width": 4}):
        keras = [one.confidence for one in task.predict(lines, details=True, **options)]
        exported = [one.confidence for one in zoo.load(path).predict(lines, details=True, **options)]
        copied = [one.confidence for one in runtime.load(path)(lines, details=True, **options)]
        assert exported == pytest.approx(keras, abs=2e-3) and copied == pytest.approx(keras, abs=2e-3)
        assert keras == pytest.approx([runtime.calibrated(one, MAPS["text"]) for one in plain], abs=2e-3)
    session, metadata = runtime.open_file(path)
    assert json.loads(metadata["asset.confidence.json"]) == MAPS
    image, size = runtime.pad_lines([runtime.read_image(lines[0])])
    (graph,) = session.run(["confidence"], {"image": image, "size": size})
    assert graph[0] == pytest.approx(keras[0], abs=2e-3)  # a host of any language gets it, too
