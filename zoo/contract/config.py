"""What a config dataclass says of its fields: the values that each may have, and what each means."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from typing import Any


class NotAChoice(ValueError):
    """A field of a config has none of its few values.

    Attributes:
        field: its name.
        choices: those values.
    """

    def __init__(self, field: str, choices: Iterable, value: Any) -> None:
        self.field, self.choices = field, tuple(choices)
        super().__init__(f"{field} is one of {', '.join(self.choices)}, not {value!r}")


def check_choices(config: Any, **choices: Any) -> None:
    """Raise ``NotAChoice`` where a field of a config has none of the values given for it by its name."""
    for name, values in choices.items():
        if getattr(config, name) not in values:
            raise NotAChoice(name, values, getattr(config, name))


def choices_of(cls: type, field: str) -> Iterable | None:
    """The values that ``check_choices`` allows a field of a config dataclass; None where it checks it not."""
    try:
        cls(**{field: object()})
    except NotAChoice as error:
        return error.choices if error.field == field else None
    except (TypeError, ValueError):  # it is checked in another way
        return None
    return None


def sentences_of(cls: type) -> dict[str, str | None]:
    """``{field: sentence}`` of a dataclass: the first one on each under ``Attributes:`` in its docstring.

    What is not there is looked for in the docstrings of its bases; references to papers are left out.
    """
    found = {}
    for one in reversed(cls.__mro__):
        _, _, block = (one.__doc__ or "").partition("    Attributes:\n")
        block = re.split(r"\n(?=\n|    \S|\S)", block)[0]
        for names, text in re.findall(r"^ {8}(\w[\w, ]*): (.*(?:\n {9,}.*)*)", block, re.MULTILINE):
            text = re.sub(r"\s+", " ", text).replace("``", "")
            text = re.sub(r" \([^()]*(\b\d{4}\b|et al\.)[^()]*\)", "", text)  # (Author et al. 1997)
            sentence = re.split(r"(?<=[^.])\. |\.$", text)[0]
            found |= dict.fromkeys(names.split(", "), sentence)
    return {field.name: found.get(field.name) for field in dataclasses.fields(cls)}
