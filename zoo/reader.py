"""What the ``zoo`` command asks of a reader: all that it knows of a task."""


class BaseReader:
    """What a person has -> what a person reads, with an exported file or a loaded task.

    A subclass has besides what follows ``of_task(task)``, its constructor from a loaded ``zoo.task.Task``.

    Attributes:
        reads: what it reads, in the plural: "images".
        one: one of these, for messages: "image".
        takes: "files", where each input is the path of one; "lines", where each line of a text is one;
            "prompts", where each is a text as a whole that is gone on from, or there is none: ``write(prompt,
            **decoding)`` gives that in pieces.
        options: what it understands of ``zoo predict`` and ``zoo evaluate``: ``beam_width``, ``n_best``,
            ``length_penalty``, ``prompt`` (which ``stream`` takes as an input), ``length``,
            ``temperature``, ``top_k``, ``seed``, ``decoder``, ``language_model``,
            ``alpha``, ``beta``, ``hot_words``, which ``stream`` takes as keyword arguments, and the outputs
            ``plot``, ``srt`` and ``vtt``.
        exported_only: those of them that exported files alone understand.
        single: the outputs that are of one input at a time.
        figures: ``{metric: format}``, the figures by which models are compared.
        config: dict, the model's configuration.
    """

    reads = one = None
    takes = "files"
    options = exported_only = frozenset()
    single = frozenset({"plot", "srt", "vtt"})
    figures = {}

    def stream(self, inputs, errors="raise", progress=False, **decoding):
        """Iterate over the results, in the order of the inputs: each has ``text`` and ``to_json()``.

        Args:
            inputs: an iterable.
            errors: "raise", or "return" to get the UserError of a bad input in its place.
            progress: show a bar.
            decoding: what is not to be as the model's configuration says.
        """
        raise NotImplementedError

    def picture(self, item, path, **decoding):
        """Draw how an input was read, as a PNG file.

        Where ``plot`` is not ``single``, ``item`` is a list of inputs, and ``found``, which is not among
        ``decoding``, a list of their results.
        """
        raise NotImplementedError

    def evaluate(self, corpus, progress=False, **decoding):
        """The report on a corpus of the task: a dict with ``figures`` and ``skipped``."""
        raise NotImplementedError

    def rows(self, report):
        """A report as a person reads it: list of ``(name, text)``."""
        figures = [(metric, form.format(report[metric])) for metric, form in self.figures.items()]
        return [*figures, ("skipped", str(len(report["skipped"])))]


class SpellingReader(BaseReader):
    """What readers that spell have in common: error rates are what they are measured by.

    Attributes:
        unit: what a corpus consists of, in the plural: "lines".
    """

    figures = {"cer": "{:.2%}", "wer": "{:.2%}"}
    unit = None

    def rows(self, report):
        rows = [(self.unit, f"{report['lines']} ({report['characters']} characters)"), *super().rows(report)]
        if report["unknown_characters"]:
            listed = " ".join(f"{c}×{count}" for c, count in report["unknown_characters"].items())
            rows.append(("unknown", f"{listed} (not in the vocabulary, counted as errors)"))
        return rows
