"""What a text classifier knows of texts and labels: tokens, and the pieces that long texts are read in."""

import functools
import itertools

from zoo.errors import UserError
from zoo.text.normalise import language_of, normalise_text
from zoo.text.subwords import Subwords
from zoo.text.words import Words

LIMIT = 512  # tokens classified as one text; training sees as many


class TextVocabulary:
    """What a classifier reads and what it says.

    Args:
        tokens: the ``zoo.text.words.Words`` or ``zoo.text.subwords.Subwords`` of normalised texts.
        labels: list of str, the names of the output rows.
    """

    PAD, UNKNOWN, START, END = range(4)  # as both kinds of tokens have them

    def __init__(self, tokens, labels):
        self.tokens, self.labels = tokens, list(labels)
        self._rows = {label: row for row, label in enumerate(self.labels)}
        if len(self._rows) != len(self.labels) or not all(self.labels):
            raise ValueError("A vocabulary names each label once.")
        if not any(label.isdecimal() for label in self.labels):
            self._rows |= {str(row): row for row in range(len(self.labels))}

    def __len__(self):
        """Number of tokens."""
        return len(self.tokens)

    def __contains__(self, label):
        return label in self._rows

    def __eq__(self, other):
        same = isinstance(other, TextVocabulary) and type(self.tokens) is type(other.tokens)
        return same and self.tokens == other.tokens and self.labels == other.labels

    def encode(self, text):
        """Text -> list of rows, without start and end."""
        return self.tokens.encode(normalise_text(text, self._language))

    @functools.cached_property
    def _language(self):
        return language_of(self.tokens.spellings())

    def row(self, label):
        """The output row of a label, which a corpus may also name by its number from 0.

        Raises:
            UserError: the model has no such label.
        """
        if label not in self._rows:
            raise UserError(
                f"the label {label!r} is none of the model's, which are {', '.join(self.labels)}; "
                "correct it, or leave out its texts"
            )
        return self._rows[label]

    def to_json(self):
        return {"labels": self.labels, **self.tokens.to_json()}

    @classmethod
    def from_json(cls, data):
        """Raises ValueError or KeyError where ``data`` is damaged."""
        try:
            return cls((Words if "words" in data else Subwords).from_json(data), data["labels"])
        except RuntimeError as error:
            raise ValueError("no SentencePiece model") from error

    def metadata(self):
        """What an exported file says of it."""
        return {"vocabulary": self.to_json()}


def bounded(rows):
    """Rows -> with start and end, lists of up to ``LIMIT`` and these two; one if there are none."""
    count = max(1, -(-len(rows) // LIMIT))
    ends = [round(len(rows) * part / count) for part in range(count + 1)]
    return [
        [TextVocabulary.START, *rows[first:last], TextVocabulary.END]
        for first, last in itertools.pairwise(ends)
    ]
