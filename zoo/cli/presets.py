"""``zoo list``: of each preset its size, what it is for, and how much of what it says is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo import hub
from zoo.cli.common import complain
from zoo.errors import UserError

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser, arguments: list[str]) -> None:
    pass


def run(options: argparse.Namespace) -> int:
    """Exit status 0; 3 where some presets could not be read, 2 where none could be."""
    rows, failed = [], False
    if not hub.names():
        complain(f"no presets in {hub.PACKAGED} or {hub.home() / 'presets'}")
    for name in hub.names():
        try:
            about = hub.info(hub.folder(name))
            size = f"{about['size_bytes'] / 1e6:.1f} MB" if "size_bytes" in about else ""
            rows.append((name, size, about.get("headline") or about.get("description", "")))
        except UserError as error:
            complain(error)
            failed = True
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for name, size, headline in rows:
        line = f"{name:{widths[0]}}  {size:>{widths[1]}}  {headline}"
        print(line.rstrip())
    return (3 if rows else 2) if failed else 0
