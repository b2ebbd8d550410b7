"""Lines cut out of pages: along their outline, straightened along their baseline, paper around them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from zoo.errors import UserError

if TYPE_CHECKING:
    from zoo.formats.pages import Line, Page

RATIO = 0.02  # by which the sides of an image may differ in proportion from what its file says
LEVEL = 0.04  # of its height that a baseline may rise or bend and count as level, and no less than 2 pixels
STEPS = 0.4  # of its height: a baseline that strays no further from a curve is that curve
SAME = 4  # pixels: lines whose baselines are no further apart are pieces of one
BELOW_NEXT = 0.5  # of the distance to the next line below, which descenders may take
ABOVE, BELOW = 0.75, 0.3  # of the distance of lines, where a file has baselines alone
MARGIN = 0.05  # of its height that is put around a line


@dataclasses.dataclass
class Cut:
    """A line cut out of a page.

    Attributes:
        pixels: uint8 ``[height, width, channels]``, in which the line lies level; paper is around it.
        angle: in radians, by which the axes of the line are turned from those of the page.
        left: where it begins, in the axes of the line.
        course: float ``[points, 2]``, how it runs, in the axes of the line.
        up, down: pixels from its course to its upper side, which is negative, and to its lower side.
        margin: pixels of paper around it.
        scale: float ``[2]``, the image's pixels in one unit of the page's coordinates, across and down.
    """

    pixels: np.ndarray
    angle: float
    left: float
    course: np.ndarray
    up: float
    down: float
    margin: int
    scale: np.ndarray

    def outline(self, start: float, end: float) -> np.ndarray:
        """What stands from one pixel column of the line to another.

        Args:
            start, end: of its pixels.

        Returns:
            float32 ``[4, 2]``, x and y of its corners in the page's coordinates: upper left, upper right,
            lower right and lower left as the line is read.
        """
        x = self.left + np.clip([start, end], self.margin, self.pixels.shape[1] - self.margin) - self.margin
        y = np.interp(x, *self.course.T)
        corners = np.stack([x[[0, 1, 1, 0]], y[[0, 1, 1, 0]] + [self.up, self.up, self.down, self.down]], 1)
        return (turned(corners, -self.angle) / self.scale).astype(np.float32)


def cut_lines(pixels: np.ndarray, page: Page, name: str) -> Iterator[tuple[Line, Cut]]:
    """Iterate over ``(line, cut)`` of a page.

    Args:
        pixels: uint8 ``[height, width, channels]``, the page.
        page: a ``zoo.formats.pages.Page``.
        name: what begins the sentences of errors.

    Yields:
        Each line and its ``Cut``; in the place of that a UserError where the line has no place in the page.

    Raises:
        UserError: the file is of an image of other proportions.
    """
    height, width = pixels.shape[:2]
    across, down = 1.0, 1.0
    if page.size:
        across, down = width / page.size[0], height / page.size[1]
        if abs(across / down - 1) > RATIO:
            wide, high = (f"{side:g}" for side in page.size)
            raise UserError(
                f"{name}: the image has {width}x{height} pixels, its XML is of {wide}x{high}; give that image"
            )
    scale = np.array([across, down])
    baselines = [line.baseline * scale for line in page.lines]
    spacing, free = _spacing(baselines, height), _free(baselines)
    for line, baseline, room in zip(page.lines, baselines, free, strict=True):
        try:
            found = cut(pixels, line.polygon * scale, baseline, spacing, room)
            yield line, dataclasses.replace(found, scale=scale)
        except UserError as error:
            yield line, UserError(f"{name}: {error}")


def cut(
    pixels: np.ndarray, polygon: np.ndarray, baseline: np.ndarray, spacing: float,
    free: tuple[float, float] = (np.inf, np.inf),
) -> Cut:  # fmt: skip
    """One line of a page.

    Args:
        pixels: uint8 ``[height, width, channels]``, the page.
        polygon: float ``[points, 2]``, x and y of its outline; or none.
        baseline: float ``[points, 2]``, on which its letters stand; or none.
        spacing: from one baseline of the page to the next, for lines without an outline.
        free: pixels above and below the baseline, beyond which an outline is wrong.

    Returns:
        A ``Cut`` of what is within the outline, in pixels of the page.

    Raises:
        UserError: it has neither an outline nor a baseline in the page.
    """
    high, wide = pixels.shape[:2]
    baseline = baseline[np.sort(np.unique(baseline, axis=0, return_index=True)[1])]
    if len(polygon) < 3 or min(np.ptp(polygon, 0)) < 1:
        if len(baseline) < 2:
            raise UserError("it has neither an outline nor a baseline")
        polygon = _around(baseline, spacing)
    polygon = np.clip(polygon, 0, [wide, high])
    if min(np.ptp(polygon, 0)) < 1:
        raise UserError("it lies outside of the image")
    angle, course, is_level = _course(polygon, baseline)
    if np.isfinite(free).any() and course is not None:
        polygon = np.clip(_within(polygon, angle, course, free), 0, [wide, high])
    left, top = np.floor(polygon.min(0)).astype(int)
    right, bottom = np.ceil(polygon.max(0)).astype(int)
    # Only the part of the page around the line is looked at.
    part = np.ascontiguousarray(pixels[top:bottom, left:right])
    inside = _filled(polygon - [left, top], part.shape[:2])
    if not inside.any():
        raise UserError("its outline encloses nothing")
    paper = np.median(part[inside], 0).round().astype(np.uint8)
    part = np.where(inside[:, :, None], part, paper)
    if is_level:
        angle, course, first, up, down = 0.0, np.zeros((1, 2)), left, top, bottom
    else:
        outline = turned(polygon, angle)
        below = outline[:, 1] - np.interp(outline[:, 0], *course.T)
        first, up, down = outline[:, 0].min(), below.min(), below.max()
        size = max(1, round(outline[:, 0].max() - first)), max(1, round(down - up))
        part = _straightened(part, (left, top), angle, course, first, up, size, paper)
    margin = max(1, round(MARGIN * len(part)))
    framed = np.empty((len(part) + 2 * margin, part.shape[1] + 2 * margin, part.shape[2]), np.uint8)
    framed[:] = paper
    framed[margin:-margin, margin:-margin] = part
    return Cut(framed, angle, float(first), course, float(up), float(down), margin, np.ones(2))


def _spacing(baselines, height):
    """The usual distance from one baseline to the next, in pixels."""
    places = np.sort([baseline[:, 1].mean() for baseline in baselines if len(baseline)])
    steps = np.diff(places)
    steps = steps[steps > 4]
    return float(np.median(steps)) if len(steps) else height / 40


def _free(baselines):
    """How far it is from each baseline to the next one above and below it: a list of pairs of pixels."""
    known = [i for i, baseline in enumerate(baselines) if len(baseline) > 1]
    free = [(np.inf, np.inf)] * len(baselines)
    if not known:
        return free
    ends = np.stack([[baselines[i][0], baselines[i][-1]] for i in known])
    for i, (first, last) in zip(known, ends, strict=True):
        along = last - first
        axes = turned(ends, float(np.arctan2(along[1], along[0])))
        own = axes[known.index(i)]
        left, right = axes[:, :, 0].min(1), axes[:, :, 0].max(1)
        shared = np.minimum(right, own[:, 0].max()) > np.maximum(left, own[:, 0].min())
        away = axes[shared, :, 1].mean(1) - own[:, 1].mean()
        above, below = -away[away < -SAME], away[away > SAME]
        free[i] = min(above, default=np.inf), BELOW_NEXT * min(below, default=np.inf)
    return free


def _around(baseline, spacing):
    """An outline around a baseline."""
    up, down = baseline - [0, ABOVE * spacing], baseline + [0, BELOW * spacing]
    return np.concatenate([up, down[::-1]])


def _within(polygon, angle, course, free):
    """An outline that does not reach over the lines above and below."""
    points = turned(polygon, angle)
    level = np.interp(points[:, 0], *course.T)
    points[:, 1] = np.clip(points[:, 1], level - free[0], level + free[1])
    return turned(points, -angle)


def _course(polygon, baseline):
    """How a line runs: ``(angle, course, is_level)``; course is None where it has no baseline.

    A baseline that runs to the left is that of a line upside down, or one that was drawn from its end, as
    many of right-to-left script are. Letters stand on theirs: the outline tells which.
    """
    if len(baseline) < 2:
        return 0.0, None, True
    if baseline[-1, 0] < baseline[0, 0] and _middle(polygon)[1] <= baseline[:, 1].mean():
        baseline = baseline[::-1]
    along = baseline[-1] - baseline[0]
    angle = float(np.arctan2(along[1], along[0]))
    course = turned(baseline, angle)
    high = np.ptp(turned(polygon, angle)[:, 1])
    course = _smooth(course[np.argsort(course[:, 0], kind="stable")], high)
    rise = np.ptp(turned(course, -angle)[:, 1])
    return angle, course, bool(rise <= max(2.0, LEVEL * high) and along[0] > 0)


def _smooth(course, high):
    """A baseline without the steps of one that a program found: a cubic curve, where it runs near to one."""
    x, first = np.unique(course[:, 0], return_index=True)
    if len(x) < 3:
        return course
    along = np.linspace(x[0], x[-1], 64)
    across = np.interp(along, x, course[first, 1])
    curve = np.polynomial.Polynomial.fit(along, across, min(3, len(x) - 1))(along)
    return np.stack([along, curve], 1) if np.abs(curve - across).max() < STEPS * high else course


def _middle(polygon):
    """The centre of gravity of a polygon; of one without area, that of its corners."""
    (x, y), (x1, y1) = polygon.T, np.roll(polygon, -1, 0).T
    parts = x * y1 - x1 * y
    if abs(parts.sum()) < 1:
        return polygon.mean(0)
    return np.array([((x + x1) * parts).sum(), ((y + y1) * parts).sum()]) / (3 * parts.sum())


def turned(points: np.ndarray, angle: float) -> np.ndarray:
    """Points in axes that are turned by an angle."""
    cos, sin = np.cos(angle), np.sin(angle)
    return points @ np.array([[cos, -sin], [sin, cos]])


def _filled(polygon, shape):
    """bool ``[height, width]``: what a polygon encloses."""
    mask = Image.new("1", shape[::-1])
    ImageDraw.Draw(mask).polygon([tuple(point) for point in polygon], fill=1)
    inside = np.asarray(mask)
    x, y = polygon.T
    area = abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2
    if inside.sum() < 1.2 * area:
        return inside
    # It crosses itself: all that is between its uppermost and its lowest side counts.
    return np.logical_or.accumulate(inside, 0) & np.logical_or.accumulate(inside[::-1], 0)[::-1]


def _straightened(part, corner, angle, course, first, up, size, paper):
    """What of the page's part at ``corner`` lies along a course; ``size`` is its width and height."""
    last = first + size[0]
    stops = np.unique(np.clip(np.concatenate([[first, last], course[:, 0]]), first, last))
    columns = np.round(stops - first).astype(int)
    mesh = []
    for i in range(len(stops) - 1):
        if columns[i + 1] <= columns[i]:
            continue
        sides = [[x, np.interp(x, *course.T)] for x in (stops[i], stops[i + 1])]
        corners = [[sides[0], up], [sides[0], up + size[1]], [sides[1], up + size[1]], [sides[1], up]]
        quad = turned(np.array([[x, y + more] for (x, y), more in corners]), -angle) - corner
        mesh.append(((int(columns[i]), 0, int(columns[i + 1]), size[1]), tuple(quad.ravel())))
    bands = []
    for channel, shade in zip(np.moveaxis(part, 2, 0), paper, strict=True):
        band = Image.fromarray(channel).transform(
            size, Image.Transform.MESH, mesh, Image.Resampling.BILINEAR, fillcolor=int(shade)
        )
        bands.append(np.asarray(band))
    return np.stack(bands, 2)
