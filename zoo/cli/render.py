"""``zoo render``: draw lines of text as scans, make lines with the script of every column, or ink."""

from __future__ import annotations


def main(arguments: list[str]) -> int:
    given = {text.partition("=")[0] for text in arguments}
    if "--ink" in given:
        from zoo.images.render import ink

        return ink.main(arguments)
    if not given & {"--script", "--by-text"}:
        from zoo.images.render import lines

        return lines.main(arguments)
    from zoo.backend import import_tensorflow

    import_tensorflow()
    from zoo.images.render import scripts, transcripts

    if {"-h", "--help"} & given:  # which may stand in the place of a value
        arguments = ["--help"]
    return (transcripts if "--by-text" in given else scripts).main(arguments)
