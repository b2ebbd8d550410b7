"""What a model says of itself, which is true of one set of weights alone.

A card is a dict with what ``preset.json`` has: ``description``, ``licence``, ``headline``, ``made_from`` (the
model that it was trained on from; absent where it was trained from nothing), ``date``, ``training_command``
and ``figures``; and ``text``, which is ``card.md``. In memory a card that was loaded has ``loaded``, too: the
name of its model, and the digest of the weights that it is about.
"""

from __future__ import annotations

import datetime
import os
import re
from typing import Any

from zoo import __version__, registry

LOADED = "loaded"  # {"name": of the model, "weights_sha256": see ``Task.weights_sha256``}
NOT_STATED = "not stated"
UNCALIBRATED = "Its confidences are not calibrated."  # until they are: ``calibrated_now``
NO_PRESET = "Not stated: no preset was begun with. What the terms of the data allow is yours to check."


def true_of(card: dict[str, Any], changed: bool) -> dict[str, Any]:
    """A card without ``loaded``, or another one where the weights are no longer those that it is about.

    So figures are never those of another model, whatever changed the weights: ``fit`` by hand, other labels.

    Args:
        card: the card of a task.
        changed: whether the weights are others than those of ``loaded``.
    """
    if not changed:
        return {key: value for key, value in card.items() if key != LOADED}
    name = card[LOADED]["name"]
    how = f"Its weights were changed outside of the zoo's training: its errors are not known. {UNCALIBRATED}"
    return derived(f"Taught further by hand from {name}; not measured.", how, name, card.get("licence"))


def derived(description: str, how: str, made_from: str, licence: str | None) -> dict[str, str]:
    """The card of a model that was made from another one and has no figures.

    Args:
        description: a sentence: what it is.
        how: sentences: how it was made.
        made_from: the name of the other model.
        licence: of that one, or None.
    """
    text = f"""# Made from {made_from}

{description}

{how} To measure it on samples of your own: `zoo evaluate`.

## Licence

{inherited(licence, made_from)}
"""
    about = {"description": description, "licence": licence or NOT_STATED}
    return about | {"made_from": made_from, "date": today(), "text": text}


def how_made(origin: str, command: str) -> str:
    """The section of a card's text that tells how its model was made, today.

    Args:
        origin: what it was made from: "From nothing".
        command: what a person wrote to make it.
    """
    return f"""## How it was made

{origin}, on {today()}, with seqzoo {__version__}:

```
{command}
```
"""


def inherited(licence: str | None, made_from: str) -> str:
    """What a card says of the licence of a model that was made from another one."""
    if not licence or licence == NOT_STATED:
        return f"Not stated: {made_from} states none."
    return f"{licence}, inherited from {made_from}. Data learned since may have terms of their own."


def calibrated_now(text: str) -> str:
    """A card's text that does not say any more that confidences are not calibrated."""
    return re.sub(re.escape(UNCALIBRATED) + r"\s*", "", text)


def with_section(text: str, title: str, body: str) -> str:
    """A card's text with ``## title`` and ``body`` under it, in place of a section that is called so."""
    section = f"## {title}\n\n{body}\n"
    parts = re.split(rf"^## {re.escape(title)}\n.*?(?=^## |\Z)", text, maxsplit=1, flags=re.M | re.S)
    if len(parts) == 1:
        return f"{text.rstrip()}\n\n{section}"
    return parts[0] + section + (f"\n{parts[1]}" if parts[1] else "")


def worded(figure: dict[str, Any], task: str | None) -> str:
    """A figure as a person reads it: "character error rate 1.40% (before 4.35%)".

    Args:
        figure: dict with ``metric`` and ``value``, perhaps ``before``.
        task: the family, whose reader has the names of its metrics; or None.
    """
    metrics = registry.reader_class(task).metrics if task in registry.FAMILIES else ()
    metric = next((one for one in metrics if one.name == figure["metric"]), None)
    title, form = (metric.title, metric.form) if metric else (figure["metric"], "{:.4g}")
    try:
        before = f" (before {form.format(figure['before'])})" if "before" in figure else ""
        return f"{title} {form.format(figure['value'])}{before}"
    except (TypeError, ValueError):  # whoever wrote the file put there what is no number
        return f"{title} {figure['value']}"


def today() -> str:
    """The day in UTC; that of ``SOURCE_DATE_EPOCH``, as reproducible builds have it, where it is set."""
    seconds = os.environ.get("SOURCE_DATE_EPOCH")
    now = datetime.datetime.fromtimestamp(int(seconds), datetime.UTC) if seconds else None
    return str((now or datetime.datetime.now(datetime.UTC)).date())
