"""The classes of pixel columns: what they are called, and by what a corpus may call them."""

from zoo.errors import UserError


class Classes:
    """The names of the classes that columns may have, in the order of the output rows.

    Args:
        names: list of str. The first is the background: paper between words, and around them.
    """

    BACKGROUND = 0

    def __init__(self, names):
        self.names = list(names)
        if len(set(self.names)) != len(self.names) or not all(self.names) or len(self.names) < 2:
            raise ValueError("Classes have two names or more, each another.")

    def __len__(self):
        """Number of output rows."""
        return len(self.names)

    def __contains__(self, name):
        return name in self.names or name in self._numbers()

    def __eq__(self, other):
        return isinstance(other, Classes) and self.names == other.names

    def row(self, name):
        """The output row of a class, which a corpus may also name by its number from 0.

        Raises:
            UserError: the model has no such class.
        """
        if name in self.names:
            return self.names.index(name)
        if name in self._numbers():
            return int(name)
        raise UserError(
            f"the class {name!r} is none of the model's, which are {', '.join(self.names)}; correct it, or "
            "leave out its lines"
        )

    def _numbers(self):
        return [str(row) for row in range(len(self.names))]

    def to_json(self):
        return {"classes": self.names}

    @classmethod
    def from_json(cls, data):
        """Raises ValueError or KeyError where ``data`` is damaged."""
        return cls(data["classes"])

    def metadata(self):
        """What an exported file says of it."""
        return {"vocabulary": self.to_json()}
