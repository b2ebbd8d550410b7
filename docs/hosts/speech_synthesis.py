"""Reads a text aloud, a paragraph on each line.

    python docs/hosts/speech_synthesis.py voice.onnx letter.wav < letter.txt

Needs onnxruntime, NumPy and soundfile. Numbers, signs such as & and abbreviations have to be spelled out
before; lines with digits, such signs or words in capitals are refused.
"""

import json
import re
import sys
import unicodedata

import numpy as np
import onnxruntime
import soundfile

PAUSE = 0.35  # seconds between sentences, twice that between lines
LONGEST = 220  # characters of a sentence
CUTS = r"[,;:–—]\s", r"\s"
ENDS, WITHIN = ".!?", ",;:"
SAME = {"…": ".", "—": ",", "–": ",", "(": ",", ")": ",", "[": ",", "]": ",", "/": " ", "-": " ", "_": " "}
NEAREST = {"ø": "ö", "œ": "ö", "æ": "ä", "å": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i"}
UNSPELLED = re.compile(r"\d|[&+=§@%°€$£]|\b[A-ZÄÖÜ]{2,5}\b")


def sentences(text):
    """The sentences of a line; long ones are cut behind their last mark, or else their last blank."""
    for sentence in re.split(r"""(?<=[.!?…])["'”’“»«)\]]*\s+""", text):
        while len(sentence) > LONGEST:
            ends = [[match.end() for match in re.finditer(place, sentence[:LONGEST])] for place in CUTS]
            at = next((some[-1] for some in ends if some and some[-1] > LONGEST // 4), LONGEST)
            yield sentence[:at]
            sentence = sentence[at:]
        yield sentence


def symbols_of(sentence):
    """What the graph reads of a sentence: "^", words in lower case, one sign between them, a mark."""
    text = "".join(SAME.get(one, one) for one in sentence.lower().replace("i\u0307", "i"))
    kept = (c for c in text if c in ENDS + WITHIN + " " or unicodedata.category(c)[0] in "LM")
    words, signs = [], []
    for word, sign in re.findall(r"([^ .!?,;:]+)([ .!?,;:]*)", "".join(kept)):
        words.append(word)
        signs.append(min(sign.replace(" ", ""), key=(ENDS + WITHIN).index, default=" "))
    if signs and signs[-1] not in ENDS:
        signs[-1] = "," if signs[-1] in WITHIN else "."
    return "^" + "".join(word + sign for word, sign in zip(words, signs, strict=True))


def rows_of(line, characters):
    """The sentences of a line as rows of a vocabulary, without those in which no letter is left."""
    text = re.sub(r"[\s\x00-\x1f\x7f-\x9f]+", " ", unicodedata.normalize("NFC", line)).strip()
    for sentence in sentences(text):
        known = ""
        for symbol in symbols_of(sentence):  # of a letter that the vocabulary does not have, the nearest
            tries = symbol, NEAREST.get(symbol), unicodedata.normalize("NFD", symbol)[0]
            known += next((one for one in tries if one and set(one) <= set(characters)), "")
        if any(map(str.isalpha, known)):
            yield [characters.index(one) + 1 for one in " ".join(known.split())]  # 0 pads


def main(model, output):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    characters = json.loads(about["seqzoo.vocabulary"])["characters"]
    rate = json.loads(about["seqzoo.config"])["sampling_rate"]
    sound = []
    for line in sys.stdin:
        if found := UNSPELLED.search(line):
            sys.exit(f"{found[0]!r} of {line.strip()[:40]!r} has to be spelled out")
        pause = 2 * PAUSE
        for rows in rows_of(line, characters):
            audio, count = session.run(
                ["audio", "audio_lengths"],
                {
                    "symbols": np.array([rows], np.int32),
                    "symbol_lengths": np.array([len(rows)], np.int32),
                    "speed": np.ones(1, np.float32),
                },
            )
            if sound:
                sound.append(np.zeros(round(pause * rate), np.float32))
            sound.append(audio[0, : count[0]])
            pause = PAUSE
    if not sound:
        sys.exit("there is no word in it")
    soundfile.write(output, np.concatenate(sound), rate)


if __name__ == "__main__":
    main(*sys.argv[1:])
