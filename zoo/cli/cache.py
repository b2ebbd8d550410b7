"""``zoo cache``: what lies in ``$ZOO_HOME``, and how to be rid of it."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import shutil
from typing import TYPE_CHECKING

from zoo import hub
from zoo.errors import UserError

if TYPE_CHECKING:
    import argparse

KINDS = {
    "corpora": "copies of corpora",
    "downloads": "models from addresses",
    "presets": "presets of your own",
}


def add_arguments(parser: argparse.ArgumentParser, arguments: list[str]) -> None:
    parser.description = (
        f"{parser.description} Corpora are read once, and a copy is kept in {hub.home()}; nothing of it "
        "leaves this computer."
    )
    commands = parser.add_subparsers(metavar="COMMAND", dest="action")
    about = "list what is kept: number and size, since when, and of which file or folder"
    commands.add_parser("show", help=f"{about} (this is the default)", description=f"{about.capitalize()}.")
    about = (
        "remove copies of corpora and downloaded models; they are made or fetched again when they are "
        "needed, so do it while nothing is training"
    )
    clear = commands.add_parser("clear", help=about.partition(";")[0], description=f"{about.capitalize()}.")
    clear.add_argument(
        "what", metavar="WHAT", nargs="*",
        help="a corpus whose copies to remove, or a name that `zoo cache show` lists; default: all",
    )  # fmt: skip


def run(options: argparse.Namespace) -> None:
    found = list(_kept())
    if options.action == "clear":
        return _clear(found, options.what)
    print(f"{hub.home()}: {_size(sum(one['bytes'] for one in found))}, nothing of which leaves this computer")
    for kind, title in KINDS.items():
        of_kind = [one for one in found if one["kind"] == kind]
        if of_kind:
            print(f"\n{title}:")
        rows = [
            (one["name"], one["count"], _size(one["bytes"]), one["day"], one["source"]) for one in of_kind
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for name, count, size, day, source in rows:
            line = f"  {name:{widths[0]}}  {count:>{widths[1]}}  {size:>{widths[2]}}  {day}  {source}"
            print(line.rstrip())


def _clear(found, wanted):
    chosen = [one for one in found if one["kind"] != "presets"]
    if wanted:
        places = {one: os.path.abspath(one) for one in wanted}
        known = {each[key] for each in chosen for key in ("name", "source")}
        for one, place in places.items():
            if not {one, place} & known:
                raise UserError(f"{one}: nothing of this is kept; `zoo cache show` lists what is")
        chosen = [each for each in chosen if {each["name"], each["source"]} & {*wanted, *places.values()}]
    for one in chosen:
        try:
            shutil.rmtree(one["folder"])
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise UserError(f"{one['folder']}: cannot be removed ({reason}); remove it yourself") from error
    size = _size(sum(one["bytes"] for one in chosen))
    print(f"{hub.home()}: {len(chosen)} folder{'s' * (len(chosen) != 1)} removed, {size}")


def _kept():
    """A dict for each folder that is kept: kind, name, folder, bytes, day, source, count."""
    for kind in KINDS:
        place = hub.home() / kind
        for folder in sorted(place.iterdir()) if place.is_dir() else ():
            if not folder.is_dir():
                continue
            about = {"kind": kind, "name": folder.name, "folder": folder, "source": "", "count": ""}
            sizes = [
                os.lstat(os.path.join(at, name)).st_size for at, _, names in os.walk(folder) for name in names
            ]
            day = datetime.date.fromtimestamp(folder.stat().st_mtime).isoformat()
            yield about | {"bytes": sum(sizes), "day": day} | _about(kind, folder)


def _about(kind, folder):
    """Of what a folder is a copy, as far as it tells."""
    if folder.name.startswith("."):
        return {"source": "not finished"}  # of a process that works on it, or was killed
    if kind != "corpora":
        return {}
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        stored = json.loads((folder / hub.ABOUT_COPY).read_text(encoding="utf-8", errors="surrogateescape"))
        plural = "s" * (stored["count"] != 1)
        return {"source": str(stored["source"]), "count": f"{stored['count']:,} {stored['noun']}{plural}"}
    return {"source": "unknown: an earlier version made it"}


def _size(count):
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"
