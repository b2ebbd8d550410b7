"""Lines cut out of pages: along their outline, straightened along their baseline, paper around them."""

import numpy as np
from PIL import Image, ImageDraw

from zoo.errors import UserError

RATIO = 0.02  # by which the sides of an image may differ in proportion from what its file says
LEVEL = 0.04  # of its height that a baseline may rise or bend and count as level, and no less than 2 pixels
ABOVE, BELOW = 0.75, 0.3  # of the distance of lines, where a file has baselines alone
MARGIN = 0.05  # of its height that is put around a line


def cut_lines(pixels, page, name):
    """Iterate over ``(line, image)`` of a page.

    Args:
        pixels: uint8 ``[height, width, channels]``, the page.
        page: a ``zoo.formats.pages.Page``.
        name: what begins the sentences of errors.

    Yields:
        Each line and its image, uint8 ``[height, width, channels]``, in which it lies level; in the place of
        the image a UserError where the line has no place in the page.

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
    spacing = _spacing(baselines, height)
    for line, baseline in zip(page.lines, baselines, strict=True):
        try:
            yield line, cut(pixels, line.polygon * scale, baseline, spacing)
        except UserError as error:
            yield line, UserError(f"{name}: {error}")


def cut(pixels, polygon, baseline, spacing):
    """One line of a page.

    Args:
        pixels: uint8 ``[height, width, channels]``, the page.
        polygon: float ``[points, 2]``, x and y of its outline; or none.
        baseline: float ``[points, 2]``, on which its letters stand; or none.
        spacing: from one baseline of the page to the next, for lines without an outline.

    Returns:
        uint8 ``[height, width, channels]``: what is within the outline, level, and paper around it.

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
    turn, bend = _course(polygon, baseline)
    left, top = np.floor(polygon.min(0)).astype(int)
    right, bottom = np.ceil(polygon.max(0)).astype(int)
    # Only the part of the page around the line is looked at.
    part = np.ascontiguousarray(pixels[top:bottom, left:right])
    polygon = polygon - [left, top]
    inside = _filled(polygon, part.shape[:2])
    if not inside.any():
        raise UserError("its outline encloses nothing")
    paper = np.median(part[inside], 0).round().astype(np.uint8)
    part = np.where(inside[:, :, None], part, paper)
    if turn is not None:
        part = _straightened(part, polygon, turn, bend - [left, top], paper)
    margin = max(1, round(MARGIN * len(part)))
    framed = np.empty((len(part) + 2 * margin, part.shape[1] + 2 * margin, part.shape[2]), np.uint8)
    framed[:] = paper
    framed[margin:-margin, margin:-margin] = part
    return framed


def _spacing(baselines, height):
    """The usual distance from one baseline to the next, in pixels."""
    places = np.sort([baseline[:, 1].mean() for baseline in baselines if len(baseline)])
    steps = np.diff(places)
    steps = steps[steps > 4]
    return float(np.median(steps)) if len(steps) else height / 40


def _around(baseline, spacing):
    """An outline around a baseline."""
    up, down = baseline - [0, ABOVE * spacing], baseline + [0, BELOW * spacing]
    return np.concatenate([up, down[::-1]])


def _course(polygon, baseline):
    """How a line runs: ``(turn, baseline)``; turn is None where it is level, else an angle in radians.

    A baseline that runs to the left is that of a line upside down, or one that was drawn from its end, as
    many of right-to-left script are. Letters stand on theirs: the outline tells which.
    """
    if len(baseline) < 2:
        return None, baseline
    if baseline[-1, 0] < baseline[0, 0] and _middle(polygon)[1] <= baseline[:, 1].mean():
        baseline = baseline[::-1]
    along = baseline[-1] - baseline[0]
    angle = float(np.arctan2(along[1], along[0]))
    slack = max(2.0, LEVEL * np.ptp(_turned(polygon, angle)[:, 1]))
    level = np.ptp(baseline[:, 1]) <= slack and along[0] > 0
    return (None if level else angle), baseline


def _middle(polygon):
    """The centre of gravity of a polygon; of one without area, that of its corners."""
    (x, y), (x1, y1) = polygon.T, np.roll(polygon, -1, 0).T
    parts = x * y1 - x1 * y
    if abs(parts.sum()) < 1:
        return polygon.mean(0)
    return np.array([((x + x1) * parts).sum(), ((y + y1) * parts).sum()]) / (3 * parts.sum())


def _turned(points, angle):
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


def _straightened(part, polygon, angle, baseline, paper):
    """A part of a page such that a baseline in it is level."""
    outline, course = _turned(polygon, angle), _turned(baseline, angle)
    course = course[np.argsort(course[:, 0], kind="stable")]
    left, right = outline[:, 0].min(), outline[:, 0].max()
    below = outline[:, 1] - np.interp(outline[:, 0], *course.T)
    up, down = below.min(), below.max()
    size = max(1, round(right - left)), max(1, round(down - up))
    stops = np.unique(np.clip(np.concatenate([[left, right], course[:, 0]]), left, right))
    columns = np.round(stops - left).astype(int)
    mesh = []
    for i in range(len(stops) - 1):
        first, last = columns[i], min(columns[i + 1], size[0])
        if last <= first:
            continue
        sides = [[x, np.interp(x, *course.T)] for x in (stops[i], stops[i + 1])]
        corners = [[sides[0], up], [sides[0], down], [sides[1], down], [sides[1], up]]
        quad = np.array([[x, y + more] for (x, y), more in corners])
        mesh.append(((int(first), 0, int(last), size[1]), tuple(_turned(quad, -angle).ravel())))
    bands = []
    for channel, shade in zip(np.moveaxis(part, 2, 0), paper, strict=True):
        band = Image.fromarray(channel).transform(
            size, Image.Transform.MESH, mesh, Image.Resampling.BILINEAR, fillcolor=int(shade)
        )
        bands.append(np.asarray(band))
    return np.stack(bands, 2)
