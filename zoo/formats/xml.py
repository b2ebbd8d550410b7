"""XML as a tree, read safely: nothing outside a file is looked up, and no text grows by entities."""

from __future__ import annotations

import os
from typing import Any
from xml.etree import ElementTree
from xml.parsers import expat

from zoo.errors import UserError


def refuse_entities(parser: Any, name: str | os.PathLike) -> None:
    """Make an expat parser raise UserError where a file declares entities; ``name`` begins its sentence."""

    def refuse(*declaration):
        # Text of a few declared entities, each made of many others, could fill any memory.
        raise UserError(f"{name}: refused, it declares XML entities; export it again without.")

    parser.EntityDeclHandler = refuse


def read_xml(data: bytes, name: str) -> ElementTree.Element:
    """The root of a file, an ``xml.etree.ElementTree.Element`` whose tags and attributes have no namespaces.

    Args:
        data: its bytes.
        name: what begins the sentence of an error.

    Raises:
        UserError: it is no well-formed XML, or declares entities.
    """
    tree, parser = ElementTree.TreeBuilder(), expat.ParserCreate(namespace_separator="}")
    refuse_entities(parser, name)
    parser.buffer_text = True

    def start(tag, attributes):
        tree.start(_local(tag), {_local(key): value for key, value in attributes.items()})

    parser.StartElementHandler = start
    parser.EndElementHandler = lambda tag: tree.end(_local(tag))
    parser.CharacterDataHandler = tree.data
    try:
        parser.Parse(data, True)
        return tree.close()
    except (expat.ExpatError, LookupError, ValueError) as error:  # the latter two for unknown encodings
        if isinstance(error, UserError):
            raise
        raise UserError(f"{name}: this is no well-formed XML ({error}); export it again.") from error


def _local(name):
    return name.rpartition("}")[2]
