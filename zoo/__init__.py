"""A zoo of recurrent sequence models whose exported file is the whole product.

    import zoo
    reader = zoo.load("line_ocr_en")
    reader.predict(["scan.png"])

Importing ``zoo`` loads neither TensorFlow nor Keras; ``zoo.load`` does.
"""

__version__ = "0.1.0"


def load(name):
    """Load a task with its weights.

    Args:
        name: a preset's name (``zoo list``), a task or run folder, or an address
            ``https://…/x.tar.gz#sha256=HEX`` or ``hf://owner/repo/path/x.tar.gz[@revision]#sha256=HEX``.

    Returns:
        A ``zoo.task.Task``.

    Raises:
        zoo.errors.UserError: there is no such model, a file of it has another sha256 than its
            preset.json says, or TensorFlow is not installed.
    """
    from zoo.errors import train_extra

    with train_extra():
        from zoo import task

        return task.load(name)
