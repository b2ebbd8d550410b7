"""The version of the package, in a file of its own that whatever is light may import."""

__version__ = "0.1.0"
