"""``zoo lm``: make a language model of words."""

from zoo.contract.options import positive, whole
from zoo.text import ngrams


def add_arguments(parser, arguments):
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    about = "make a language model of words, for speech, from text"
    build = commands.add_parser("build", help="from text", description=about)
    build.add_argument("texts", metavar="TEXT", nargs="+", help="a sentence a line, plain or .gz; - is stdin")
    build.add_argument("--output", metavar="FILE", required=True, help="the ARPA file, plain or .gz")
    build.add_argument("--order", type=positive, default=3, metavar="N", help="words it spans, default 3")
    build.add_argument(
        "--prune", type=_wholes, default=(0,), metavar="N,N,…",
        help="drop n-grams seen at most N times, one N for each order: 0,0,1 drops trigrams seen once",
    )  # fmt: skip


def run(options):
    sentences = [sentence for path in options.texts for sentence in ngrams.read_sentences(path)]
    text = ngrams.build(sentences, options.order, options.prune)
    counts = " + ".join(map(str, ngrams.LanguageModel.from_arpa(text).counts))
    size = ngrams.write_arpa(text, options.output)
    print(f"{options.output}: {counts} n-grams of {len(sentences)} sentences, {size:,} bytes")


def _wholes(text):
    return tuple(whole(number) for number in text.split(","))
