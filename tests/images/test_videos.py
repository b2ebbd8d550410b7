"""Videos of all kinds as the frames that a model sees."""

import io
import re
import sys

import numpy as np
import pytest
from PIL import Image

from zoo.errors import UserError
from zoo.images import videos
from zoo.images.videos import MOST_FRAMES, evenly, frames_of, read_features, read_video

SIZE = 16


def clip(frames=12, height=24, width=32):
    """Frames that become lighter: uint8 ``[frames, height, width, 3]``."""
    grey = np.linspace(20, 240, frames).astype("uint8")
    return np.tile(grey[:, None, None, None], (1, height, width, 3))


def shades(video):
    return video.reshape(len(video), -1).mean(1)


def as_gif(frames, duration=100):
    file, pictures = io.BytesIO(), [Image.fromarray(frame) for frame in frames]
    pictures[0].save(file, "GIF", save_all=True, append_images=pictures[1:], duration=duration)
    return file.getvalue()


def as_container(frames, kind="mp4", codec="mpeg4", times=None):
    av = pytest.importorskip("av")
    file = io.BytesIO()
    with av.open(file, "w", format=kind) as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for i, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, "rgb24")
            if times:
                picture.pts = times[i]
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return file.getvalue()


def test_numbers_of_frames():
    assert evenly(5, 9).tolist() == [0, 1, 2, 3, 4]
    assert evenly(101, 5).tolist() == [0, 25, 50, 75, 100]
    assert frames_of(["b/10.png", "b/9.PNG", "b/a.txt", "b/100.jpg"]) == ["b/9.PNG", "b/10.png", "b/100.jpg"]


def test_every_kind_gives_the_same_frames(tmp_path):
    frames = clip()
    (tmp_path / "frames").mkdir()
    for i, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / "frames" / f"f{i}.png")
    np.save(tmp_path / "a.npy", frames)
    (tmp_path / "a.gif").write_bytes(as_gif(frames))
    parts = sorted((tmp_path / "frames").iterdir(), key=lambda path: (len(path.name), path.name))
    kinds = {
        "array": frames, "grey": frames[..., 0], "list": list(frames), "npy": tmp_path / "a.npy",
        "frames": str(tmp_path / "frames"), "gif": tmp_path / "a.gif",
        "bytes": (tmp_path / "a.gif").read_bytes(),
        "parts": {path.name: path.read_bytes() for path in parts},
    }  # fmt: skip
    for kind, item in kinds.items():
        every, some = read_video(item, SIZE, 20), read_video(item, SIZE, 4)
        assert every.shape == (12, SIZE, SIZE, 3) and every.dtype == np.uint8, kind
        np.testing.assert_allclose(shades(every), shades(frames), atol=1, err_msg=kind)
        np.testing.assert_allclose(shades(some), shades(frames)[[0, 4, 7, 11]], atol=1, err_msg=kind)


@pytest.mark.parametrize(
    "kind, codec", [("mp4", "mpeg4"), ("avi", "mpeg4"), ("webm", "libvpx"), ("mov", "mpeg4")]
)
def test_containers(kind, codec, tmp_path):
    frames = clip(30)
    (tmp_path / "a").write_bytes(as_container(frames, kind, codec))
    found = read_video(tmp_path / "a", SIZE, 8)
    np.testing.assert_allclose(shades(found), shades(frames)[evenly(30, 8)], atol=6)


def test_a_frame_that_lasts_counts_as_several(tmp_path):
    frames = clip(4)
    found = shades(read_video(as_gif(frames, [100, 100, 400, 100]), SIZE, 20))
    np.testing.assert_allclose(found, shades(frames)[[0, 1, 2, 2, 2, 2, 3]], atol=1)
    # Of 3 frames one lasts for most of the time.
    found = shades(read_video(as_gif(clip(3), [100, 100, 1600]), SIZE, 4))
    np.testing.assert_allclose(found, shades(clip(3))[[0, 2, 2, 2]], atol=1)
    times = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 30]
    found = shades(read_video(as_container(clip(12), times=times), SIZE, 31))
    assert len(found) == 31 and np.ptp(found[10:30]) < 2 and found[30] - found[29] > 15


def test_transparent_animations_lie_on_white():
    pictures = [Image.new("RGBA", (20, 20), (200, 0, 0, alpha)) for alpha in (0, 255)]
    file = io.BytesIO()
    pictures[0].save(file, "WEBP", save_all=True, append_images=pictures[1:], lossless=True)
    found = read_video(file.getvalue(), SIZE, 4)
    assert (found[0] == 255).all() and (found[1, :, :, 0] == 200).all()


def test_features(tmp_path):
    values = np.arange(60, dtype=float).reshape(20, 3)
    np.save(tmp_path / "a.npy", values)
    for item in (values, tmp_path / "a.npy", (tmp_path / "a.npy").read_bytes()):
        found = read_features(item, 3, 5)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, values[[0, 5, 10, 14, 19]])


BROKEN = {
    "it has one frame": [clip(1), as_gif(clip(1)), as_gif(clip(3)[[1, 1, 1]])],
    "there is no frame in it": [clip(3)[:0], [], {}],
    "it has more than 10,000 frames; cut it": [
        np.zeros((MOST_FRAMES + 1, 8, 8), "uint8"), {f"{i}.png": b"" for i in range(MOST_FRAMES + 1)}
    ],
    "of unequal size, 30x24 and 32x24 pixels|of unequal size, 32x24 and 30x24 pixels": [
        [clip()[0], clip()[0][:, 2:]],
    ],
    "no video can be read of it": [b"", b"no video", b"\0" * 999, b"#EXTM3U\n#EXTINF:9,\nfile:///a\n"],
    "float32 and shape 2x8x8x3 is no video": [np.zeros((2, 8, 8, 3), "float32")],
    "uint8 and shape 5 is no video": [np.zeros(5, "uint8")],
    "this is no list of frames": [[np.zeros((9, 9), "uint8"), np.zeros((9, 9, 3), "uint8")]],
    "nothing is to be seen in 4x4 pixels": [np.zeros((3, 4, 4, 3), "uint8")],
    "no array can be read": [b"\x93NUMPY\1\0 broken"],
    "gone.mp4: cannot be read .no such file": ["gone.mp4"],
}  # fmt: skip


@pytest.mark.parametrize("problem", BROKEN)
def test_what_is_no_video(problem):
    for item in BROKEN[problem]:
        if problem.startswith("no video"):
            pytest.importorskip("av")
        with pytest.raises(UserError, match=problem) as error:
            read_video(item, SIZE, 8)
        assert "\n" not in str(error.value)


def test_broken_files(tmp_path):
    Image.fromarray(clip()[0]).save(tmp_path / "photo.png")
    Image.fromarray(clip()[0]).save(tmp_path / "photo.jpg")
    with pytest.raises(UserError, match="photo.png: it has one frame"):
        read_video(tmp_path / "photo.png", SIZE, 8)
    with pytest.raises(UserError, match="photo.jpg: this is a single image; give a video, or the folder"):
        read_video(tmp_path / "photo.jpg", SIZE, 8)
    (tmp_path / "bad").mkdir()
    for i in range(2):
        (tmp_path / "bad" / f"{i + 1}.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=re.escape(str(tmp_path / "bad" / "1.png"))):
        read_video(tmp_path / "bad", SIZE, 8)
    whole = as_container(clip(200, 64, 64), "avi")
    with pytest.raises(UserError, match=r"damaged, \d+ of 200 frames are left"):
        read_video(whole[: len(whole) // 2], SIZE, 8)
    with pytest.raises(UserError, match="no video can be read of it"):  # its table of contents comes last
        read_video(as_container(clip())[:-300], SIZE, 8)
    for bad, problem in (
        (np.zeros((3, 4)), r"float64 and shape 3x4 .* \[frames, 5\] numbers"),
        (np.full((3, 5), np.nan), "no finite numbers"),
        (np.zeros((MOST_FRAMES + 1, 5)), "more than 10,000"),
    ):
        with pytest.raises(UserError, match=problem):
            read_features(bad, 5, 4)


def test_where_pyav_is_missing_a_sentence_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    (tmp_path / "a.mp4").write_bytes(b"\0\0\0\x18ftypisom")
    with pytest.raises(UserError, match=r'a\.mp4: to read videos, install PyAV: .*"seqzoo\[videos\]"'):
        read_video(tmp_path / "a.mp4", SIZE, 8)
    assert len(read_video(as_gif(clip()), SIZE, 8)) == 8


def test_phones_turn_their_videos(monkeypatch):
    """Frames are turned as the file says, counterclockwise."""
    av = pytest.importorskip("av")
    frames = clip(4)
    frames[:, :12] = 0  # dark above
    data = as_container(frames)

    class Turned:
        def __init__(self, frame):
            self._frame, self.rotation = frame, 90

        def to_ndarray(self, **how):
            return self._frame.to_ndarray(**how)

    decoded = videos._decoded
    monkeypatch.setattr(videos, "_decoded", lambda *given: map(Turned, decoded(*given)))
    found = read_video(data, SIZE, 2)[-1].astype(int)
    assert found[:, :4].mean() < 40 and found[:, -4:].mean() > 180 and av
