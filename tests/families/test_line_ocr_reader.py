"""The reader of lines on a Keras task: what the command and Python share."""

import numpy as np
import pytest
from PIL import Image

from export import runtime
from zoo.errors import UserError


@pytest.fixture(scope="module")
def lines(draw_line, some_texts):
    return [draw_line(text, size=20 + i) for i, text in enumerate(some_texts[:5])]


def test_each_is_what_it_alone_would_get(small_reader, lines):
    together = small_reader.predict(lines, details=True)
    assert all(isinstance(line, runtime.Line) for line in together)
    for image, line in zip(lines, together, strict=True):
        assert small_reader.predict(image) == [line.text]
        assert small_reader.predict(image, details=True)[0].confidence == pytest.approx(
            line.confidence, abs=1e-4
        )


def test_beam_search_on_a_task(small_reader, lines):
    """Of a width of one it is the likeliest prefix; wider ones find none that is less likely."""
    wide = small_reader.predict(lines, beam_width=8)
    found = small_reader.reader.run({"image": lines[0][None, :, :, None], "size": np.array([lines[0].shape])})
    log_probs = found["log_probs"][0, : found["lengths"][0]]
    labels, _ = runtime.prefix_beam_search(log_probs, 8)
    assert wide[0] == "".join(small_reader.vocabulary.characters[label - 1] for label in labels)
    with pytest.raises(UserError, match="a beam width is 1 or more, not 0"):
        small_reader.predict(lines, beam_width=0)


@pytest.mark.parametrize("direction", ["ltr", "rtl"])
def test_where_a_known_text_stands(some_texts, lines, direction):
    """Every character has columns of its own, right-to-left ones from the right; others are left out."""
    from zoo.families.line_ocr.network import LineOcr, LineOcrConfig
    from zoo.text.characters import Vocabulary

    letters = "אבגדה" if direction == "rtl" else "the wor"
    config = LineOcrConfig(height=24, filters=(8, 12, 16), units=(8,))
    reader = LineOcr(config, Vocabulary(sorted(letters), direction)).reader
    line = reader.align(lines[0], f"{letters}é{letters[:2]}")
    assert line.text == letters + letters[:2] == "".join(c.character for c in line.characters)
    assert 0 < line.confidence < 1
    starts = [c.start for c in line.characters]
    assert starts == sorted(starts, reverse=direction == "rtl") and len(set(starts)) == len(starts)
    assert all(0 <= c.start < c.end <= lines[0].shape[1] for c in line.characters)
    assert reader.align(lines[0], "é").characters == []
    with pytest.raises(UserError, match="too short for its text of 900 characters"):
        reader.align(lines[0], letters[0] * 900)


def test_what_was_read_stands_where_it_was_read(small_reader, lines):
    (line,) = small_reader.predict(lines[0], details=True)
    found = small_reader.reader.align(lines[0], line.text)
    assert found.text == line.text
    for one, other in zip(found.characters, line.characters, strict=True):
        assert one.start <= other.end and other.start <= one.end


def test_bad_images_raise_or_take_their_place(small_reader, lines, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no image")
    given = [lines[0], tmp_path / "bad.png", lines[1]]
    with pytest.raises(UserError, match="bad.png"):
        small_reader.predict(given)
    one, bad, two = small_reader.predict(given, errors="return")
    assert [one, two] == small_reader.predict(lines[:2]) and isinstance(bad, UserError)


def test_a_blank_line_is_nothing(small_reader):
    for ground in (255, 0, 127):
        (line,) = small_reader.predict(np.full((40, 600), ground, np.uint8), details=True)
        assert (line.text, line.confidence, line.characters) == ("", 0.0, [])


def test_plot(small_reader, lines, tmp_path):
    small_reader.reader.picture(lines[0], tmp_path / "line.png")
    drawn = np.asarray(Image.open(tmp_path / "line.png").convert("L"))
    scale = 64 / lines[0].shape[0]
    assert drawn.shape[1] == round(lines[0].shape[1] * scale) + 24 and drawn[12:76].min() < 60
    if small_reader.predict(lines[0])[0]:
        assert drawn[80:120].min() < 200  # characters are drawn below
    with pytest.raises(UserError, match="gone.png: "):
        small_reader.reader.picture("gone.png", tmp_path / "none.png")
