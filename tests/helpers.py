"""What several test modules call."""

import contextlib
import importlib.util
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
HOSTS = ROOT / "docs" / "hosts"

# What `pip install seqzoo` does not bring, made impossible to import.
BASE_INSTALL = """
import sys
EXTRA = {"tensorflow", "keras", "tf2onnx", "onnx", "jiwer", "sacrebleu", "tensorflow_datasets", "safetensors",
         "matplotlib", "fontTools", "tensorboard", "jax", "h5py", "scipy", "setuptools", "pytest"}
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in EXTRA:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
"""


def load_host(name):
    """The module of a program in docs/hosts."""
    spec = importlib.util.spec_from_file_location(f"host_{name}", HOSTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def on_backend(backend, **more):
    """The environment of a process on a backend; under JAX, short tests mostly wait for compilation, which
    takes two thirds of the time where XLA optimizes little.
    """
    compiles_fast = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
    fast = {"XLA_FLAGS": compiles_fast} if backend == "jax" else {}
    return os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"} | fast | more


def run_recipe(family, *arguments, backend="tensorflow"):
    """A recipe with what its command says and its exit status, a ``subprocess.CompletedProcess``.

    On this process's backend it runs in this process, which has spent the seconds that loading takes.
    """
    arguments = list(map(str, arguments))
    if backend != os.environ.get("KERAS_BACKEND", "tensorflow"):
        command = [sys.executable, "-m", f"recipes.{family}", *arguments]
        return subprocess.run(command, cwd=ROOT, env=on_backend(backend), capture_output=True, text=True)
    import keras

    from zoo.errors import UserError

    keras.utils.clear_session()  # variables get the names that a new process would give them
    said, complained, status = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
        try:
            importlib.import_module(f"recipes.{family}").main(arguments)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            status = 2
    return subprocess.CompletedProcess(arguments, status, said.getvalue(), complained.getvalue())


def trained(family, *arguments, backend="tensorflow"):
    """What a recipe prints, which has to succeed; see ``run_recipe``."""
    done = run_recipe(family, *arguments, backend=backend)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def python(program, *arguments, **options):
    options = {"capture_output": True, "encoding": "utf-8", "cwd": ROOT, "timeout": 60} | options
    return subprocess.run([sys.executable, "-c", program, *map(str, arguments)], **options)


def zoo_on_base(*arguments, **options):
    return python(BASE_INSTALL + "from zoo.cli import main; sys.exit(main())", *arguments, **options)


def own_card(run, preset=None):
    """The card of a run, which tells what each one has to: its own figures, data, command and licence."""
    from zoo import hub

    folder = hub.find(Path(run))
    about, text = hub.info(folder), hub.card(folder)
    assert text.startswith(f"# {Path(run).name}\n") and about["training_command"] in text
    assert about.get("made_from") == (preset and str(preset)) and about["date"] in text
    assert about["figures"] and all(("before" in one) == bool(preset) for one in about["figures"])
    assert all(f"{one['samples']:,} " in text and one["set"] in text for one in about["figures"])
    assert f"## Licence\n\n{'Not stated' if about['licence'] == 'not stated' else about['licence']}" in text
    assert "- learned: " in text and "- held out, never learned: " in text
    return text


def scene():
    """A photograph of sorts: something brown on grass under the sky, uint8 ``[300, 400, 3]``."""
    rows, columns = np.mgrid[:300, :400]
    image = np.where((rows < 150)[..., None], np.array([90, 150, 230]), np.array([60, 140, 50]))
    image[(rows - 170) ** 2 + (columns - 200) ** 2 < 3000] = 120, 70, 30
    return image.astype("uint8")


def filmed():
    """Something dark that moves to the left over grass, uint8 ``[12, 60, 80, 3]``."""
    frames = np.tile(np.uint8([60, 140, 50]), (12, 60, 80, 1))
    for i, frame in enumerate(frames):
        frame[20:44, 50 - 3 * i : 56 - 3 * i] = 10
    return frames


def formula():
    """Strokes of x + 1, as points: float32 ``[points, 3]``."""
    corners = [
        [(0, 30), (30, 80)], [(30, 30), (0, 80)], [(50, 55), (90, 55)], [(70, 35), (70, 75)],
        [(112, 20), (125, 5), (125, 85)],
    ]  # fmt: skip
    parts = []
    for stroke in corners:
        at = np.linspace(0, len(stroke) - 1, 12 * len(stroke))
        points = np.stack([np.interp(at, range(len(stroke)), column) for column in np.transpose(stroke)], 1)
        parts.append(np.concatenate([points, np.eye(len(points))[-1][:, None]], 1))
    return np.concatenate(parts).astype("float32")


def small_deep_speech(noise, **settings):
    """A recogniser of a few units, whose weights are moved by so much noise from where they begin."""
    import keras

    from zoo.families.deep_speech.network import DeepSpeech, DeepSpeechConfig
    from zoo.text.characters import Vocabulary

    keras.utils.set_random_seed(4)
    sizes = {"units": (12, 11, 10), "recurrent_units": 9, "last_units": 8, "mels": 20}
    task = DeepSpeech(DeepSpeechConfig(**sizes | settings), Vocabulary("abcdef '"))
    random = np.random.default_rng(1)
    task.set_weights({k: v + noise * random.standard_normal(v.shape) for k, v in task.weights().items()})
    return task


def learn(task, corpus, epochs):
    """Trains a task on a corpus, without varying it, and gives the loss of each epoch."""
    import keras

    from zoo.data.pipeline import Pipeline

    data = Pipeline(task, corpus, batch_size=10)
    model, batches = task.training_model(), data.epoch(0, augment=False).repeat()
    model.compile(keras.optimizers.Adam(0.01))
    steps = {"epochs": epochs, "steps_per_epoch": data.steps}
    return model.fit(batches, **steps, shuffle=False, verbose=0).history["loss"]
