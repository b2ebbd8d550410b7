"""What recipes share whose models describe in a sentence: validation, splits, encoders of one's own."""

import re

from recipes.training import setup
from zoo.errors import UserError


def add_encoder(parser, default):
    """The options of ``parser`` that say what an encoder begins with."""
    parser.add_argument(
        "--encoder-weights", default=default, metavar="imagenet|none|FILE",
        help=f".npz with arrays named layer.variable, or .h5; imagenet is downloaded; default: {default}",
    )  # fmt: skip
    parser.add_argument(
        "--encoder-model", metavar="FILE.keras", help="an encoder of your own, with its weights"
    )


def validation(task, check, schedule, by="perplexity"):
    """The function called after each epoch; by the first of its scores, ``by``, the best epoch is chosen."""
    some = check.sample(300)
    if by == "cider":  # captions that please need not be likely ones

        def judge(scores):
            return {"minus_cider": -scores["cider"]}
    else:
        data = setup.pipeline(task, check, schedule, check=True)

        def judge(scores):
            return {"perplexity": task.perplexity(data.once())}

    def validate():
        scores = task.reader.evaluate(some, **task.reader.greedy)
        inputs, references = next(some.sample(3).chunks(3))
        said = task.predict(inputs, **task.reader.greedy)
        return judge(scores) | {
            "exact": scores["exact"],
            "bleu4": scores["bleu4"],
            "cider": scores["cider"],
            "examples": list(zip((captions[0] for captions in references), said, strict=True)),
        }

    return validate


def split(corpus, options, load_corpus, unit):
    """Samples to learn from and to validate on: of each corpus by its splits where it has some."""
    from zoo.data.splitting import hold_out

    corpus = corpus.select(lambda name: not re.search("/test[^/]*/", name))
    if options.validation or options.hold_out:
        return setup.split(corpus, options, load_corpus, unit, lambda name: [])
    is_held, held = re.compile("/(dev|val)[^/]*/").search, set()
    found = hold_out(corpus.names, lambda name: [], unit)
    for one in found:
        names = {name for name in corpus.names if name.startswith(f"{one.corpus}/")}
        own = set(filter(is_held, names))
        if own and own != names:
            one.names, one.groups = own, "by its splits"
        held |= one.names
    return setup.part(corpus, held, options, unit, "; ".join(map(str, found)))


def own_encoder(path):
    """An encoder in a file of Keras. Raises UserError."""
    import keras

    try:
        model = keras.saving.load_model(path, compile=False)  # safe mode: executes nothing
    except Exception as error:  # whatever a broken file makes of zipfile and Keras
        raise UserError(f"{path}: no Keras model can be read ({str(error).splitlines()[0]}).") from error
    if [len(one.shape) for one in model.inputs or ()] != [4]:
        raise UserError(f"{path}: this model does not take images; give one from [batch, side, side, 3].")
    return model
