"""Videos of any kind and length as some of their frames, squares of RGB pixels evenly spread over time.

    read_video("clip.mp4", 224, 16)        # uint8 [16, 224, 224, 3], or fewer where it has fewer
    read_video("frames/", 224, 16)         # the images of a folder, in the order of their numbers

Training, evaluation and reading take their frames from ``read_video`` alone, so that they see the same.
Animated images and folders are read with Pillow; all else with PyAV, which is FFmpeg (``pip install
"seqzoo[videos]"``).
"""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from export import runtime
from zoo import files
from zoo.errors import UserError
from zoo.images.lines import user_errors
from zoo.images.photos import read_photo

VIDEO_SUFFIXES = (
    ".mp4", ".avi", ".gif", ".webm", ".mov", ".mkv", ".m4v", ".mpg", ".mpeg", ".ogv", ".wmv", ".flv", ".3gp",
    ".npy",
)  # fmt: skip
FRAME_SUFFIXES = tuple(suffix for suffix in runtime.IMAGE_SUFFIXES if suffix not in VIDEO_SUFFIXES)
MOST_FRAMES = 10_000  # of one video, over five minutes: no sentence tells what happens in more
_CUT = f"it has more than {MOST_FRAMES:,} frames; cut it into clips of a few seconds"
_ONE = "it has one frame, in which nothing can happen; give a video, or the folder of its frames"
_NONE = "there is no frame in it; copy or convert it again"
# What FFmpeg may read: no playlists, which name other files and hosts, and no text, which it would draw.
_CONTAINERS = (
    "avi,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpeg,mpegvideo,mpegts,ogg,asf,flv,h264,hevc,m4v,ivf,dv"
)
_NPY = b"\x93NUMPY"


@user_errors()
def read_video(item: Any, size: int, most: int, name: str | None = None) -> np.ndarray:
    """Some frames of a video, each stretched to a square; see ``zoo.images.photos.read_photo``.

    Args:
        item: the path or the bytes of a video, an animated image or an ``.npy`` file; the path of a folder of
            images, or ``{file name: bytes}`` of such; a uint8 array ``[frames, height, width]`` or
            ``[frames, height, width, 1 or 3]``, or a list of such images.
        size: side of the squares in pixels.
        most: how many frames to give at most. Of more they are chosen evenly over time, the first and the
            last one among them.
        name: what to call it in messages.

    Returns:
        uint8 ``[frames, size, size, 3]``, RGB, two frames or more.

    Raises:
        UserError: it is missing, damaged, no video, longer than ``MOST_FRAMES``, of one frame, of frames of
            several sizes, or PyAV is needed and not here.
    """
    name = name or (os.fspath(item) if isinstance(item, str | os.PathLike) else "the video")
    if isinstance(item, dict):
        return _of_images([(f"{name}: {one}", data) for one, data in item.items()], size, most, name)
    if isinstance(item, np.ndarray | list | tuple):
        return _of_array(item, size, most, name)
    if isinstance(item, str | os.PathLike) and os.path.isdir(item):
        inside = [str(Path(item, one)) for one in frames_of(files.names_in(item))]
        return _of_images([(one, one) for one in inside], size, most, name)
    with _opened(item, name) as file:
        start = file.read(32)
        file.seek(0)
        if start.startswith(_NPY):
            return _of_array(read_array(file, name), size, most, name)
        if start[:3] == b"GIF" or start[8:12] == b"WEBP" or start[1:4] == b"PNG":
            return _of_animation(file, size, most, name)
        if _is_image(start):
            raise UserError(f"{name}: this is a single image; give a video, or the folder of its frames")
        return _of_container(file, size, most, name)


def read_features(item: Any, width: int, most: int, name: str | None = None) -> np.ndarray:
    """Features of the frames of a video, evenly chosen as ``read_video`` does.

    Args:
        item: the path or the bytes of an ``.npy`` file, or an array ``[frames, width]``.
        width: how many features a frame has.
        most, name: as of ``read_video``.

    Returns:
        float32 ``[frames, width]``.

    Raises:
        UserError: it is missing, damaged, of another shape, not finite, or longer than ``MOST_FRAMES``.
    """
    name = name or (os.fspath(item) if isinstance(item, str | os.PathLike) else "the features")
    if not isinstance(item, np.ndarray):
        with _opened(item, name) as file:
            item = read_array(file, name)
    if item.dtype.kind not in "iuf" or item.ndim != 2 or item.shape[1] != width or not len(item):
        shape = "x".join(map(str, item.shape))
        raise UserError(
            f"{name}: an array of {item.dtype} and shape {shape or 'none'} has no features of frames; give "
            f"one of [frames, {width}] numbers"
        )
    if len(item) > MOST_FRAMES:
        raise UserError(f"{name}: {_CUT}")
    chosen = np.asarray(item[evenly(len(item), most)], np.float32)
    if not np.isfinite(chosen).all():
        raise UserError(f"{name}: some of its features are no finite numbers; compute them again")
    return chosen


def frames_of(names: Iterable[str]) -> list[str]:
    """Of the names of files those of images, in the order of the numbers in them: 2.jpg before 10.jpg."""
    images = [name for name in names if name.lower().endswith(FRAME_SUFFIXES)]
    return sorted(
        images, key=lambda name: [(int(p) if p.isdecimal() else -1, p) for p in re.split(r"(\d+)", name)]
    )


def evenly(count: int, most: int) -> np.ndarray:
    """The numbers of up to ``most`` of ``count`` frames: int ``[chosen]``, with the first and the last."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(int)


# === Where frames come from ===


def _of_array(array, size, most, name):
    try:
        if not isinstance(array, np.ndarray):
            shapes = {np.shape(frame)[:2] for frame in array}
            if len(shapes) > 1:
                raise _unequal(name, *list(shapes)[:2])
            array = np.stack([np.asarray(frame) for frame in array]) if len(array) else np.zeros(0)
    except ValueError as error:
        raise UserError(f"{name}: this is no list of frames ({error}); give arrays of one shape") from error
    if not len(array):
        raise UserError(f"{name}: {_NONE}")
    array = array[..., None] if array.ndim == 3 else array
    if array.dtype != np.uint8 or array.ndim != 4 or array.shape[3] not in (1, 3):
        shape = "x".join(map(str, array.shape))
        raise UserError(
            f"{name}: an array of {array.dtype} and shape {shape} is no video; give uint8 of "
            "[frames, height, width, 3]"
        )
    _check_count(len(array), name)
    return _squares(((f"{name}, frame {i + 1}", array[i]) for i in evenly(len(array), most)), size)


def _of_images(images, size, most, name):
    """Of ``[(name, path or bytes)]``, in their order."""
    _check_count(len(images), name)
    first = None
    for title, image in images:
        with runtime.open_image(image, title, "give another frame") as picture:
            first = first or picture.size
            if picture.size != first:
                raise _unequal(title, picture.size[::-1], first[::-1])
    return _squares((images[i] for i in evenly(len(images), most)), size)


def _of_animation(file, size, most, name):
    """Of GIF, WebP and PNG, whose frames may each be shown for another time."""
    data, lasting, bad = file.read(), [], f"{name}: this animation is damaged; copy or convert it again"
    with _instead(bad), runtime.open_image(data, name, "scale it down") as picture, runtime.damage(name):
        with contextlib.suppress(EOFError):
            while len(lasting) <= MOST_FRAMES:
                picture.seek(len(lasting))
                picture.load()
                lasting.append(picture.info.get("duration") or 100)  # browsers take a tenth of a second then
    _check_count(len(lasting), name)
    chosen, frames = _at_times(np.cumsum([0, *lasting]), most), {}
    with _instead(bad), runtime.open_image(data, name, "scale it down") as picture, runtime.damage(name):
        for i in range(max(chosen) + 1):
            picture.seek(i)
            if i in chosen:
                clear = "A" in picture.mode or "transparency" in picture.info
                frames[i] = picture.convert("RGBA" if clear else "RGB")
    squares = {i: read_photo(frame, size, f"{name}, frame {i + 1}") for i, frame in frames.items()}
    return np.stack([squares[i] for i in chosen])


@contextlib.contextmanager
def _instead(sentence):
    """A sentence in place of what is said of images."""
    try:
        yield
    except runtime.ReaderError as error:
        raise UserError(sentence) from error


def _at_times(edges, most):
    """The numbers of frames to give, of which frame i is shown from ``edges[i]`` to ``edges[i + 1]``.

    A frame that is shown as long as several others counts as so many.
    """
    step = np.median(np.diff(edges))
    count = max(2, round((edges[-1] - edges[0]) / step)) if step > 0 else len(edges) - 1
    times = edges[0] + (evenly(count, most) + 0.5) * (edges[-1] - edges[0]) / count
    return np.clip(np.searchsorted(edges, times, "right") - 1, 0, len(edges) - 2).tolist()


def _of_container(file, size, most, name):
    try:
        import av
    except ImportError as error:
        raise UserError(f'{name}: to read videos, install PyAV: pip install "seqzoo[videos]"') from error
    av.logging.set_level(None)
    options = {"format_whitelist": _CONTAINERS}
    try:
        with av.open(file, container_options=options) as container:
            if not container.streams.video:
                raise UserError(f"{name}: it has no picture, sound alone; give a video")
            times, told = [], container.streams.video[0].frames  # 0 where its head tells nothing
            for packet in container.demux(container.streams.video[0]):
                if packet.size:
                    times.append(packet.pts)
                if len(times) > MOST_FRAMES:
                    raise UserError(f"{name}: {_CUT}")
        if len(times) < 0.9 * told:
            raise _damaged(name, len(times), told)
        _check_count(len(times), name)
        if None in times:
            chosen = evenly(len(times), most).tolist()
        else:
            edges = np.sort(np.array(times, float))
            chosen = _at_times(np.append(edges, edges[-1] + np.median(np.diff(edges))), most)
        file.seek(0)
        frames = {}
        with av.open(file, container_options=options) as container:
            stream = container.streams.video[0]
            runtime.check_pixels(stream.width, stream.height, name, "scale it down")
            count = 0
            for frame in _decoded(container, stream, av.error.FFmpegError):
                if count in chosen:
                    pixels = np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90) % 4)
                    frames[count] = read_photo(
                        np.ascontiguousarray(pixels), size, f"{name}, frame {count + 1}"
                    )
                count += 1
                if count > max(chosen):
                    break
    except av.error.FFmpegError as error:
        raise UserError(
            f"{name}: no video can be read of it ({error.strerror}); copy or convert it again"
        ) from error
    if len(frames) < 0.9 * len(set(chosen)):
        raise _damaged(name, count, len(times))
    known = sorted(frames)
    return np.stack([frames[min(known, key=lambda other, i=i: abs(other - i))] for i in chosen])


def _damaged(name, left, count):
    return UserError(
        f"{name}: this video is damaged, {left} of {count} frames are left; copy or convert it again"
    )


def _decoded(container, stream, failure):
    """The frames of a stream; those of damaged packets are left out."""
    for packet in container.demux(stream):
        with contextlib.suppress(failure):
            yield from packet.decode()


# === Shared ===


def _squares(frames, size):
    return np.stack([read_photo(frame, size, title) for title, frame in frames])


def _check_count(count, name):
    if count > MOST_FRAMES:
        raise UserError(f"{name}: {_CUT}")
    if count < 2:
        raise UserError(f"{name}: {_ONE if count else _NONE}")


def _unequal(name, one, other):
    one, other = ("x".join(map(str, shape[1::-1])) for shape in (one, other))
    return UserError(
        f"{name}: its frames are of unequal size, {one} and {other} pixels; give frames of one size"
    )


def read_array(file: BinaryIO, name: str) -> np.ndarray:
    """The array of an ``.npy`` file. Raises UserError."""
    try:
        return np.load(file, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise UserError(
            f"{name}: no array can be read of it ({error}); save it again with numpy.save"
        ) from error


def _is_image(start):
    with contextlib.suppress(Exception), Image.open(io.BytesIO(start)):
        return True
    return start[:2] in (b"\xff\xd8", b"BM") or start[:4] in (b"II*\0", b"MM\0*")


@contextlib.contextmanager
def _opened(item, name):
    if isinstance(item, bytes):
        yield io.BytesIO(item)
        return
    try:
        with open(item, "rb") as file:
            yield file
    except OSError as error:
        raise UserError(
            f"{name}: cannot be read ({(error.strerror or str(error)).lower()}); check the path"
        ) from error
