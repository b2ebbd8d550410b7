"""``zoo finetune PRESET``: what ``python -m recipes.FAMILY finetune --preset PRESET`` does."""

from __future__ import annotations

import argparse

from zoo import hub
from zoo.cli.train import run_recipe


def main(arguments: list[str]) -> None:
    """Run the recipe of the preset that stands first in ``arguments``; the others are its own."""
    parser = argparse.ArgumentParser(
        prog="zoo finetune", usage="zoo finetune PRESET --data CORPUS [CORPUS ...] --output RUN [options]",
        description="Train a preset further, on your own data.",
        epilog="`zoo finetune PRESET --help` lists the options of that preset.",
    )  # fmt: skip
    parser.add_argument("preset", metavar="PRESET", help="preset name, task folder or run folder")
    preset = parser.parse_args(arguments[:1]).preset
    family = hub.info(hub.find(preset)).get("task")
    run_recipe(family, ["finetune", "--preset", preset, *arguments[1:]], f"zoo finetune {preset}")
