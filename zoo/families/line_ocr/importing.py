"""Which of the importers reads a file."""

from zoo.errors import UserError
from zoo.families.line_ocr import kraken, tesseract

_EXECUTABLE = (".pth", ".pt", ".pkl", ".pickle", ".ckpt")


def import_model(path, licence):
    """A line reader of another tool, see ``tesseract.import_traineddata`` and ``kraken.import_kraken``.

    Raises:
        UserError: the file is of no kind that is read, or damaged.
    """
    name = str(path).lower()
    if name.endswith(tesseract.SUFFIX):
        return tesseract.import_traineddata(path, licence)
    if name.endswith(kraken.SUFFIXES):
        return kraken.import_kraken(path, licence)
    if name.endswith(_EXECUTABLE):
        raise UserError(
            f"{path}: this is a pickle, which can run any program when it is opened, and is not read; have "
            "its tool save it as .safetensors or .mlmodel"
        )
    raise UserError(
        f"{path}: this is no model that can be imported; give a .traineddata, .mlmodel or .safetensors"
    )
