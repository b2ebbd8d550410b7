"""Whether a character language model closes what it opens: brackets of C; braces and environments of LaTeX.

    python benchmarks/balance.py latex char_lm_latex --length 5000 --samples 20 --temperature 0.8
    python benchmarks/balance.py c char_lm_c --text kept_apart.c

Counted in text that the model writes (and in --text, for comparison): of all that closes, how much closes
what was opened last; by how many characters lie between. What a sample's end leaves open is not counted.
"""

import argparse
import re
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

SPANS = (0, 20, 100, 500, 2000)  # characters from what opens to what closes
# Of C, comments, strings and characters are passed over; of LaTeX, comments and what is escaped.
PASSED = {
    "c": r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])+'",
    "latex": r"\\[\\{}$%]|%[^\n]*",
}
TOKENS = {
    "c": r"[][(){}]",
    "latex": r"\\(?:begin|end)\{\w+\*?\}|\$\$|[{}$]",
}
CLOSES = {")": "(", "]": "[", "}": "{"}


def pairs(text, language):
    """Yield for everything that closes whether it closes what was opened last, and the distance to that."""
    stack = []
    for found in re.finditer(f"(?P<passed>{PASSED[language]})|{TOKENS[language]}", text, re.DOTALL):
        if found["passed"]:
            continue
        token, place = found[0], found.start()
        opens = token
        if token.startswith(r"\end"):
            opens = token.replace(r"\end", r"\begin")
        elif token in CLOSES:
            opens = CLOSES[token]
        elif not (token.startswith("$") and stack and stack[-1][0] == token):
            stack.append((token, place))
            continue
        right = bool(stack) and stack[-1][0] == opens
        yield right, place - stack[-1][1] if stack else 0
        # After a wrong one, go on behind its own opening where there is one.
        while stack and any(opens == one for one, _ in stack):
            if stack.pop()[0] == opens:
                break


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("language", choices=sorted(TOKENS))
    parser.add_argument("model")
    parser.add_argument("--text", help="a text to compare with")
    parser.add_argument("--length", type=int, default=5000)
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    import zoo

    reader = zoo.load(options.model).reader
    written = [
        "".join(reader.write("", options.length, options.temperature, seed=options.seed + i))
        for i in range(options.samples)
    ]
    texts = {"written": written}
    if options.text:
        texts["the text"] = [Path(options.text).read_text(encoding="utf-8")]
    bounds = [f"from {low}" if low else f"under {SPANS[1]}" for low in SPANS]
    print(f"| characters between | {' | '.join(texts)} |\n|---|{'---|' * len(texts)}")
    counts = {title: _count(samples, options.language) for title, samples in texts.items()}
    for i, title in enumerate(bounds):
        print(f"| {title} | {' | '.join(_share(counts[name], i) for name in texts)} |")


def _count(samples, language):
    """``(right or not, class of span) -> how often``."""
    return Counter(
        (right, sum(span >= low for low in SPANS) - 1)
        for sample in samples
        for right, span in pairs(sample, language)
    )


def _share(counts, span):
    right, wrong = counts[True, span], counts[False, span]
    return f"{right / (right + wrong):.1%} of {right + wrong:,}" if right + wrong else "none"


if __name__ == "__main__":
    main()
