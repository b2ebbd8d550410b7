"""``zoo verify``: whether a model's files are, byte by byte, those that were written."""

from zoo import hub
from zoo.contract.model import is_file, open_file


def add_arguments(parser, arguments):
    parser.add_argument("model", metavar="MODEL", help="preset name, task or run folder, or .onnx file")


def run(options):
    if is_file(options.model):
        from export import about

        about.verify(options.model)
        open_file(options.model)
    else:
        hub.find(options.model)
    print(f"{options.model}: every byte is as it was written")
