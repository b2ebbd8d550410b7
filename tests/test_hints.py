"""Public signatures have type hints: each parameter, and what is returned."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def lacking(source):
    """What public functions, methods and constructors of a module lack, as sentences."""
    return list(_of_body(ast.parse(source).body, ""))


def _of_body(body, owner):
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from _of_body(node.body, f"{owner}{node.name}.")
        elif isinstance(node, ast.If | ast.Try):
            yield from _of_body([*node.body, *node.orelse], owner)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _is_public(node.name, owner):
            given = node.args
            parameters = [*given.posonlyargs, *given.args]
            if owner and not any(getattr(one, "id", "") == "staticmethod" for one in node.decorator_list):
                parameters = parameters[1:]  # without self, or cls
            parameters += [*given.kwonlyargs, *filter(None, (given.vararg, given.kwarg))]
            bare = [one.arg for one in parameters if one.annotation is None]
            bare += [] if node.returns else ["return"]
            if bare:
                yield f"{owner}{node.name}, line {node.lineno}: {', '.join(bare)}"


def _is_public(name, owner):
    return not name.startswith("_") or bool(owner) and name in ("__init__", "__call__")


@pytest.mark.parametrize("room", ["zoo", "export", "recipes"])
def test_public_signatures_have_hints(room):
    paths = sorted((ROOT / room).rglob("*.py"))
    found = [f"{path.relative_to(ROOT)}: {one}" for path in paths for one in lacking(path.read_text("utf-8"))]
    assert paths and not found, "\n".join(found)


def test_what_lacks_hints_is_found():
    source = """
def f(a, *b, c: int = 1, **d) -> None: ...
def _private(a): ...
class A:
    def __init__(self, a: int): ...
    def g(self) -> int: ...
    @staticmethod
    def h(a) -> int: ...
    def _private(self, a): ...
"""
    assert [one.replace(", line", "").split(": ") for one in lacking(source)] == [
        ["f 2", "a, b, d"],
        ["A.__init__ 5", "return"],
        ["A.h 8", "a"],
    ]
