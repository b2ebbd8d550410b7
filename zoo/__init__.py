"""A zoo of recurrent sequence models whose exported file is the whole product.

    import zoo
    model = zoo.load("line_ocr_en")
    model.predict(["scan.png"])

Importing ``zoo`` loads neither TensorFlow nor Keras; ``zoo.load`` does, but for an exported file.
"""

import os

# Found by onnxruntime when it is imported, this stops its reports to its maker; see export/runtime.py.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"


def load(name):
    """Load a model.

    Args:
        name: a preset's name (``zoo list``), a task or run folder, an ``.onnx`` file that ``zoo export``
            wrote, or an address ``https://…/x.tar.gz#sha256=HEX`` or
            ``hf://owner/repo/path/x.tar.gz[@revision]#sha256=HEX``.

    Returns:
        A ``zoo.contract.task.Task``, or for a file a ``zoo.contract.model.ExportedModel``: both have
        ``predict`` and ``evaluate``.

    Raises:
        zoo.errors.UserError: there is no such model, a file of it has another sha256 than its
            preset.json says, or TensorFlow is not installed.
    """
    from zoo.contract import model
    from zoo.errors import train_extra

    if model.is_file(name):
        return model.ExportedModel(name)
    with train_extra():
        from zoo.contract import task

        return task.load(name)
