"""Modules that are imported when they are first used.

Corpora are read and measured where there is no TensorFlow, too: it is needed to keep and to learn them.
"""

from __future__ import annotations

import importlib


class Late:
    """Stands for a module, which its first attribute imports.

    Args:
        name: as in ``import name``.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name):
        return getattr(importlib.import_module(self._name), name)


tf, tfds = Late("tensorflow"), Late("tensorflow_datasets")
