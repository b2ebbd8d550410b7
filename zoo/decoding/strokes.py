"""Which strokes of the pen each token has that CTC found.

CTC tells in which order tokens stand, and a place in or near each, but not where one begins. Here the
strokes, in their order, are parted among the tokens, in theirs, by dynamic programming: strokes that lie
apart belong to several tokens, what lies above one another to one, and a token's place is not far from its
strokes. A stroke in which several tokens have their places, as in joined writing, may be cut half-way between
these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

FAR = 1.0  # cost of a token's place that is one height of the ink away from its strokes, along the path
CUT = 0.5  # cost of a stroke that is cut
APART, WITHIN = 0.5, 2.0  # heights of the ink: gaps count up to the first; how much one in a token counts
STROKES = 8  # that a token has at most, where it can


def part_strokes(
    points: np.ndarray, places: np.ndarray | Sequence, cost: Callable | None = None
) -> np.ndarray:
    """The points of each token.

    Args:
        points: float ``[points, 3]``: x, y and 1 where a stroke ends.
        places: float ``[tokens]``, one or more, a place of each token among the points, from 0, not falling.
        cost: takes the number of a token and how many strokes it might have, gives what is added to the cost;
            or None.

    Returns:
        int ``[points]``, the number of the token that each point belongs to, not falling. Where there are
        fewer points than tokens, some tokens have none.
    """
    places = np.maximum.accumulate(np.clip(np.asarray(places, float), 0, len(points) - 1))
    starts, cut = _units(points, places)
    while len(starts) < len(places):  # as few strokes as one, and all places in one point
        longest = int(np.diff([*starts, len(points)]).argmax())
        size = [*starts, len(points)][longest + 1] - starts[longest]
        if size < 2:
            break
        starts.insert(longest + 1, starts[longest] + size // 2)
        cut.insert(longest, True)
    ends = [*starts[1:], len(points)]
    tokens, units = min(len(places), len(starts)), len(starts)
    xy = points[:, :2].astype(float)
    height = max(np.ptp(xy[:, 1]), 0.15 * np.ptp(xy[:, 0]) / max(1, tokens), 1e-6)
    long = np.hypot(*np.diff(xy, axis=0, prepend=xy[:1]).T)
    along = np.cumsum(long) / height
    at = np.interp(places[:tokens], np.arange(len(points)), along)
    left = np.array([xy[a:b, 0].min() for a, b in zip(starts, ends, strict=True)])
    right = np.array([xy[a:b, 0].max() for a, b in zip(starts, ends, strict=True)])
    first, last = along[starts], along[[end - 1 for end in ends]]
    most = max(STROKES, units - tokens + 1 if units > STROKES * tokens else 0)
    best = np.full((tokens + 1, units + 1), np.inf)
    best[0, 0], back = 0.0, np.zeros((tokens + 1, units + 1), int)
    for end in range(1, units + 1):
        inner, low = 0.0, left[end - 1]
        for start in range(end - 1, max(-1, end - 1 - most), -1):
            if start < end - 1:  # one more before those
                inner += WITHIN * max(0.0, (low - right[start]) / height)
                low = min(low, left[start])
            outer = 0.0
            if start > 0:  # how far from what is before
                gap = (left[start:end].min() - right[max(0, start - 2) : start].max()) / height
                outer = -float(np.clip(gap, -APART, APART)) + CUT * cut[start - 1]
            away = np.maximum(0, np.maximum(first[start] - at, at - last[end - 1]))
            for token in range(tokens):
                before = best[token, start]
                if before == np.inf:
                    continue
                total = before + inner + outer + FAR * away[token]
                if cost:
                    total += cost(token, end - start)
                if total < best[token + 1, end]:
                    best[token + 1, end], back[token + 1, end] = total, start
    owner, end = np.zeros(len(points), int), units
    for token in range(tokens - 1, -1, -1):
        start = back[token + 1, end]
        owner[starts[start] : ends[end - 1]] = token
        end = start
    return owner


def _units(points, places):
    """Where strokes begin and are cut between several places, and for each whether it goes on in the next."""
    ends = np.flatnonzero(points[:-1, 2] > 0) + 1
    starts = {0: False, **{int(end): False for end in ends}}
    stroke = np.searchsorted(ends, places, "right")
    for one, other, same in zip(places[:-1], places[1:], np.diff(stroke) == 0, strict=True):
        middle = int(np.ceil((one + other) / 2))
        if same and 0 < middle < len(points):
            starts.setdefault(middle, True)
    order = sorted(starts)
    return order, [starts[start] for start in order[1:]]
