"""The card that a run writes: what its model was made from, on what data, figures before and after."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from zoo import registry
from zoo.contract import card as cards
from zoo.data.given import named

if TYPE_CHECKING:
    from zoo.contract.task import Task


def of_run(
    task: Task, settings: dict[str, Any], learn: Any, check: Any, kept: Any = None, unit: str | None = None,
    most: int | None = None,
) -> Callable[[list[dict]], dict[str, Any]]:  # fmt: skip
    """The function from the rows of a run's history, the best one last, to the card of its model then.

    Args:
        task: the ``Task`` before training; one that comes from a preset has that one's card.
        settings: of ``recipes.training.setup.settings``.
        learn, check, kept: samples, see ``recipes.training.keeping.corpora``; or texts.
        unit: what they are, in the plural; by default what the family's corpora consist of.
        most: how many of ``check`` are measured after an epoch; by default all.
    """
    again = settings.get("told", {}).get("kept", ())
    again = sum(name.partition("/")[0] in again for name in learn.names) if again else 0
    sets = {"": len(check) if most is None else min(most, len(check))}
    sets |= {"kept_": len(kept)} if kept is not None else {}
    loaded = task.card.get(cards.LOADED)
    fitted = loaded is not None and loaded["weights_sha256"] != task.weights_sha256()
    counts = {"learned": len(learn) - again, "again": again, "held": len(check), "measured": sets}
    counts["fitted"] = fitted
    return functools.partial(_card, task.reader, task.name, task.card, settings, counts, unit)


def _card(reader, family, base, settings, counts, unit, rows):
    unit, told = unit or reader.unit or reader.reads, settings.get("told", {})
    preset = told.get("origin") or settings.get("preset")
    learned = f"{counts['learned']:,} {unit} of {_listed(settings.get('data', ()))}"
    held = f"{counts['held']:,} {unit}{_how(settings, told)}"
    figures = _figures(reader, rows, settings, counts["measured"], unit)
    date, command = cards.today(), told.get("command", "")
    if preset:
        what = f"{preset}, taught {learned}."
        origin = f"From {preset}"
        origin += f", which was made from {base['made_from']}" if base.get("made_from") else ""
        licence = base.get("licence") or cards.NOT_STATED
        terms = cards.inherited(licence, preset)
    else:
        does, begun = registry.FAMILIES[family], told.get("begun", "")
        nothing = f"nothing but {begun}" if begun else "nothing"
        what = f"{does[0].upper()}{does[1:]}; taught {learned}, from {nothing}."
        origin, licence = f"From {nothing}", cards.NOT_STATED
        terms = cards.NO_PRESET
    again = f"- learned again, so as not to forget: {counts['again']:,} {unit}"
    again = f"{again} of {_listed(settings['keep'])}\n" if counts["again"] else ""
    text = f"""# {told.get("name", family)}

{what}

## Figures

{_table(reader, figures)}

{_chosen(reader, rows, preset, counts["fitted"])}

## Data

- learned: {learned}
{again}- held out, never learned: {held}

{cards.how_made(origin, command)}
## Licence

{terms}
"""
    about = {"description": what, "licence": licence, "date": date, "training_command": command}
    return about | ({"made_from": preset} if preset else {}) | {"figures": figures, "text": text}


def _figures(reader, rows, settings, measured, unit):
    """What was measured after the best epoch, and before the first one where that was."""
    before = rows[0] if not rows[0]["epoch"] else {}
    of = {"": settings.get("validation") or settings.get("data", ()), "kept_": settings.get("keep")}
    found = []
    for start, count in measured.items():
        held = "" if settings.get("validation") and not start else " held out"
        title = f"{count:,} {unit}{held} of {_listed(of[start])}{', not to be forgotten' if start else ''}"
        for metric in reader.metrics:
            value = _value(rows[-1], start, metric.name)
            if value is not None:
                figure = {"set": title, "metric": metric.name, "value": value, "samples": count}
                was = _value(before, start, metric.name)
                found.append(figure | ({} if was is None else {"before": was}))
    return found


def _value(row, start, metric):
    """A metric of a row of the history, which has the error of what is accurate."""
    if metric == "accuracy" and f"{start}error" in row:
        return 1 - row[f"{start}error"]
    return row.get(start + metric)


def _table(reader, figures):
    metrics = {metric.name: metric for metric in reader.metrics}
    lines = []
    for title in dict.fromkeys(one["set"] for one in figures):
        own = [one for one in figures if one["set"] == title]
        columns = ["before", "value"] if "before" in own[0] else ["value"]
        heads = ["before", "now"] if len(columns) > 1 else ["now"]
        lines += ["", f"| {title} | {' | '.join(heads)} |", "|---" * (1 + len(heads)) + "|"]
        for one in own:
            metric = metrics[one["metric"]]
            cells = (metric.form.format(one[name]) for name in columns)
            lines.append(f"| {metric.title} | {' | '.join(cells)} |")
    return "\n".join(lines[1:]) or "None of those that `zoo evaluate` gives was measured."


def _chosen(reader, rows, preset, fitted):
    """How the figures came about."""
    if rows[-1]["epoch"]:
        best = rows[-1]["epoch"]
        text = f"Epoch {best} was the best on these samples, and is kept: on others it may do a little worse."
    else:
        text = f"No epoch was better than {preset}, which is kept as it was."
    if fitted and not rows[0]["epoch"]:
        text += f" Before, {preset} had outputs for what is new in this data, which had learned nothing yet."
    options = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in reader.greedy.items())
    return text + (f" Measured as with `{options}`." if options else "")


def _how(settings, told):
    """How what is held out was chosen, as an end of a sentence."""
    if settings.get("validation"):
        return f" of {_listed(settings['validation'])}"
    if told.get("held_out"):
        return f" ({told['held_out']})"
    return f" (those whose name matches `{settings['hold_out']}`)" if settings.get("hold_out") else ""


def _listed(corpora):
    return ", ".join(map(named, corpora))
