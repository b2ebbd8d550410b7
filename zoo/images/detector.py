"""Where something is written on a page: the detector of RapidOCR (Apache-2.0), which has its weights."""

from __future__ import annotations

import functools
import logging

import numpy as np
from PIL import Image

from zoo.errors import UserError

SHORTEST, LONGEST = 736, 2000  # pixels of the sides of what the detector looks at; it was made for such
SMALL = 14  # pixels: where boxes are lower than this, the page is looked at once more, larger
_BEYOND = 20_000  # a limit of the detector's own, out of reach


def find_boxes(pixels: np.ndarray, threads: int | None = None) -> np.ndarray:
    """Boxes around what is written on a page.

    Args:
        pixels: uint8 ``[height, width, 1 or 3]``.
        threads: processor cores to use; None: all.

    Returns:
        float32 ``[boxes, 4, 2]``, x and y of rectangles, perhaps turned by some degrees: upper left, upper
        right, lower right and lower left corner. There is a little room around the letters.

    Raises:
        UserError: RapidOCR is not installed.
    """
    height, width = pixels.shape[:2]
    short, long = min(height, width), max(height, width)
    scale = max(1.0, SHORTEST / short) if long < LONGEST else LONGEST / long
    scale = min(scale, LONGEST / long)
    boxes = _found(pixels, scale, threads)
    if len(boxes) and scale < 1:
        high = np.median(np.hypot(*(boxes[:, 3] - boxes[:, 0]).T)) * scale
        if high < SMALL:  # a newspaper, say
            boxes = _found(pixels, min(1.0, 2 * scale), threads)
    return boxes


def _found(pixels, scale, threads):
    size = tuple(max(32, round(side * scale)) for side in pixels.shape[1::-1])
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    if size != image.size:
        image = image.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    bgr = np.ascontiguousarray(np.asarray(image.convert("RGB"))[:, :, ::-1])
    found = _engine(threads)(bgr, use_det=True, use_cls=False, use_rec=False).boxes
    if found is None:
        return np.zeros((0, 4, 2), np.float32)
    return np.asarray(found, np.float32) * np.float32([pixels.shape[1] / size[0], pixels.shape[0] / size[1]])


@functools.cache
def _engine(threads):
    try:
        from rapidocr import RapidOCR
    except ImportError as error:
        raise UserError(
            f'finding the lines of a page needs RapidOCR ({error}): pip install "seqzoo[pages]"'
        ) from error
    logging.getLogger("RapidOCR").propagate = False
    return RapidOCR(
        params={
            "Global.log_level": "error",
            "Global.max_side_len": _BEYOND,
            "Det.limit_type": "max",
            "Det.limit_side_len": _BEYOND,
            "EngineConfig.onnxruntime.intra_op_num_threads": threads or -1,
        }
    )
