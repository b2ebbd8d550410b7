"""Mean of the weights of several runs that began with the same weights.

    python -m recipes.average runs/tuned runs/rewarded --output runs/mean

Models fine-tuned from one another lie in one valley of the error; between them it is often lower than at
either (Izmailov et al. 2018, "Averaging Weights Leads to Wider Optima"; Wortsman et al. 2022, "Model Soups").
Take it where it does better on what validates (`zoo evaluate`). The configuration is the first run's.
"""

from __future__ import annotations

import argparse

import numpy as np

from recipes.training import command_line
from zoo.errors import UserError


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("runs", nargs="+", help="presets, run folders or task folders")
    parser.add_argument("--output", required=True, metavar="FOLDER", help="task folder to write")
    options = parser.parse_args(arguments)

    from zoo.contract.card import UNCALIBRATED, derived
    from zoo.contract.task import load

    task, *others = map(load, options.runs)
    weights = task.weights()
    for path, other in zip(options.runs[1:], others, strict=True):
        more = other.weights()
        shapes = [{name: value.shape for name, value in each.items()} for each in (weights, more)]
        if other.name != task.name or other.vocabulary != task.vocabulary or shapes[0] != shapes[1]:
            raise UserError(f"{path}: this is another network, or knows other words, than {options.runs[0]}.")
        weights = {name: weights[name] + more[name].astype("float32") for name in weights}
    count = len(options.runs)
    task.set_weights({name: np.asarray(value / count, value.dtype) for name, value in weights.items()})
    licences = dict.fromkeys(one.card.get("licence") for one in (task, *others))
    licence = None if None in licences else " and ".join(licences)
    runs = ", ".join(options.runs)
    what = f"The mean of the weights of {count} models; not measured."
    task.uncalibrate()
    task.card = derived(what, f"These are {runs}. {UNCALIBRATED}", runs, licence)
    task.save(options.output)
    print(f"{options.output}: the mean of {count} models; to see how good it is:")
    print(f"  zoo evaluate {options.output} --data CORPUS")


if __name__ == "__main__":
    command_line.command(main)
