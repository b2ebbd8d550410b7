"""Calibrate a model: fit a map from its confidences to the probability that it is right, and store it.

    python -m recipes.calibrate runs/mine --data held_out.tar.gz
    python -m recipes.calibrate line_ocr_en --data books_en.tar.gz --only '/[bi]' --output mine

MODEL: preset name, task or run folder. The samples must be such that the model has not learned from: on what
it learned it is surer. Recipes do this at their end, on what they validate on; use this for a model that is
older, or is to read other things. Weights stay as they are. docs/confidence.md tells more.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from pathlib import Path

from recipes.training import calibrating, command_line
from zoo import files, hub, registry
from zoo.errors import UserError
from zoo.metrics.confidence import confidence_rows
from zoo.plots.reliability import draw


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", metavar="MODEL", help="preset name, task or run folder")
    parser.add_argument("--data", metavar="CORPUS", nargs="+", required=True, help="file, folder or tar")
    parser.add_argument("--only", metavar="REGEX", help="just the samples whose CORPUS/NAME it matches")
    parser.add_argument("--plot", metavar="FILE.png", help="draw confidence against truth, before and after")
    parser.add_argument("--output", metavar="FOLDER", help="task folder to write; default: MODEL's own")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="json adds all figures")
    options = parser.parse_args(arguments)

    from export.runtime import CONFIDENCE
    from zoo.contract.calibration import calibrated
    from zoo.contract.card import UNCALIBRATED, calibrated_now
    from zoo.contract.task import load_folder

    folder = hub.find(options.model)
    task = load_folder(folder)
    corpus = registry.load_corpus(task.name, options.data, task.reader.config, options.only, progress=True)
    new, before, after = calibrated(task, corpus, sys.stderr.isatty())
    if new is task:
        raise UserError(f"{options.model}: a {task.name} model tells of no confidence to calibrate.")
    print(calibrating.told(before, after))
    for title, reports in (("before", before), ("after", after)):
        for what, unit in (("text", "samples"), ("word", "words")):
            rows = confidence_rows(reports[what], unit) if what in reports else ()
            for name, text in rows:
                print(f"{title:7} {unit:8} {name:11} {text}")
    if options.format == "json":
        print(json.dumps({"before": before, "after": after}))
    if options.plot:
        draw({options.model: {"before": before["text"], "after": after["text"]}}, options.plot)
    changed = {CONFIDENCE: new.assets[CONFIDENCE]}
    card = hub.card(folder)
    if calibrating.MEANING in card or UNCALIBRATED in card:  # the others were written by a person
        text = calibrating.in_card(calibrated_now(card), calibrating.told(before, after))
        changed["card.md"] = text.encode()
    write(folder, options.output or folder, changed)


def write(folder: str | os.PathLike, output: str | os.PathLike, changed: dict[str, bytes]) -> None:
    """A task folder with other ``{file name: bytes}``: its other files stay byte for byte as they are."""
    about = hub.info(folder)
    with files.atomic_folder(output, marker="config.json") as new:
        for file in about["files"]:
            shutil.copyfile(Path(folder) / file, Path(new) / file)
        for name, data in changed.items():
            (Path(new) / name).write_bytes(data)
            about["files"][name] = files.sha256(Path(new) / name)
        about["files"] = dict(sorted(about["files"].items()))
        about["size_bytes"] = sum((Path(new) / file).stat().st_size for file in about["files"])
        raw = (Path(folder) / "preset.json").read_text(encoding="utf-8")
        text = json.dumps(about, ensure_ascii="\\u" in raw, indent=1) + "\n" * raw.endswith("\n")
        (Path(new) / "preset.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    command_line.command(main)
