"""Right-to-left text: from reading order to the order of the image columns, and back.

Text is stored in logical (reading) order everywhere. CTC walks through the image columns from left to
right, so a transcript of a right-to-left script is turned into that order for training, and what the
network reads is turned back. Both ways are the *same* permutation rule, its own inverse, so nothing is
lost on the way. It follows the Unicode Bidirectional Algorithm (UAX #9) for what lines of print hold:
right-to-left text with embedded numbers and left-to-right words.
"""

import unicodedata

import numpy as np

_MIRRORED = str.maketrans("()[]{}«»<>‹›", ")(][}{»«><›‹")
_SEPARATORS = frozenset(".,:/٫٬")  # between two digits these belong to the number (UAX #9, class CS)


def _kind(character):
    bidi = unicodedata.bidirectional(character)
    return {"L": "L", "EN": "D", "AN": "D", "R": "R", "AL": "R"}.get(bidi, "N")


def _left_to_right_runs(text):
    """Yield ``(start, end)`` of the maximal runs that read left to right inside right-to-left text."""
    kinds = [_kind(character) for character in text]
    start = 0
    while start < len(text):
        if kinds[start] not in "LD":
            start += 1
            continue
        # The longest stretch without a right-to-left letter, ending in a letter or digit …
        stop = start
        while stop < len(text) and kinds[stop] != "R":
            stop += 1
        while kinds[stop - 1] == "N":
            stop -= 1
        if "L" in kinds[start:stop]:
            yield start, stop
            start = stop
            continue
        # … and where it holds digits alone, one number at a time.
        end = start + 1
        while end < stop:
            if kinds[end] == "D":
                end += 1
            elif text[end] in _SEPARATORS and kinds[end - 1] == "D" and kinds[end + 1] == "D":
                end += 2
            else:
                break
        yield start, end
        start = end


def display_order(text):
    """Reorder a right-to-left line between reading order and the order of the image columns.

    Args:
        text: a line in logical order, or one in left-to-right image order.

    Returns:
        ``(reordered, permutation)``: the line in the other order, and an int array such that
        ``reordered[i]`` stands for ``text[permutation[i]]`` (brackets outside left-to-right runs are
        mirrored). Applying the function twice gives the text again.
    """
    order, inside = [], np.zeros(len(text), bool)
    end = 0
    for start, stop in _left_to_right_runs(text):
        order.extend((i,) for i in range(end, start))
        order.append(tuple(range(start, stop)))
        inside[start:stop] = True
        end = stop
    order.extend((i,) for i in range(end, len(text)))
    permutation = np.array([i for piece in reversed(order) for i in piece], int)
    reordered = "".join(text[i] if inside[i] else text[i].translate(_MIRRORED) for i in permutation)
    return reordered, permutation
