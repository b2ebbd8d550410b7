"""An encoder of frames that finds the joints of a figure, to begin the training of a video captioner with.

    python -m recipes.joint_finder --data msr_action3d.tar.gz --hold-out '/s05/' --output finder.npz
    python -m recipes.video_captioner train --data clips --hold-out '/s05/' --encoder-weights finder.npz \
        --model.encoder-learns False --model.encoder "ConvNet(…)" --model.tracks False --output RUN

What the sentences of some thousand clips teach of twenty joints is little. So the encoder learns first, from
single frames of takes that `recipes.moving_skeletons` films: each of its features is to have its centre where
a joint is drawn, in the order of the table. Its last layer has a feature for each joint, or more; `--encoder`
is that of the captioner.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recipes import finders
from recipes.clips import SIDE, photographs
from recipes.moving_skeletons import Table, Take, add_data, film, mirrored, recorded
from recipes.training import command_line, setup

# Strides of 4 in all: joints are found 0.5 pixels off, with strides of 8 0.8 pixels.
ENCODER = (
    "ConvNet(filters=(16, 32, 48, 48, 48, 20), strides=(2, 2, 1, 1, 1, 1), kernels=(5, 3, 3, 3, 3, 1))"
)
FRAMES = 8  # of each take
MOST = 2000  # frames to judge by


def stills(
    random: np.random.Generator, table: Table, found: list, takes: int, grounds: Sequence
) -> tuple[np.ndarray, np.ndarray]:
    """Frames and where joints are in them.

    Args:
        random: a ``numpy.random.Generator``.
        table, grounds: as of ``recipes.moving_skeletons.film``.
        found: as ``recipes.moving_skeletons.recorded`` gives it.
        takes: how many of each.

    Returns:
        uint8 ``[frames, SIDE, SIDE, 3]``, and float32 ``[frames, 2 * joints]``: how far down all joints are,
        then how far to the right, -1 to 1.
    """
    frames, places = [], []
    other_sides = [table.joints.index(mirrored(joint)) for joint in table.joints]
    for _, _, recording in found:
        for number in range(takes):
            take = Take.draw(random, mirror=number % 2 == 1)
            seen, spots = film(random, table, recording, take, grounds)
            chosen = random.choice(len(seen), min(FRAMES, len(seen)), replace=False)
            frames.append(seen[chosen])
            places.append(spots[chosen][:, other_sides] if take.mirror else spots[chosen])
    places = np.concatenate(places) * 2 / SIDE - 1
    return np.concatenate(frames), np.concatenate([places[..., 1], places[..., 0]], 1).astype("float32")


def main(arguments: list[str]) -> None:
    from zoo.layers.pooling import FeaturePoints

    parser = finders.parser(__doc__, ENCODER, epochs=12)
    add_data(parser)
    command_line.add_hold_out(parser, "sequences")
    parser.add_argument("--takes", type=int, default=20, metavar="N", help="to see of each, default 20")
    options = parser.parse_args(arguments)
    grounds, table = photographs(options.grounds), Table.read(options.table)
    joints = len(table.joints)
    encoder = finders.begin(options, joints, "joints")
    found, random = recorded(options, table), np.random.default_rng(options.seed)
    names = [name for name, _, _ in found]
    held = setup.held_out(names, options.hold_out, "sequences") if options.hold_out else set()
    learned = [one for one in found if one[0] not in held]
    check = [one for one in found if one[0] in held]

    def head(features):  # the centres of their mass, as the captioner takes them
        return FeaturePoints()(features[..., :joints])[:, joints : 3 * joints]

    learn = stills(random, table, learned, options.takes, grounds)
    model = finders.learn(options, encoder, head, "mae", *learn)
    frames, wanted = stills(random, table, check, 2, grounds) if check else learn
    finders.save(encoder, options.output)
    error = np.abs(model.predict(frames[:MOST], verbose=0) - wanted[:MOST]).mean() * SIDE / 2
    print(f"{options.output}: {joints} joints are found, on the mean {error:.1f} pixels off across and down.")


if __name__ == "__main__":
    command_line.command(main)
