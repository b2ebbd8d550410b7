"""The XML of ABBYY FineReader, versions 6 to 10, as the Internet Archive has it."""

from zoo.errors import UserError
from zoo.formats.pages import Line, Page, box, nowhere, numbers


def pages(root, name):
    """The pages of a file, a list of ``Page``; ``root`` is its tree. The file names no images."""
    found = []
    for page in root.iter("page"):
        size = numbers(page.get("width"))[:1] + numbers(page.get("height"))[:1]
        lines = [_line(line) for line in page.iter("line")]
        found.append(Page("", tuple(size) if len(size) == 2 else None, lines))
    if not found:
        raise UserError(f"{name}: this file of FineReader has no page in it; export it again")
    return found


def _line(line):
    sides = [numbers(line.get(side))[:1] for side in "ltrb"]
    polygon, baseline = box(*(side[0] for side in sides)) if all(sides) else nowhere(), nowhere()
    level = numbers(line.get("baseline"))[:1]
    if level and len(polygon):
        baseline = polygon[:2].copy()
        baseline[:, 1] = level
    letters = [one.text or " " for one in line.iter("charParams")]
    text = "".join(letters) if letters else "".join("".join(part.itertext()) for part in line)
    return Line("", text or None, polygon, baseline)
