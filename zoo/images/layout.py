"""From boxes in which something is written to the lines of a page, in reading order and in regions.

The order is that of T. Breuel, "High performance document layout analysis" (2003): of two lines, one above
the other, the upper one comes first; of two side by side the left one, unless a line, or a rule, that lies
between them reaches over both, as a headline does over its columns. Cells of a table are read row by row.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from zoo.formats.pages import Line, Region, box
from zoo.images.cutting import turned

# Shares of the height of a line's box, which has room around the letters.
ROOM = 0.25  # at each side
BASELINE = 0.28  # from the lower side up to the baseline
JOINED = 1.2  # pieces of one line are no further apart
SPACED = 4  # nor those of one with a wide gap in it
ALIGNED = 0.25  # by which the cells of one row differ in height
NARROW = 6  # a column of numbers in a table is no wider
LONG = 10  # what is wider is a line of a text column, of which a row of a table has one
MOST = 0.7  # how many of its lines, at least, stand level with another
LEVEL = 0.8  # and how many from the first to the last of these
ROWS = 7  # how far above and below a gap between columns is looked for
EVIDENCE = 3  # lines that begin, or end, at such a gap, at least
RULE = 16  # pixels that the usual box is high where rules are looked for
REACH = 12  # a rule that parts a page is at least so long
# In radians: of a page that is more slanted than this, boxes stay as they are.
SLANTED = 0.05
# Of the usual distance of lines.
APART = 1.7  # what is further apart is another region
NEAR = 3  # how far the neighbours of a line are looked for
HEADER = 1.3  # a running title is at least so far above what follows
TALLER = 1.6  # how much larger the letters of another region are


def angle_of(boxes: np.ndarray) -> float:
    """By how much lines are turned clockwise, in radians: the median of the long ones.

    Args:
        boxes: float ``[boxes, 4, 2]``, as ``zoo.images.detector.find_boxes`` gives them.
    """
    along = (boxes[:, 1] + boxes[:, 2] - boxes[:, 0] - boxes[:, 3]) / 2
    long = np.hypot(*along.T)
    along = along[long >= np.median(long)] if len(long) else along
    return float(np.median(np.arctan2(along[:, 1], along[:, 0]))) if len(along) else 0.0


def baseline_of(corners: np.ndarray) -> np.ndarray:
    """The baseline of a line, float32 ``[2, 2]``, by the ``[4, 2]`` corners of its box."""
    corners = np.float32(corners)
    upper, lower = corners[[0, 1]], corners[[3, 2]]
    return lower + np.float32(BASELINE) * (upper - lower)


def is_on_its_side(boxes: np.ndarray) -> bool:
    """Whether most lines run up or down; ``boxes`` as of ``angle_of``."""
    along, across = (np.hypot(*(boxes[:, corner] - boxes[:, 0]).T) for corner in (1, 3))
    high = across > 2 * along
    return bool(across[high].sum() > along[~high].sum())


def split_boxes(boxes: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Boxes of which none reaches over the gap between two columns, as a detector's may where that is narrow.

    Args:
        boxes: float ``[boxes, 4, 2]``, as of ``angle_of``.
        pixels: uint8 ``[height, width, channels]``, the page.

    Returns:
        float32 ``[boxes, 4, 2]``, perhaps more of them.
    """
    if not len(boxes) or abs(angle_of(boxes)) > SLANTED:
        return boxes
    level, found = _level(boxes, angle_of(boxes)), []
    heights, middles = _heights(level), _middles(level)
    for i, corners in enumerate(boxes):
        left, _, right, _ = level[i]
        shares = [0.0, 1.0]
        for first, last in _gutters(level, heights, middles, i):
            ends = (np.array([first, last]) - left) / (right - left)
            inner = ends + np.array([0.2, -0.2]) * np.ptp(ends)  # letters may reach into the gap
            if _is_free(pixels, _part(corners, *inner)):
                shares.insert(-1, float(ends.mean()))
        found += [_part(corners, *ends) for ends in itertools.pairwise(sorted(shares))]
    return np.stack(found).astype(np.float32)


def find_rules(boxes: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Horizontal rules, such as those between the parts of a newspaper's page.

    Args:
        boxes, pixels: as of ``split_boxes``.

    Returns:
        float32 ``[rules, 4, 2]``, boxes as high as those of lines, at each end that much shorter than the
        rules.
    """
    high = float(np.median(np.hypot(*(boxes[:, 3] - boxes[:, 0]).T))) if len(boxes) else 0.0
    step = max(1, round(high / RULE))
    width = 2 * RULE * step  # of a block, in each of which rules are looked for
    tall, wide = len(pixels) // step, pixels.shape[1] // width
    if not high or tall < RULE or not wide:
        return np.zeros((0, 4, 2), np.float32)
    page = pixels[: tall * step, : wide * width].mean(2, dtype=np.float32)
    page = page.reshape(tall, step, -1, step).min((1, 3))  # thin rules stay
    ink = page < np.mean(np.percentile(page, (2, 80)))
    share = ink.reshape(tall, wide, -1).mean(2)
    away = RULE // 4
    over = (ink[:-1] | ink[1:]).reshape(tall - 1, wide, -1).mean(2)[away : -away - 1]
    is_rule = (over > 0.9) & (share[: len(over)] + share[-len(over) :] < 0.2)  # and paper above and below
    rules = []  # in the making: lists of (block, row)
    for block in range(wide):
        runs = np.flatnonzero(np.diff(np.pad(is_rule[:, block].astype(np.int8), 1))).reshape(-1, 2)
        for row in runs.mean(1) + away + 0.5:
            own = [rule for rule in rules if 0 < block - rule[-1][0] < 3 and abs(row - rule[-1][1]) < 3]
            own[0].append((block, row)) if own else rules.append([(block, row)])
    found = []
    for rule in rules:
        (first, start), (last, end) = rule[0], rule[-1]
        if (last - first + 1) * width > REACH * high and len(rule) > 0.7 * (last - first + 1):
            left, right, start, end = (
                first * width + high,
                (last + 1) * width - high,
                start * step,
                end * step,
            )
            upper, lower = -high / 2, high / 2
            found.append(
                [(left, start + upper), (right, end + upper), (right, end + lower), (left, start + lower)]
            )
    return np.array(found, np.float32).reshape(-1, 4, 2)


def regions_of(boxes: np.ndarray, direction: str = "ltr", rules: np.ndarray | Sequence = ()) -> list[Region]:
    """The lines that boxes are, in reading order.

    Args:
        boxes: float ``[boxes, 4, 2]``, as of ``angle_of``.
        direction: "ltr" or "rtl": whether columns follow each other to the right or to the left.
        rules: float ``[rules, 4, 2]``, as of ``find_rules``: what is below comes after all that is above.

    Returns:
        A list of ``zoo.formats.pages.Region``; their lines have no text yet.
    """
    if not len(boxes):
        return []
    angle = angle_of(boxes)
    level = _level(boxes, angle)
    pieces = _joined(level)
    lines = np.stack([_around(level[piece]) for piece in pieces])
    outlines = [_outline(boxes[piece], angle) for piece in pieces]
    names = (f"line_{number}" for number in range(1, len(lines) + 1))
    found = []
    rules = _level(np.asarray(rules, np.float32).reshape(-1, 4, 2), angle)
    for own in _divided(lines, _reading_order(lines, rules, direction)):
        read = [Line(next(names), None, *outlines[i]) for i in own]
        corners = np.concatenate([line.polygon for line in read])
        outline = box(*corners.min(0), *corners.max(0))
        found.append(Region(f"region_{len(found) + 1}", "text", outline, read))
    return found


# Below, boxes are float ``[boxes, 4]``: left, top, right and bottom, in axes that lie along the lines,
# without the room around the letters.


def _level(corners, angle):
    points = turned(corners, angle)
    left, right = points[:, [0, 3], 0].mean(1), points[:, [1, 2], 0].mean(1)
    top, bottom = points[:, :2, 1].mean(1), points[:, 2:, 1].mean(1)
    room, middle = ROOM * (bottom - top), (left + right) / 2
    left, right = np.minimum(left + room, middle), np.maximum(right - room, middle)
    return np.stack([left, top + room, right, bottom - room], 1)


def _around(boxes):
    """The box of several on one line."""
    return np.array([boxes[:, 0].min(), boxes[:, 1].mean(), boxes[:, 2].max(), boxes[:, 3].mean()])


def _middles(boxes):
    return (boxes[:, 1] + boxes[:, 3]) / 2


def _heights(boxes):
    """The heights with the room that was taken off."""
    return (boxes[:, 3] - boxes[:, 1]) / (1 - 2 * ROOM)


def _overlaps(boxes, axis):
    """By how many pixels each box and each other have the same x (``axis`` 0) or y (1)."""
    first, last = boxes[:, axis], boxes[:, axis + 2]
    return np.minimum(last[:, None], last) - np.maximum(first[:, None], first)


def _joined(boxes):
    """The boxes that are pieces of one line: a list of lists of numbers, from left to right."""
    heights, middles = _heights(boxes), _middles(boxes)
    shared = _overlaps(boxes, 1) > 0.6 * np.maximum.outer(heights, heights) * (1 - 2 * ROOM)
    order = np.argsort(boxes[:, 0], kind="stable").tolist()
    lines = []  # in the making; each has its last piece at its end
    for i in order:
        best = None
        for line in lines:
            last = line[-1]
            gap = boxes[i, 0] - boxes[last, 2]
            high = (heights[i] + heights[last]) / 2
            fits = shared[i, last] and -high < gap < SPACED * high
            if fits and (best is None or boxes[last, 2] > boxes[best[-1], 2]):
                best = line
        if best is None or not _is_one_line(boxes, heights, middles, best[-1], i):
            lines.append([i])
        else:
            best.append(i)
    return lines


def _gutters(boxes, heights, middles, i):
    """Where lines above or below a box leave a gap that it reaches over: a list of ``(left, right)``."""
    high, found = heights[i], []
    inner = boxes[i, 0] + 3 * high, boxes[i, 2] - 3 * high
    away = np.abs(middles - middles[i])
    near = boxes[(away > 0.5 * high) & (away < ROWS * high)]
    lefts, rights = np.sort(near[:, 0]), np.sort(near[:, 2])
    for first in rights[(rights > inner[0]) & (rights < inner[1])]:
        last = lefts[lefts > first - 0.1 * high][:1]
        if not len(last) or last[0] > min(inner[1], first + SPACED * high):
            continue
        last, middle = last[0], (first + last[0]) / 2
        over = (near[:, 0] < middle) & (near[:, 2] > middle)
        before = np.count_nonzero(np.abs(rights - first) < high)
        after = np.count_nonzero(np.abs(lefts - last) < high)
        if not over.any() and min(before, after) >= EVIDENCE and last - first > 0.2 * high:
            found = [gap for gap in found if gap[1] != last]  # of several, the one that ends last
            found.append((first, last))
    return found


def _part(corners, first, last):
    """What of a box lies from one share of its length to another: float ``[4, 2]``."""
    upper, lower = corners[1] - corners[0], corners[2] - corners[3]
    return np.stack(
        [
            corners[0] + first * upper, corners[0] + last * upper,
            corners[3] + last * lower, corners[3] + first * lower,
        ]
    )  # fmt: skip


def _is_free(pixels, corners):
    """Whether nothing but a vertical rule stands in a part of a page."""
    (left, top), (right, bottom) = np.floor(corners.min(0)).astype(int), np.ceil(corners.max(0)).astype(int)
    high, left, right = bottom - top, max(left, 0), max(right, 0)
    around = pixels[max(top - high, 0) : bottom + high, max(left - 8 * high, 0) : right + 8 * high].mean(2)
    if right <= left or not around.size:
        return False
    ink = around < np.mean(np.percentile(around, (2, 80)))
    ink = ink[:, min(left, 8 * high) :][:, : right - left]
    first = min(top, high)
    rule = np.maximum(ink[: first + high].mean(0), ink[first:].mean(0)) > 0.75  # it goes on above or below
    edge = np.ones(2 * (high // 16) + 1)  # of a rule that is not quite upright
    rule = np.convolve(rule, edge, "same")[: len(rule)] > 0
    inner = ink[first : first + high]
    inked = inner[high // 5 : -(high // 5) or None].mean(0)
    return bool(((inked < 0.3) | rule).mean() > 0.85)


def _is_one_line(boxes, heights, middles, before, after):
    """Whether two boxes of one row are pieces of one line.

    They are not where the gap between them goes on above or below, as one between columns does. Where it is
    wide, a line above or below has to reach over it.
    """
    high = (heights[before] + heights[after]) / 2
    x, y = (boxes[before, 2] + boxes[after, 0]) / 2, (middles[before] + middles[after]) / 2
    reached = False
    for away in (y - middles, middles - y):
        near = (away > 0.5 * high) & (away < NEAR * high)
        left, right = boxes[near, 0], boxes[near, 2]
        over = (left < x - 0.3 * high) & (right > x + 0.3 * high)
        beside = (np.abs(left - x) < 2 * high) | (np.abs(right - x) < 2 * high)
        if not over.any() and np.count_nonzero(beside) > 1:
            return False
        reached |= bool(over.any())
    return reached or boxes[after, 0] - boxes[before, 2] < JOINED * high


def _reading_order(lines, rules, direction):
    """The numbers of lines as they are read, a list."""
    count, (first, last) = len(lines), _apart(lines)
    units = _rows(lines) + [[count + i] for i in range(len(rules))]  # a rule is as a line that says nothing
    lines = np.concatenate([lines, rules])
    boxes = np.stack([_span(lines[unit]) for unit in units])
    middles, heights = _middles(boxes), np.array([_heights(lines[unit]).mean() for unit in units])
    low = 0.3 * np.minimum.outer(heights, heights)
    stacked = (_overlaps(boxes, 0) > low) & (middles[:, None] < middles)  # one above the other
    over = stacked | stacked.T
    between = stacked.astype(np.float32)
    through = between @ between > 0  # a third one lies between them and reaches over both
    centres = (boxes[:, 0] + boxes[:, 2]) / 2
    beside = centres[:, None] < centres if direction == "ltr" else centres[:, None] > centres
    before = stacked | through | (beside & ~over & ~through & ~through.T)
    for row, is_first in ((first, True), (last, False)):
        for i, unit in enumerate(units):
            if row and row[0] in unit:
                before[i], before[:, i] = is_first, not is_first
    np.fill_diagonal(before, False)
    left, found = np.ones(len(units), bool), []
    waiting = before.sum(0)  # how many each one comes after
    while left.any():
        ready = np.flatnonzero(left)
        i = ready[np.lexsort((middles[ready], waiting[ready]))[0]]
        left[i] = False
        waiting -= before[i]
        found += sorted(units[i], key=lambda line: lines[line, 0], reverse=direction == "rtl")
    return [line for line in found if line < count]


def _span(boxes):
    return np.concatenate([boxes[:, :2].min(0), boxes[:, 2:].max(0)])


def _rows(lines):
    """Lines that are read together though they stand apart: rows of tables and running titles.

    Returns:
        A list of lists of numbers; most hold one.
    """
    heights, middles = _heights(lines), _middles(lines)
    unit = np.arange(len(lines))

    def join(several):
        unit[np.isin(unit, unit[several])] = unit[several].min()

    for row in filter(None, _apart(lines)):
        join(row)
    narrow = lines[:, 2] - lines[:, 0] < NARROW * heights
    away = np.abs(middles[:, None] - middles)
    aligned = away < ALIGNED * np.minimum.outer(heights, heights)
    over = _overlaps(lines, 0) > 0
    aligned &= ~over
    for column in _columns(lines, narrow, over):
        partners = [_partners(lines, np.setdiff1d(np.flatnonzero(aligned[i]), column), i) for i in column]
        inner = np.flatnonzero([len(some) > 0 for some in partners])
        if len(inner) < MOST * len(column):
            continue
        inner = slice(inner[0], inner[-1] + 1)  # a heading and what is written below belong to no row
        column, partners = column[inner], partners[inner]
        # Notes in a margin stand level with some line by chance, the ends of paragraphs below long lines.
        level = np.mean([len(some) > 0 for some in partners]) > LEVEL
        among = over[column].any(0) & (middles > middles[column].min()) & (middles < middles[column].max())
        # Long lines of a table reach over a row's cells, those of a paragraph not over the next column.
        reach = [over[i] & among & over[some].any(0) for i, some in zip(column, partners, strict=True)]
        if np.mean([some.any() for some in reach]) > 0.5:
            among &= ~np.any(reach, axis=0)
        if len(column) > 2 and level and np.count_nonzero(among) <= len(column) / LEVEL:
            for i, some in zip(column, partners, strict=True):
                join([i, *some])
    return [np.flatnonzero(unit == one).tolist() for one in np.unique(unit)]


def _apart(lines):
    """What stands above all else, and what below: a running title and a page number. Lists of numbers."""
    middles, pitch = _middles(lines), _pitch(lines)
    near = 0.5 * np.median(_heights(lines))
    rows = np.flatnonzero(middles < middles.min() + near), np.flatnonzero(middles > middles.max() - near)
    found = []
    for row, sign in zip(rows, (1, -1), strict=True):
        others = np.delete(middles, row)
        far = len(others) and np.abs(others[:, None] - middles[row]).min() > HEADER * pitch
        # The end of the longer one of two columns is no page number.
        if far and (sign > 0 or (lines[row, 2] - lines[row, 0] < NARROW * 2 * near).all()):
            found.append(row.tolist())
        else:
            found.append([])
    return found


def _partners(lines, others, i):
    """Those of the lines level with one that are in its row if that is one of a table: numbers."""
    wide = lines[others, 2] - lines[others, 0] > LONG * _heights(lines[[i]])[0]
    away = np.maximum(lines[others, 0] - lines[i, 2], lines[i, 0] - lines[others, 2])
    nearest = others[wide][np.argsort(away[wide], kind="stable")[:1]]
    return np.concatenate([others[~wide], nearest])


def _columns(lines, narrow, over):
    """Narrow lines that stand one above the other: a list of lists of numbers, from top to bottom."""
    rest, found = set(np.flatnonzero(narrow).tolist()), []
    while rest:
        column, edge = set(), {rest.pop()}
        while edge:
            i = edge.pop()
            column.add(i)
            more = {j for j in np.flatnonzero(over[i]).tolist() if j in rest}
            rest -= more
            edge |= more
        found.append(sorted(column, key=lambda i: lines[i, 1]))
    return found


def _pitch(lines):
    """The usual distance from one line to the next below it."""
    middles = _middles(lines)
    down = np.where(_overlaps(lines, 0) > 0, middles - middles[:, None], np.inf)
    down[down < 0.5 * np.median(_heights(lines))] = np.inf
    nearest = down.min(1)
    nearest = nearest[np.isfinite(nearest)]
    return float(np.median(nearest)) if len(nearest) else 2 * float(np.median(_heights(lines)))


def _divided(lines, order):
    """Lines in reading order -> lists of those that are one region."""
    pitch, heights, middles = _pitch(lines), _heights(lines), _middles(lines)
    overlaps = _overlaps(lines, 0)
    found = []
    for i in order:
        last = found[-1][-1] if found else None
        if last is not None:
            step, size = middles[i] - middles[last], heights[i] / heights[last]
            row = abs(step) < ALIGNED * heights[last]
            below = overlaps[i, last] > 0 or any(overlaps[i, j] > 0 for j in found[-1][-3:])
            if row or (below and 0 < step < APART * pitch and 1 / TALLER < size < TALLER):
                found[-1].append(i)
                continue
        found.append([i])
    return found


def _outline(corners, angle):
    """``(polygon, baseline)`` of a line from the boxes of its pieces, float ``[4, 2]`` and ``[2, 2]``."""
    if len(corners) == 1:
        outline = corners[0]
    else:
        points = turned(corners.reshape(-1, 2), angle)
        left, top, right, bottom = *points.min(0), *points.max(0)
        outline = turned(box(left, top, right, bottom), -angle)
    outline = outline.astype(np.float32)
    return outline, baseline_of(outline)
