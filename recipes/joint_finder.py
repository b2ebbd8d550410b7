"""An encoder of frames that finds the joints of a figure, to begin the training of a video captioner with.

    python -m recipes.joint_finder --data msr_action3d.tar.gz --output finder.npz
"""

import argparse

import numpy as np

from recipes import clips
from recipes.clips import SIDE
from recipes.moving_skeletons import TABLE, Table, Take, film, recorded
from recipes.training import command_line
from zoo import files

FRAMES = 8  # of each take


def stills(random, table, found, takes, grounds):
    """Frames, uint8 ``[n, SIDE, SIDE, 3]``, and where joints are, ``[n, 2 * joints]``: rows, columns, -1 to 1."""
    frames, places = [], []
    for _, _, recording in found:
        for take in range(takes):
            seen, spots = film(random, table, recording, Take.draw(random, mirror=take % 2 == 1), grounds)
            chosen = random.choice(len(seen), min(FRAMES, len(seen)), replace=False)
            if take % 2 == 1:
                spots = spots[:, table.other_sides]
            frames.append(seen[chosen])
            places.append(spots[chosen])
    places = (np.concatenate(places) + 0.5) * 2 / SIDE - 1
    return np.concatenate(frames), np.concatenate([places[..., 1], places[..., 0]], 1).astype("float32")


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("--data", nargs="+", required=True)
    parser.add_argument("--only")
    parser.add_argument("--table", default=TABLE)
    parser.add_argument("--encoder", default="ConvNet(filters=(16, 32, 64, 64, 20), strides=(2, 2, 2, 1, 1), kernels=(5, 3, 3, 3, 1))")
    parser.add_argument("--takes", type=int, default=12)
    parser.add_argument("--epochs", type=int, default=6, metavar="N", help="default 6")
    parser.add_argument("--grounds", metavar="FOLDER", help="photographs to cut half of the grounds from")
    parser.add_argument("--check")
    parser.add_argument("--output", required=True, metavar="FILE.npz", help="the encoder's weights")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    import keras

    from zoo.layers.encoders import Preprocess, make_encoder
    from zoo.layers.pooling import FeaturePoints

    keras.utils.set_random_seed(options.seed)
    grounds, table = clips.photographs(options.grounds), Table.read(options.table)
    random = np.random.default_rng(options.seed)
    learn = stills(random, table, recorded(options.data, table, options.only), options.takes, grounds)
    check = stills(random, table, recorded(options.data, table, options.check), 2, grounds)
    print(len(learn[0]), len(check[0]))
    encoder = make_encoder(options.encoder, SIDE)
    depth = encoder.output.shape[-1]
    image = keras.Input((SIDE, SIDE, 3), dtype="uint8")
    last = encoder.layers[-1]
    activation, last.activation = last.activation, keras.activations.softplus
    points = FeaturePoints()(encoder(Preprocess(options.encoder)(image)))
    model = keras.Model(image, points[:, depth : 3 * depth])
    steps = options.epochs * -(-len(learn[0]) // 64)
    rate = keras.optimizers.schedules.CosineDecay(3e-3, steps)
    model.compile(keras.optimizers.Adam(rate), "mae")
    model.fit(*learn, batch_size=64, epochs=options.epochs, verbose=2, validation_data=check)
    last.activation = activation
    err = np.abs(keras.Model(image, FeaturePoints()(encoder(Preprocess(options.encoder)(image)))[:, depth : 3 * depth]).predict(check[0], verbose=0) - check[1]) * SIDE / 2
    print("pixels off, relu", err.mean(), dict(zip(table.joints, np.round(err.reshape(len(err), 2, -1).mean((0, 1)), 1).tolist())))
    with files.atomic_write(options.output) as file:
        np.savez(file, **{"{}.{}".format(*v.path.split("/")[-2:]): np.asarray(v) for v in encoder.weights})


if __name__ == "__main__":
    command_line.command(main)
