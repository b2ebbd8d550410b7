"""``zoo render``: draw lines of text as scanned images."""


def main(arguments):
    from zoo.images.render import lines

    return lines.main(arguments)
