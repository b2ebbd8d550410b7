"""Texts as they are spoken: numbers, dates and abbreviations spelled out, sentences, symbols.

Numbers are spelled by num2words, which knows many languages; what is said around them (ordinals, dates,
times, money, units, abbreviations, letters one by one) is in the table of a language. A language without a
table has its plain numbers spelled.
"""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from typing import TYPE_CHECKING

from zoo.errors import UserError
from zoo.text.normalise import lower, normalise_sentence

if TYPE_CHECKING:
    from zoo.text.plain import Characters

START = "^"  # before the first letter
ENDS, WITHIN = ".!?", ",;:"  # the marks that are symbols, those that end a sentence and others
LONGEST = 220  # symbols of a sentence; longer ones are cut


@dataclasses.dataclass(frozen=True)
class Spoken:
    """How a language says what is not written in letters.

    Attributes:
        abbreviations: ``{as written: as spoken}``.
        units: ``{sign behind a number: (of one, of more)}``.
        signs: ``{sign: as spoken}``.
        money: ``{sign: (whole, hundredths)}``.
        months: their names.
        letters: the names of ``ALPHABET``, for what is said letter by letter.
        point: name of the sign before decimals; ``minus`` that of a negative number.
        to: what stands between the ends of a range, ``score`` between the numbers of a score.
        clock: what stands between hours and minutes.
        inflected: words after which an ordinal takes ``ending``; else it takes ``other``, but after
            ``article`` none.
        article: words.
        first_year, last_year: numbers of four digits that are read as years.
        one: "one" before a unit.
    """

    abbreviations: dict
    units: dict
    signs: dict
    money: dict
    months: tuple
    letters: tuple
    point: str
    minus: str
    to: str
    score: str
    clock: str
    inflected: tuple
    article: tuple
    ending: str
    other: str
    one: str
    first_year: int = 1100
    last_year: int = 1999


_GERMAN = Spoken(
    abbreviations={
        "z. B.": "zum Beispiel", "d. h.": "das heißt", "u. a.": "unter anderem", "i. d. R.": "in der Regel",
        "u. U.": "unter Umständen", "o. Ä.": "oder Ähnliches", "v. Chr.": "vor Christus",
        "s. o.": "siehe oben",
        "n. Chr.": "nach Christus", "z. T.": "zum Teil", "usw.": "und so weiter", "etc.": "et cetera",
        "bzw.": "beziehungsweise", "ca.": "circa", "evtl.": "eventuell", "ggf.": "gegebenenfalls",
        "inkl.": "inklusive", "vgl.": "vergleiche", "sog.": "sogenannte", "geb.": "geboren", "Dr.": "Doktor",
        "Prof.": "Professor", "Hr.": "Herr", "Fr.": "Frau", "Nr.": "Nummer", "Str.": "Straße", "St.": "Sankt",
        "Mio.": "Millionen", "Mrd.": "Milliarden", "Abs.": "Absatz", "Art.": "Artikel", "Bd.": "Band",
        "Kap.": "Kapitel", "Abb.": "Abbildung", "max.": "maximal", "min.": "minimal", "Std.": "Stunden",
        "Min.": "Minuten", "Sek.": "Sekunden", "Tel.": "Telefon", "gest.": "gestorben", "Jh.": "Jahrhundert",
    },
    units={
        "%": ("Prozent", "Prozent"), "‰": ("Promille", "Promille"), "°C": ("Grad Celsius", "Grad Celsius"),
        "°": ("Grad", "Grad"), "km/h": ("Kilometer pro Stunde", "Kilometer pro Stunde"),
        "km²": ("Quadratkilometer", "Quadratkilometer"), "m²": ("Quadratmeter", "Quadratmeter"),
        "m³": ("Kubikmeter", "Kubikmeter"), "km": ("Kilometer", "Kilometer"),
        "mm": ("Millimeter", "Millimeter"),
        "cm": ("Zentimeter", "Zentimeter"), "m": ("Meter", "Meter"), "kg": ("Kilogramm", "Kilogramm"),
        "g": ("Gramm", "Gramm"), "t": ("Tonne", "Tonnen"), "l": ("Liter", "Liter"),
        "h": ("Stunde", "Stunden"),
        "s": ("Sekunde", "Sekunden"), "kW": ("Kilowatt", "Kilowatt"), "MB": ("Megabyte", "Megabyte"),
        "GB": ("Gigabyte", "Gigabyte"), "ha": ("Hektar", "Hektar"),
    },
    signs={"&": "und", "+": "plus", "=": "gleich", "§": "Paragraf", "@": "at", "%": "Prozent", "°": "Grad"},
    money={"€": ("Euro", "Cent"), "$": ("Dollar", "Cent"), "£": ("Pfund", "Pence"), "EUR": ("Euro", "Cent")},
    months=(
        "Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober",
        "November", "Dezember",
    ),
    letters=tuple(
        "a be ze de e eff ge ha i jot ka ell emm enn o pe ku err ess te u vau we ix üpsilon zett "
        "ä ö ü".split()
    ),
    point="Komma",
    minus="minus",
    to="bis",
    score="zu",
    clock="Uhr",
    inflected=(
        "am", "vom", "zum", "dem", "den", "des", "beim", "im", "ab", "seit", "bis", "jeden", "jedem", "einem",
    ),
    article=("der", "die", "das", "eine", "jede"),
    ending="n",
    other="r",
    one="ein",
)  # fmt: skip
ALPHABET = "abcdefghijklmnopqrstuvwxyzäöü"
LANGUAGES = {"de": _GERMAN}

_NUMBER = r"\d{1,3}(?:\.\d{3})+(?:,\d+)?|\d+(?:,\d+)?"  # 1.234,5 as German has it
_DECIMAL = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?"  # 1,234.5
_CAPITALS = re.compile(r"\b[A-ZÄÖÜ]{2,5}\b")
_END = re.compile(r"""(?<=[.!?…])["'”“’»«)\]]*\s+|\n\s*""")
_LATIN = {"ø": "ö", "œ": "ö", "æ": "ä", "å": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i"}
_MARKS = {"…": ".", "—": ",", "–": ",", "(": ",", ")": ",", "[": ",", "]": ",", "/": " ", "-": " ", "_": " "}


def spell(text: str, language: str) -> str:
    """A text with everything in letters, its marks and its upper case kept.

    Args:
        text: as written.
        language: code of the language, such as "de".

    Raises:
        UserError: it has numbers, and num2words is not installed or does not know the language.
    """
    text = normalise_sentence(text) if "\n" not in text else text
    table = LANGUAGES.get(language)
    if table is None:
        return re.sub(_DECIMAL, lambda match: _plain(match[0].replace(",", ""), language), text)
    for written, spoken in table.abbreviations.items():
        pattern = re.escape(written).replace(r"\ ", r"\s?")
        text = re.sub(rf"(?<!\w){pattern}(?!\w)", spoken, text)
    text = _dates(text, table, language)
    text = re.sub(r"(?<=\d)\s?[-–]\s?(?=\d)", f" {table.to} ", text)
    text = re.sub(r"(?<=\d):(?=\d)", f" {table.score} ", text)
    text = re.sub(r"(?<![\w.,])[-−](?=\d)", f"{table.minus} ", text)
    text = _quantities(text, table, language)
    text = _ordinals(text, table, language)
    text = re.sub(_NUMBER, lambda match: _number(match[0], table, language), text)
    for sign, spoken in table.signs.items():
        text = text.replace(sign, f" {spoken} ")
    return _CAPITALS.sub(lambda match: _letters(match[0], table), text)


def _dates(text, table, language):
    """Times of the day, and dates: 14:30 Uhr, 3.10.1990, 3. Oktober."""

    def clock(match):
        minutes = int(match[2])
        spoken = f"{_cardinal(int(match[1]), language)} {table.clock}"
        return f"{spoken} {_cardinal(minutes, language)}" if minutes else spoken

    def date(match):
        day, month, year = int(match[2]), int(match[3]), match[4]
        if not (1 <= day <= 31 and 1 <= month <= 12):
            return match[0]
        spoken = f"{match[1] or ''}{_ordinal(day, match[1], table, language)} {table.months[month - 1]}"
        return f"{spoken} {_number(year, table, language)}" if year else spoken

    def month(match):
        return f"{match[1] or ''}{_ordinal(int(match[2]), match[1], table, language)} {match[3]}"

    text = re.sub(rf"\b([01]?\d|2[0-4])[:.]([0-5]\d)\s?{table.clock}\b", clock, text)
    text = re.sub(r"(\b\w+\s)?\b(\d{1,2})\.\s?(\d{1,2})\.\s?(\d{4}|\d{2}\b)?", date, text)
    return re.sub(rf"(\b\w+\s)?\b(\d{{1,2}})\.\s?({'|'.join(table.months)})\b", month, text)


def _quantities(text, table, language):
    """Money, and numbers with a unit."""

    def money(match):
        whole, _, part = match[1].replace(".", "").partition(",")
        name = table.money[match[2]][0] if match[2] in table.money else match[2]
        spoken = f"{_counted(int(whole), table, language)} {name}"
        if not part or not int(part):
            return spoken
        if len(part) != 2:
            return f"{_number(match[1], table, language)} {name}"
        return f"{spoken} {_cardinal(int(part), language)}"

    def unit(match):
        one, more = table.units[match[2]]
        if match[1] == "1":
            return f"{table.one}{'' if one in more and one != 'Stunde' else 'e'} {one}"
        return f"{_number(match[1], table, language)} {more}"

    signs = "|".join(map(re.escape, table.money))
    text = re.sub(rf"({signs})\s?({_NUMBER})", r"\2 \1", text)
    names = "|".join(sorted({name for name, _ in table.money.values()}))
    text = re.sub(rf"({_NUMBER})\s?({signs}|{names})(?!\w)", money, text)
    units = "|".join(map(re.escape, table.units))
    return re.sub(rf"({_NUMBER})\s?({units})(?!\w)", unit, text)


def _ordinals(text, table, language):
    """ "der 2. Weltkrieg": a number with a point before a word that does not begin a sentence."""

    def ordinal(match):
        before = (match[1] or "").strip().lower()
        if match[3][0].isupper() and before not in (*table.inflected, *table.article):
            return match[0]
        return f"{match[1] or ''}{_ordinal(int(match[2]), match[1], table, language)} {match[3]}"

    return re.sub(r"(\b\w+\s)?\b(\d{1,3})\.\s(\w)", ordinal, text)


def _ordinal(number, before, table, language):
    before, spoken = (before or "").strip().lower(), _num2words(number, language, "ordinal")
    if before in table.inflected:
        return spoken + table.ending
    return spoken if before in table.article else spoken + table.other


def _number(written, table, language):
    """A number as it is written in the language."""
    whole, _, decimals = written.partition(",")
    if "." not in whole and not decimals and len(whole) == 4:
        if table.first_year <= int(whole) <= table.last_year:
            return _num2words(int(whole), language, "year")
    digits = whole.replace(".", "")
    if len(digits) > 15 or digits != "0" and digits.startswith("0"):  # a telephone's, or a code
        return " ".join(_cardinal(int(digit), language) for digit in digits + decimals)
    spoken = _cardinal(int(digits), language)
    if decimals:
        spoken += f" {table.point} " + " ".join(_cardinal(int(digit), language) for digit in decimals)
    return spoken


def _counted(number, table, language):
    return table.one if number == 1 else _cardinal(number, language)


def _plain(written, language):
    return _num2words(float(written) if "." in written else int(written), language, "cardinal")


def _cardinal(number, language):
    return _num2words(number, language, "cardinal")


def _num2words(number, language, kind):
    try:
        from num2words import num2words
    except ModuleNotFoundError as error:
        raise UserError(
            'numbers are spelled out by num2words, which is not installed; pip install "seqzoo[voice]", or '
            "write them in words"
        ) from error
    try:
        return num2words(number, lang=language, to=kind).replace("-", " ")
    except (NotImplementedError, OverflowError) as error:
        raise UserError(f"num2words cannot spell {number} in {language!r}; write it in words") from error


def _letters(word, table):
    """A word of capitals letter by letter, where it cannot be said or is short: CDU, but NATO."""
    vowels = sum(letter in "AEIOUÄÖÜ" for letter in word)
    if len(word) > 3 and vowels >= 2:
        return word.capitalize()
    return " ".join(table.letters[ALPHABET.index(letter)] for letter in word.lower())


def sentences(text: str) -> list:
    """The sentences of a text that was spelled out, none without a letter, none longer than ``LONGEST``."""
    found = [one.strip() for one in _END.split(text)]
    return [piece for one in found for piece in _cut(one) if any(map(str.isalpha, piece))]


def _cut(sentence):
    """A sentence in pieces of up to ``LONGEST`` characters, cut behind a mark or else a blank."""
    while len(sentence) > LONGEST:
        marks = [match.end() for match in re.finditer(r"[,;:–—]\s", sentence[:LONGEST])]
        blanks = [match.end() for match in re.finditer(r"\s", sentence[:LONGEST])]
        at = next((ends[-1] for ends in (marks, blanks) if ends and ends[-1] > LONGEST // 4), LONGEST)
        yield sentence[:at].strip()
        sentence = sentence[at:]
    yield sentence


def symbols(sentence: str) -> str:
    """What a network reads of a sentence in letters: ``START``, words in lower case, one sign between them.

    The sign is a blank or the mark there; a mark ends it. Other signs are left out.
    """
    found = "".join(
        _MARKS.get(character, character) for character in lower(unicodedata.normalize("NFC", sentence))
    )
    found = "".join(
        c for c in found if c in ENDS + WITHIN or c.isspace() or unicodedata.category(c)[0] in "LM"
    )
    words, marks = [], []
    for word, mark in re.findall(rf"([^\s{ENDS}{WITHIN}]+)([\s{ENDS}{WITHIN}]*)", found):
        words.append(word)
        strong = [c for c in mark if not c.isspace()]
        marks.append(min(strong, key=(ENDS + WITHIN).index) if strong else " ")
    if not words:
        return ""
    if marks[-1] not in ENDS:
        marks[-1] = "," if marks[-1] in WITHIN else "."
    return START + "".join(map("".join, zip(words, marks, strict=True)))


def known(text: str, vocabulary: Characters) -> tuple:
    """Symbols in letters that a vocabulary has: é as e, where it has no é.

    Returns:
        ``(symbols, foreign)``: the letters that no known one stands for, as a set.
    """
    found, foreign = [], set()
    for character in text:
        tries = [character, _LATIN.get(character, ""), unicodedata.normalize("NFD", character)[0]]
        for one in tries:
            if one and all(part in vocabulary for part in one):
                found.append(one)
                break
        else:
            if unicodedata.category(character)[0] != "M":
                foreign.add(character)
    return "".join(found), foreign
