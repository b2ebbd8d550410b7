"""Captioners beside one another: their figures, and what they say of scenes that are drawn here.

    python benchmarks/captions.py attention=runs/a first_step=runs/b --data flickr8k.tar.gz --only /dev

Every model captions the corpus greedily, by beam search and by sampling; the table goes to standard output.
With `--scenes sheet.png` a sheet shows the drawn scenes with the first model's captions, by beam search of 3.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

DECODING = {
    "greedy": {"beam_width": 1},
    "beam 3": {"beam_width": 3},
    "beam 5": {"beam_width": 5},
    "sampled at 1": {"temperature": 1.0, "seed": 0},
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", metavar="TITLE=MODEL")
    parser.add_argument("--data", nargs="+", metavar="CORPUS")
    parser.add_argument("--only", metavar="REGEX")
    parser.add_argument("--scenes", metavar="FILE.png")
    options = parser.parse_args()

    import zoo
    from zoo.families.captioner.corpus import load_captions

    models = {title: zoo.load(path) for title, path in (item.split("=", 1) for item in options.models)}
    if options.data:
        print("| model | decoding | BLEU-1 | BLEU-2 | BLEU-3 | BLEU-4 | ROUGE-L | CIDEr-D |")
        print("|---|---|---|---|---|---|---|---|")
    for title, task in models.items() if options.data else ():
        corpus = load_captions(options.data, options.only, size=task.config.image_size)
        for how, decoding in DECODING.items():
            report = task.reader.evaluate(corpus, progress=True, **decoding)
            figures = " | ".join(one.form.format(report[one.name]) for one in task.reader.metrics)
            print(f"| {title} | {how} | {figures} |", flush=True)
    if options.scenes:
        drawn = list(scenes().values())
        next(iter(models.values())).reader.picture(drawn, options.scenes, beam_width=3)


# === Scenes ===

SIDE = 448  # pixels of a scene
_FINE = 3  # times as large it is drawn, for smooth edges


def scenes():
    """What photographs of the corpus often show, as simple drawings: ``{what: PIL image}``."""
    return {draw.__name__.strip("_").replace("_", " "): draw() for draw in _SCENES}


class _Scene:
    """A canvas whose coordinates run from 0 to 100, from the top left."""

    def __init__(self, top, bottom, horizon, low, near):
        """A sky from ``top`` to ``bottom`` down to ``horizon``, and ground from ``low`` to ``near``."""
        size = SIDE * _FINE
        at = np.linspace(0, 100, size)[:, None]
        above = np.clip(at / max(horizon, 1), 0, 1)
        below = np.clip((at - horizon) / max(100 - horizon, 1), 0, 1)
        sky = np.array(top) * (1 - above) + np.array(bottom) * above
        ground = np.array(low) * (1 - below) + np.array(near) * below
        rows = np.where(at < horizon, sky, ground)
        random = np.random.default_rng(0)
        grain = random.normal(0, 9, (size // 6, size // 6, 1)).repeat(6, 0).repeat(6, 1)
        grain = grain * (at[: len(grain), None] >= horizon)
        image = np.clip(np.repeat(rows[: len(grain), None], len(grain), 1) + grain, 0, 255)
        self.image = Image.fromarray(image.astype("uint8")).filter(ImageFilter.GaussianBlur(2))
        self.pen = ImageDraw.Draw(self.image)
        self.scale = len(grain) / 100

    def oval(self, x, y, width, height, colour):
        box = [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
        self.pen.ellipse([value * self.scale for value in box], fill=colour)
        return self

    def shape(self, points, colour):
        self.pen.polygon([(x * self.scale, y * self.scale) for x, y in points], fill=colour)
        return self

    def line(self, points, width, colour):
        points = [(x * self.scale, y * self.scale) for x, y in points]
        self.pen.line(points, fill=colour, width=int(width * self.scale), joint="curve")
        for x, y in points:  # round ends
            r = width * self.scale / 2
            self.pen.ellipse([x - r, y - r, x + r, y + r], fill=colour)
        return self

    def ring(self, x, y, radius, width, colour):
        box = [v * self.scale for v in (x - radius, y - radius, x + radius, y + radius)]
        self.pen.ellipse(box, outline=colour, width=int(width * self.scale))
        return self

    def person(self, x, y, height, shirt, trousers, skin="#d8a583", hair="#3a2a1c", stride=0.1, arms=0.16):
        """Someone whose feet are at ``(x, y)``."""
        h = height
        hip, neck = (x, y - 0.47 * h), (x, y - 0.8 * h)
        for side in (-1, 1):
            foot = (x + side * stride * h, y)
            self.line([hip, (x + side * stride * 0.6 * h, y - 0.24 * h), foot], 0.085 * h, trousers)
            hand = (x + side * arms * h, y - 0.48 * h)
            self.line(
                [(x + side * 0.08 * h, y - 0.76 * h), (x + side * arms * h, y - 0.62 * h), hand],
                0.06 * h,
                skin,
            )
        self.line([(x, y - 0.5 * h), (x, y - 0.74 * h)], 0.19 * h, shirt)
        self.line([neck, (x, y - 0.86 * h)], 0.07 * h, skin)
        self.oval(x, y - 0.91 * h, 0.13 * h, 0.16 * h, skin)
        self.oval(x, y - 0.955 * h, 0.135 * h, 0.08 * h, hair)
        return self

    def dog(self, x, y, size, coat, dark):
        """A dog that runs to the right; its paws are at ``y``."""
        s = size
        for leg, bend in ((-0.34, -0.16), (-0.26, 0.02), (0.22, 0.14), (0.3, 0.3)):
            hip = (x + leg * s, y - 0.38 * s)
            self.line(
                [hip, (x + (leg + bend / 2) * s, y - 0.2 * s), (x + (leg + bend) * s, y)], 0.07 * s, coat
            )
        self.line(
            [(x - 0.36 * s, y - 0.5 * s), (x - 0.52 * s, y - 0.66 * s), (x - 0.62 * s, y - 0.7 * s)],
            0.05 * s,
            coat,
        )
        self.oval(x, y - 0.45 * s, 0.85 * s, 0.3 * s, coat)
        self.line([(x + 0.32 * s, y - 0.5 * s), (x + 0.46 * s, y - 0.68 * s)], 0.18 * s, coat)
        self.oval(x + 0.5 * s, y - 0.72 * s, 0.28 * s, 0.22 * s, coat)
        self.oval(x + 0.64 * s, y - 0.68 * s, 0.2 * s, 0.12 * s, coat)
        self.oval(x + 0.73 * s, y - 0.69 * s, 0.06 * s, 0.06 * s, "#111111")
        self.shape(
            [(x + 0.4 * s, y - 0.8 * s), (x + 0.48 * s, y - 0.82 * s), (x + 0.4 * s, y - 0.58 * s)], dark
        )
        self.oval(x + 0.54 * s, y - 0.75 * s, 0.035 * s, 0.035 * s, "#111111")
        return self

    def done(self):
        return self.image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)


_BLUE, _PALE = (80, 140, 215), (200, 222, 240)
_GRASS, _LAWN = (96, 140, 60), (66, 118, 40)
_SCENES = []


def _scene(draw):
    _SCENES.append(draw)
    return draw


@_scene
def a_brown_dog_running_on_grass():
    scene = _Scene((120, 150, 110), (90, 125, 80), 30, _GRASS, _LAWN)
    return scene.dog(46, 82, 60, "#8a5a2b", "#5d3a18").done()


@_scene
def two_dogs_in_the_snow():
    scene = _Scene(_PALE, (225, 232, 238), 25, (240, 243, 247), (226, 232, 240))
    scene.dog(30, 62, 36, "#222222", "#111111")
    return scene.dog(62, 88, 48, "#b98a4e", "#7d5526").done()


@_scene
def people_on_a_beach():
    scene = _Scene(_BLUE, _PALE, 38, (40, 110, 150), (70, 150, 175))
    scene.shape([(0, 66), (100, 60), (100, 100), (0, 100)], "#dcc596")
    for i in range(5):
        scene.line([(10 + 18 * i, 50 + i), (22 + 18 * i, 50 + i)], 0.7, "#e8f2f5")
    scene.person(34, 88, 44, "#d33a2c", "#2c3e70")
    return scene.person(64, 84, 38, "#f2f2f2", "#33557a").done()


@_scene
def a_boy_with_a_ball():
    scene = _Scene(_PALE, (150, 185, 130), 34, _GRASS, _LAWN)
    scene.person(42, 88, 60, "#d4281e", "#f5f5f5", stride=0.16)
    scene.oval(66, 84, 11, 11, "#f8f8f8")
    return scene.ring(66, 84, 5.5, 0.6, "#222222").done()


@_scene
def a_cyclist():
    scene = _Scene((110, 140, 105), (70, 105, 65), 52, (120, 120, 122), (92, 92, 95))
    for x in (32, 68):
        scene.ring(x, 78, 14, 1.4, "#181818")
    frame = [(32, 78), (46, 58), (62, 60), (50, 78), (32, 78)]
    scene.line(frame, 1.6, "#c22222").line([(50, 78), (46, 58)], 1.6, "#c22222")
    scene.line([(68, 78), (61, 54), (66, 52)], 1.6, "#c22222")
    scene.line([(45, 54), (54, 64), (51, 78)], 4.5, "#222a44").line([(45, 53), (55, 34)], 9, "#f0c419")
    scene.line([(55, 35), (58, 46), (65, 52)], 3.4, "#d8a583").oval(58, 25, 9, 11, "#d8a583")
    return scene.oval(58, 21.5, 11, 6.5, "#1d4fa0").done()


@_scene
def a_climber_on_a_rock():
    scene = _Scene(_BLUE, _PALE, 100, _PALE, _PALE)
    scene.shape([(34, 0), (100, 0), (100, 100), (18, 100), (26, 70), (22, 46)], "#8f8272")
    for i, (x, y) in enumerate([(44, 12), (52, 60), (70, 30), (34, 84), (80, 74)]):
        scene.line([(x, y), (x + 8 - 3 * i, y + 12)], 1, "#6d6256")
    scene.line([(40, 0), (40, 34)], 0.6, "#e07020")
    return scene.person(38, 76, 46, "#e24a1c", "#30405c", stride=0.2, arms=0.24).done()


@_scene
def a_skier():
    scene = _Scene((60, 120, 205), (160, 195, 230), 100, _PALE, _PALE)
    scene.shape([(0, 30), (100, 74), (100, 100), (0, 100)], "#f1f4f8")
    scene.person(48, 66, 38, "#d7263d", "#1d1d26", stride=0.12, arms=0.26)
    return scene.line([(28, 60), (72, 78)], 1.2, "#223355").line([(30, 57), (74, 74)], 1.2, "#223355").done()


@_scene
def a_boat_on_a_lake():
    scene = _Scene((240, 170, 110), (250, 210, 160), 45, (70, 100, 130), (40, 66, 96))
    scene.shape([(0, 45), (22, 30), (45, 45)], "#4a5a55").shape([(50, 45), (80, 26), (100, 45)], "#55635c")
    scene.shape([(22, 68), (78, 68), (68, 80), (32, 80)], "#7a2f1c")
    return (
        scene.shape([(49, 24), (49, 66), (26, 66)], "#f4f0e6").line([(50, 22), (50, 68)], 1, "#3a2a1c").done()
    )


if __name__ == "__main__":
    main()
