"""Presets: where a model's folder is found, and whether its files are the ones that were published.

A task folder holds ``config.json``, ``vocabulary.json``, ``weights.safetensors``, perhaps ``card.md``, and
``preset.json``, which names the task, what ``zoo list`` says of it (``headline``), what its card says for
programs (``zoo.contract.card``), and the sha256 of every other file. Names are looked up in the package
(``zoo/presets/``), then in ``$ZOO_HOME/presets/`` (``~/.cache/seqzoo`` where that is not set).
"""

from __future__ import annotations

import difflib
import hashlib
import http.client
import json
import os
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from zoo import __version__, files
from zoo.contract.card import worded
from zoo.errors import UserError

PACKAGED = Path(__file__).with_name("presets")
REQUIRED = ("config.json", "vocabulary.json", "weights.safetensors")
SCHEMES = ("https",)
LARGEST_DOWNLOAD = 2 << 30  # bytes; what a wrong address may cost in time and disk
ABOUT_COPY = "about.json"  # in the folder of a copy of a corpus: what it is a copy of
TIMEOUT = 60  # seconds without a byte

_NAME = r"\w[\w.-]*"
# Of what `preset.json` may say of a model; it may have other things, too.
_TYPES = {
    "name": str,
    "task": str,
    "description": str,
    "licence": str,
    "headline": str,
    "made_from": str,
    "date": str,
    "training_command": str,
    "figures": list,
    "parameters": int,
    "size_bytes": int,
    "files": dict,
}


def home() -> Path:
    """The folder of downloads and of the user's own presets."""
    return Path(os.environ.get("ZOO_HOME") or "~/.cache/seqzoo").expanduser()


def names() -> list[str]:
    """The names of all presets, sorted."""
    found = set()
    for place in (PACKAGED, home() / "presets"):
        found.update(file.parent.name for file in place.glob("*/preset.json"))
    return sorted(name for name in found if re.fullmatch(_NAME, name))


def find(name: str | os.PathLike) -> Path:
    """The task folder of a model, after every file in it was checked.

    Args:
        name: a preset's name, the path of a task folder or of a run folder (whose ``best/`` is
            meant), or an address with its sha256. A name wins over a folder of the same name, which
            is reached by ``./name``; a ``Path`` is always a folder.

    Returns:
        Path of a folder in which every file named in ``preset.json`` has the sha256 given there.

    Raises:
        UserError: nothing of this name, a failed download, a missing or changed file.
    """
    text = os.fspath(name)
    if "://" in text:
        root, mend = _fetch(text), "remove the folder and load the address again"
    elif isinstance(name, str) and (root := folder(name)) is not None:
        mend = "reinstall seqzoo" if root.parent == PACKAGED else "remove the folder and fetch it again"
    else:
        root, mend = _task_folder(text), "copy, fetch or train it again"
    _verify(root, mend)
    return root


def info(path: str | os.PathLike) -> dict[str, Any]:
    """What ``preset.json`` says of a task folder, as a dict.

    Raises:
        UserError: it is not there, no JSON, or a field of it has another type than it should.
    """
    file = Path(path) / "preset.json"
    try:
        about = json.loads(file.read_text(encoding="utf-8"))
        if wrong := _wrong(about):
            raise ValueError(wrong)
        return about
    except FileNotFoundError:
        raise UserError(
            f"{file}: no such file; this folder is not a whole model, fetch or train it again"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{file}: cannot be read ({error}); fetch or train the model again") from error


def _wrong(about):
    """What is wrong with the content of a ``preset.json``, or None."""
    if not isinstance(about, dict):
        return "not an object"
    for field, kind in _TYPES.items():
        if field in about and not isinstance(about[field], kind):
            return f"{field} is {about[field]!r:.40}, no {kind.__name__}"
    for figure in about.get("figures", ()):
        if not isinstance(figure, dict) or not {"set", "metric", "value"} <= figure.keys():
            return "a figure lacks its set, metric or value"
    return None


def card(path: str | os.PathLike) -> str:
    """The model card, Markdown; from ``preset.json`` where a model was trained and has no card yet."""
    file = Path(path) / "card.md"
    if file.is_file():
        return file.read_text(encoding="utf-8", errors="replace")
    about = info(path)
    lines = [
        f"# {title(path)}",
        "",
        about.get("description") or "No card was written.",
        "",
    ]
    for key in ("task", "licence", "headline", "parameters", "size_bytes"):
        if about.get(key):
            lines.append(f"- {key.replace('_', ' ')}: {about[key]}")
    for figure in about.get("figures", ()):
        lines.append(f"- {figure['set']}: {worded(figure, about.get('task'))}")
    return "\n".join(lines) + "\n"


def title(path: str | os.PathLike) -> str:
    """What to call the model of a task folder: a run's by the run's folder, as each has a ``best``."""
    path = Path(path)
    name = info(path).get("name") or path.name
    return path.resolve().parent.name if name == "best" else name


def folder(name: str) -> Path | None:
    """The folder of a preset by its name alone, unchecked; None where there is none."""
    if not re.fullmatch(_NAME, name):
        return None
    places = (PACKAGED / name, home() / "presets" / name)
    return next((place for place in places if (place / "preset.json").is_file()), None)


def _task_folder(text):
    """The task folder at a path: that folder itself, or the ``best/`` of a run."""
    place = Path(text).expanduser()
    for candidate in (place, place / "best"):
        files.recover(candidate)
        if (candidate / "preset.json").is_file():
            return candidate
    if place.is_dir():
        raise UserError(
            f"{text}: neither a task folder (with preset.json) nor a run folder with a best/ in it"
        )
    if place.is_file():
        raise UserError(
            f"{text}: this is a file; give a preset's name (`zoo list`), a task folder or a run folder"
        )
    close = difflib.get_close_matches(text, names(), n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    raise UserError(
        f"{text}: no preset, task folder or run folder of this name; {hint}`zoo list` shows the presets"
    )


def _verify(folder, mend):
    """Compare every file with its sha256 in ``preset.json``."""
    listed = info(folder).get("files")
    if not isinstance(listed, dict):
        raise UserError(f"{folder / 'preset.json'}: lists no files with their sha256; {mend}")
    for name in (*REQUIRED, *listed):
        file = folder / name
        if name not in listed or Path(name).name != name:
            raise UserError(f"{folder / 'preset.json'}: names no sha256 for {name!r} in its folder; {mend}")
        if not file.is_file():
            raise UserError(f"{file}: this file of the model is missing; {mend}")
    for name, expected in listed.items():
        if files.sha256(folder / name) != expected:
            raise UserError(f"{folder / name}: its sha256 differs from the one in preset.json; {mend}")


# === Addresses ===


def _fetch(address):
    """Download a preset's tar, once, to ``$ZOO_HOME/downloads``, check it and unpack it there."""
    url, digest = _parse(address)
    root = home() / "downloads" / digest
    if not root.is_dir():
        with files.atomic_folder(root, keep=True) as folder:  # another process may load the same now
            archive = folder / ".tar"  # no member is called so: hidden ones are left out
            _download(url, digest, archive)
            files.extract(archive, folder)
            archive.unlink()
    # A tar is usually packed with its folder: `tar czf my_reader.tar.gz my_reader`.
    found = [
        file.parent for file in (root / "preset.json", *sorted(root.glob("*/preset.json"))) if file.is_file()
    ]
    if len(found) != 1:
        raise UserError(
            f"{address}: this tar should hold one task folder (with preset.json), it holds {len(found)}"
        )
    return found[0]


def _parse(address):
    """An address -> (URL to download, expected sha256)."""
    place, _, digest = address.partition("#sha256=")
    if not re.fullmatch("[0-9a-fA-F]{64}", digest):
        raise UserError(
            f"{address}: an address ends with the sha256 of its file, as #sha256= and 64 hexadecimal digits"
        )
    scheme, _, rest = place.partition("://")
    if scheme == "hf":
        match = re.fullmatch(r"([^/@]+/[^/@]+)/([^@]+?)(?:@(.+))?", rest)
        if not match:
            raise UserError(
                f"{address}: such an address is hf://owner/repo/path/x.tar.gz[@revision]#sha256=…"
            )
        repo, path, revision = match.groups()
        hub = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
        place = f"{hub}/{repo}/resolve/{revision or 'main'}/{path}"
        scheme = place.partition("://")[0]
    if scheme not in SCHEMES:
        raise UserError(f"{address}: models are loaded from https:// and hf:// addresses only")
    return place, digest.lower()


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follow redirections as long as they stay encrypted."""

    def redirect_request(self, request, file, code, message, headers, new_url):
        if new_url.partition("://")[0] not in SCHEMES:
            raise urllib.error.URLError(f"it redirects to {new_url}, which is not https")
        return super().redirect_request(request, file, code, message, headers, new_url)


def _download(url, digest, path):
    """Put the file of a URL under ``path`` if it has the given sha256; otherwise leave nothing there."""
    from tqdm import tqdm

    opener = urllib.request.build_opener(_SafeRedirects)
    request = urllib.request.Request(url, headers={"User-Agent": f"seqzoo/{__version__}"})
    found, count = hashlib.sha256(), 0
    try:
        with opener.open(request, timeout=TIMEOUT) as response, files.atomic_write(path) as file:
            size = int(response.headers.get("Content-Length") or 0)
            name = url.rpartition("/")[2]
            bar = {"unit": "B", "unit_scale": True, "desc": name, "leave": False, "disable": None}
            with tqdm(total=size or None, **bar) as bar:
                while data := response.read(1 << 18):
                    count += len(data)
                    if max(count, size) > LARGEST_DOWNLOAD:
                        raise UserError(
                            f"{url}: larger than {LARGEST_DOWNLOAD >> 20} MiB, so it was not loaded"
                        )
                    found.update(data)
                    file.write(data)
                    bar.update(len(data))
            if count < size:
                raise UserError(f"{url}: the connection broke after {count} of {size} bytes; try again")
            if found.hexdigest() != digest:
                raise UserError(
                    f"{url}: its sha256 is {found.hexdigest()}, the address says {digest}; "
                    "it was removed, check the address with whoever gave it"
                )
    except urllib.error.HTTPError as error:
        raise UserError(
            f"{url}: the server answered {error.code} {error.reason}; check the address"
        ) from error
    except urllib.error.URLError as error:
        raise UserError(
            f"{url}: cannot be loaded ({error.reason}); check the connection and the address"
        ) from error
    except (http.client.HTTPException, OSError) as error:
        raise UserError(f"{url}: the connection broke ({error}); try again") from error
