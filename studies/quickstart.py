"""The whole way of a reader in under six minutes on two cores: ``make quickstart``.

Reads lines with a shipped preset; fine-tunes it on lines in a typeface (DejaVu) and with characters
(Polish) that it has never seen, rendered on the spot; shows the character error rate before and after;
exports ONNX; reads the same images with onnxruntime alone.

    python -m studies.quickstart [--output runs/quickstart]
"""

import argparse
import shutil
import time
from pathlib import Path

import numpy as np

from recipes import line_ocr
from recipes.training import command_line, setup
from recipes.training.schedule import Schedule
from zoo.errors import UserError

# Lines are made of these words, so that none but the first list is seen in training.
LEARNED = """żółw łąka źródło święto ćwierć dąb gęś pięć książka człowiek północ wąż jeż źle już także
ponieważ rzeka miasto szkoła dziecko kobieta mężczyzna słońce księżyc gwiazda droga dom okno drzwi stół
krzesło
jabłko gruszka śliwka wiśnia chleb masło mleko woda sól pieprz łyżka nóż widelec talerz szklanka rok
miesiąc tydzień dzień godzina minuta wczoraj dzisiaj jutro zawsze nigdy często rzadko dużo mało większość
Kraków Gdańsk Łódź Poznań Wrocław Żywiec Śląsk Ćmielów Źródła cena złotych 12,50 199 3,99 2024 1683""".split()
HELD_OUT = """gęsty żaba łódka świat ćma koźlę mąka wąski sędzia zięć książę cień pięść źrebak półka błąd
zażółcić jaźń ślimak żołnierz Łomża Święty Żory cztery 45,90 1794 ulica zielony królik wiosna""".split()


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", default="runs/quickstart", help="default: runs/quickstart, made anew")
    parser.add_argument("--preset", default="line_ocr_en", help="default: line_ocr_en")
    parser.add_argument("--epochs", default="8", help="passes over 400 lines")
    options = parser.parse_args(arguments)
    output = Path(options.output)
    if output.exists() and not (output / "lines").is_dir():
        raise UserError(f"{output} holds other things than a quickstart; choose another --output.")
    shutil.rmtree(output, ignore_errors=True)
    started = time.perf_counter()
    setup.set_up(Schedule())

    from export import runtime
    from export.onnx_file import to_onnx
    from zoo.contract.task import load

    def step(title):
        print(f"\n=== {title} ({time.perf_counter() - started:.0f} s)", flush=True)

    step(f"Reading with {options.preset}, as it was trained")
    shown = write_lines(output / "english", ENGLISH, seed=1)
    reader = load(options.preset)
    for path, text in zip(shown, reader.predict(shown), strict=True):
        print(f"  {path}: {text}")

    step("The same reader on Polish lines in a typeface that it has never seen")
    write_lines(output / "lines", random_lines(LEARNED, 400, seed=2), seed=2)
    test = write_lines(output / "test", random_lines(HELD_OUT, 80, seed=3), seed=3)
    before = reader.evaluate(output / "test", progress=True)
    readings = reader.predict(test[:4])
    print(f"  character error rate {before['cer']:.1%} on {before['lines']} lines")

    step("Fine-tuning it on 400 lines of other words")
    run = output / "tuned"
    line_ocr.main(
        [
            "finetune", "--preset", options.preset, "--data", str(output / "lines"), "--output", str(run),
            "--extend", "--training.epochs", options.epochs, "--training.learning-rate", "0.001",
        ]
    )  # fmt: skip
    tuned = load(run)
    after = tuned.evaluate(output / "test", progress=True)

    step("Exporting it, and reading again with onnxruntime alone")
    report = to_onnx(tuned, output / "reader.onnx")
    onnx = runtime.load(output / "reader.onnx")
    again = onnx(test[:4])
    begun = time.perf_counter()
    onnx(test)
    rate = len(test) / (time.perf_counter() - begun)
    keras = tuned.predict(test[:4])
    for i, path in enumerate(test[:4]):
        print(f"  {path}")
        print(f"    written            {path.with_suffix('.gt.txt').read_text(encoding='utf-8').strip()}")
        print(f"    before             {readings[i]}")
        print(f"    fine-tuned, Keras  {keras[i]}")
        print(f"    onnxruntime        {again[i]}")
    print(f"\n  character error rate   {before['cer']:.1%} before, {after['cer']:.1%} after fine-tuning")
    print(f"  {output / 'reader.onnx'}: {report['size'] / 1e6:.1f} MB, {rate:.0f} lines per second")
    print(f"  all in {time.perf_counter() - started:.0f} s; to read your own lines:")
    print(f"    .venv/bin/zoo predict {output}/reader.onnx scan.png")


ENGLISH = [
    "The quick brown fox jumps over the lazy dog.",
    "Proceedings of the Society, Vol. 14, pp. 66-75, 1991.",
    "It was a bright cold day in April, and the clocks were striking thirteen.",
]


def random_lines(words, count, seed):
    """``count`` lines of two to five of the words."""
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(words, random.integers(2, 6))) for _ in range(count)]


def write_lines(folder, texts, seed):
    """Render texts in DejaVu Serif as scanned lines into a corpus folder; the paths of the images."""
    import matplotlib
    from PIL import Image
    from tqdm import tqdm

    from zoo.images.render.lines import LineRenderer

    fonts = Path(matplotlib.get_data_path(), "fonts", "ttf").glob("DejaVuSerif*.ttf")
    renderer = LineRenderer(sorted(font for font in fonts if "Display" not in font.name), seed=seed)
    folder.mkdir(parents=True)
    paths = []
    for i, text in enumerate(tqdm(texts, desc=f"rendering {folder}", unit="line")):
        path = folder / f"line_{i:03d}.png"
        Image.fromarray(renderer.render(text, i)).save(path)
        path.with_suffix(".gt.txt").write_text(text + "\n", encoding="utf-8")
        paths.append(path)
    return paths


if __name__ == "__main__":
    command_line.command(main)
