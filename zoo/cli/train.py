"""``zoo train FAMILY``: what ``python -m recipes.FAMILY train`` does."""

from __future__ import annotations

import argparse
import importlib

from zoo import registry
from zoo.backend import import_tensorflow


def main(arguments: list[str]) -> None:
    """Run the recipe of the family that stands first in ``arguments``; the others are its own."""
    about = "\n".join(f"  {name:16} {text}" for name, text in registry.FAMILIES.items())
    parser = argparse.ArgumentParser(
        prog="zoo train", usage="zoo train FAMILY --data CORPUS [CORPUS ...] --output RUN [options]",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Train a model of a family from nothing, on your own data. Families:\n\n" + about,
        epilog="`zoo train FAMILY --help` lists the options of that family.",
    )  # fmt: skip
    parser.add_argument("family", metavar="FAMILY", choices=registry.FAMILIES, help="one of those above")
    family = parser.parse_args(arguments[:1]).family
    run_recipe(family, ["train", *arguments[1:]], f"zoo train {family}")


def run_recipe(family: str, arguments: list[str], prog: str | None) -> None:
    """Run the recipe of a family; ``prog`` is what its help calls the command."""
    import_tensorflow()
    importlib.import_module(f"recipes.{family}").main(arguments, prog)
