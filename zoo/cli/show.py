"""``zoo show``."""

from zoo import hub


def add_arguments(parser, arguments):
    parser.add_argument("model", metavar="NAME", help="preset name or task folder")


def run(options):
    text = hub.card(hub.find(options.model))
    print(text, end="" if text.endswith("\n") else "\n")
