"""Where something is written on a page: the detector of RapidOCR (Apache-2.0), which has its weights."""

import functools
import logging

import numpy as np

from zoo.errors import UserError

LARGEST = 2000  # pixels of the longer side that the detector looks at; it halves what is larger


@functools.cache
def _engine(threads):
    try:
        from rapidocr import RapidOCR
    except ImportError as error:
        raise UserError(
            f"finding the lines of a page needs RapidOCR ({error}): pip install 'seqzoo[pages]'"
        ) from error
    logging.getLogger("RapidOCR").propagate = False
    return RapidOCR(
        params={
            "Global.log_level": "error",
            "Global.max_side_len": LARGEST,
            "EngineConfig.onnxruntime.intra_op_num_threads": threads or -1,
        }
    )


def find_boxes(pixels, threads=None):
    """Where something is written on a page.

    Args:
        pixels: uint8 ``[height, width, 1 or 3]``.
        threads: processor cores to use; None: all.

    Returns:
        float32 ``[boxes, 4, 2]``, x and y of rectangles, perhaps turned by some degrees: upper left, upper
        right, lower right and lower left corner. There is a little room around the letters.

    Raises:
        UserError: RapidOCR is not installed.
    """
    bgr = np.repeat(pixels, 3, 2) if pixels.shape[2] == 1 else pixels[:, :, ::-1]
    found = _engine(threads)(np.ascontiguousarray(bgr), use_det=True, use_cls=False, use_rec=False)
    return np.zeros((0, 4, 2), np.float32) if found.boxes is None else np.asarray(found.boxes, np.float32)
