"""Character language models: train one on any text, or fine-tune one; they write text, and score it.

    python -m recipes.char_lm train    --data shakespeare.txt.gz --output RUN --model.dropout 0.5
    python -m recipes.char_lm finetune --preset char_lm_c --data my_code/ --output RUN --extend

CORPUS: a text file, plain or .gz, Parquet or JSON lines with `text`, a folder or tar of such, or tfds:NAME.
Nothing in a text is changed. Several are joined, one behind the other, and learned without a boundary between
them. A part of each corpus validates, whole texts of several or else its end, or --validation.

Truncated back-propagation through time: the text is cut into as many streams as --training.batch-size says
(64 unless given), of which each step learns the next --chunk characters; the state is carried on. On a CPU
all cores work on one step (--training.threads 0). At the end, the best model is calibrated on the text that
validates: one factor for all logits, which makes that text cheapest.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import sys
from pathlib import Path

from recipes.training import card, command_line, loop, report, setup
from recipes.training.schedule import Schedule
from zoo.contract.options import positive
from zoo.errors import UserError


@dataclasses.dataclass(frozen=True)
class StreamSchedule(Schedule):
    """See ``Schedule``; a sample is a stream."""

    batch_size: int = 64
    threads: int = 0


def main(arguments: list[str], prog: str | None = None) -> None:
    from zoo.families.char_lm.network import CharLm, CharLmConfig

    top, train, finetune = command_line.parser(__doc__, StreamSchedule, prog)
    train.add_argument(
        "--minimum-count", type=int, default=1, metavar="N",
        help="characters that occur less often are learned as unknown ones; default: 1, there are none",
    )  # fmt: skip
    finetune.add_argument("--extend", action="store_true", help="learn characters that the preset lacks")
    for one in (train, finetune):
        command_line.add_columns(one, "text")
        one.add_argument(
            "--chunk", type=positive, default=128, metavar="N",
            help="characters that gradients flow back; default: 128",
        )  # fmt: skip
        one.add_argument(
            "--hold-out", type=command_line.share, default=0.05, metavar="SHARE",
            help="share of each corpus to validate on; default: 0.05",
        )  # fmt: skip
        command_line.add_fields(one, "model", CharLmConfig, preset=one is finetune)
    options = top.parse_args(arguments)
    schedule = command_line.read_schedule(options)
    setup.set_up(schedule)

    if options.action == "train":
        task, config = None, command_line.read_fields(options, "model", CharLmConfig)
    else:
        task = setup.load_preset(options, CharLm)

    learn, check = _texts(options)
    if task is None:
        from zoo.text.plain import Characters

        task = CharLm(config, Characters.learn(learn, options.minimum_count))
    else:
        missing = task.vocabulary.unknown(learn)
        task = setup.with_tokens(task, missing, "characters of the text", options)
    from zoo.families.char_lm.corpus import Streams

    data = Streams(task.vocabulary.encode(learn), schedule.batch_size, options.chunk)
    print(
        f"{len(learn):,} characters to learn from in {data.streams} streams, {len(check):,} to validate on. "
        f"{len(task.vocabulary.characters)} different ones, {task.network.count_params():,} weights."
    )

    scored = []  # nats a character, which is the loss

    def validation():
        bits = task.reader.score(check).mean() / math.log(2)
        scored.append(float(bits) * math.log(2))
        known = "".join(c for c in check[:160] if c in task.vocabulary)
        prompt, follows = known[: len(known) // 2], known[len(known) // 2 :]
        written = task.predict(prompt, length=max(1, len(follows)), temperature=0.8)
        return {
            "bits_per_character": float(bits),
            "examples": [(_on_one_line(prompt, follows), _on_one_line(prompt, *written))],
        }

    settings = setup.settings(task, schedule, options)
    told = card.of_run(task, settings, learn, check, unit="characters")
    history = loop.train(
        task, data, validation, options.output, schedule, settings, lambda model: scored[-1], told
    )
    if not task.config.tied_embeddings:
        bits, calibrated = _calibrate(task, check)
        best = min(history, key=lambda row: row["bits_per_character"])
        task.card = told([history[0], best | {"bits_per_character": calibrated}])
        task.save(Path(options.output) / "best")
        print(f"Calibrated: bits_per_character {bits:.4f} -> {calibrated:.4f}")
    report.finished(
        task,
        options.output,
        "write with it, to score text",
        "zoo predict {} --prompt 'Once' --length 500 --temperature 0.8",
        "zoo evaluate {} --data text.txt",
    )


def _calibrate(task, text):
    """Scale the logits by what makes ``text`` cheapest, found in steps of 2 %.

    Temperature scaling (Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2): what was
    learned again and again is foretold with more certainty than new text deserves.

    Returns:
        Bits per character before and after.
    """

    def cost():
        return float(task.reader.score(text).mean()) / math.log(2)

    before = best = cost()
    for factor in (1 / 1.02, 1.02):
        while True:
            task.scale_logits(factor)
            now = cost()
            if not now < best:
                task.scale_logits(1 / factor)
                break
            best = now
    return before, best


def _texts(options):
    """The text to learn from, and the text to validate on."""
    from zoo.families.char_lm.corpus import load_texts

    load = functools.partial(load_texts, columns=command_line.columns(options))
    found = load(options.data, progress=True)
    for sentence in found.skipped:
        print(f"skipped: {sentence}", file=sys.stderr)
    if options.validation:
        learn, check = found.joined(), load(options.validation, progress=True).joined()
    else:
        learn, check = _without_ends(found, options)
    if len(learn) < 2:
        raise UserError(
            f"{', '.join(options.data)}: {len(learn)} characters to learn from are too few; give more text."
        )
    return learn, check


def _without_ends(found, options):
    """The text to learn from, and what is held out of each corpus: whole texts of several, else its end."""
    from zoo.data.splitting import choose
    from zoo.families.char_lm.corpus import joined

    learned, checked, told, hows, share = [], [], [], [], options.hold_out
    for corpus in dict.fromkeys(name.partition("/")[0] for name in found.names):
        own = found.select(lambda name, start=f"{corpus}/": name.startswith(start))
        sizes = {name: len(text) for name, text in zip(own.names, own.texts, strict=True)}
        aim = share * sum(sizes.values())
        held = set(choose(sizes, aim, 2 * aim))
        if len(held) < len(own) and sum(map(sizes.get, held)) >= aim / 2:
            check, how = own.select(held.__contains__).joined(), f"{len(held)} of {len(own)} texts"
            learn = own.select(lambda name, held=held: name not in held).joined()
        else:
            text, how = own.joined(), "its end"
            count = max(1, round(share * len(text)))
            learn, check = text[:-count], text[-count:]
        told.append(f"{corpus}: {len(learn):,} characters to learn, {len(check):,} held out ({how})")
        hows.append(f"of {corpus} {how}")
        learned.append(learn)
        checked.append(check)
    print(f"{'; '.join(told)}.")
    setup.tell(options, held_out="; ".join(hows))
    return joined(learned), joined(checked)


def _on_one_line(prompt, text):
    return f"{prompt} … {text}".replace("\n", "⏎")


if __name__ == "__main__":
    command_line.command(main)
