"""``zoo bench``."""

from zoo.cli.export import use_tensorflow
from zoo.contract.options import positive


def add_arguments(parser, arguments):
    parser.add_argument("model", metavar="MODEL", help="preset name, task or run folder, or .keras file")
    parser.add_argument("--steps", type=positive, metavar="N", help="length of the sequences, default 200")
    parser.add_argument("--threads", type=positive, metavar="N", help="onnxruntime's, default one a core")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="default: text")


def run(options):
    use_tensorflow()
    from export import bench

    bench.main(options)
