import functools
import hashlib
import http.server
import json
import shutil
import tarfile
import threading

import pytest

import zoo
from zoo import presets
from zoo.errors import UserError


@pytest.fixture
def packaged(tmp_path, monkeypatch, make_preset):
    """Two presets in a package folder and one in $ZOO_HOME."""
    monkeypatch.setattr(presets, "PACKAGED", tmp_path / "package")
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    make_preset(tmp_path / "package/line_ocr_en")
    make_preset(tmp_path / "package/line_ocr_fraktur")
    make_preset(tmp_path / "home/presets/my_reader")
    return tmp_path / "package"


def test_names_and_places(packaged, tmp_path):
    assert presets.names() == ["line_ocr_en", "line_ocr_fraktur", "my_reader"]
    assert presets.find("line_ocr_en") == packaged / "line_ocr_en"
    assert presets.find("my_reader") == tmp_path / "home/presets/my_reader"


def test_home_has_a_default(monkeypatch):
    monkeypatch.delenv("ZOO_HOME")
    assert presets.home().parts[-2:] == (".cache", "seqzoo")
    monkeypatch.setenv("ZOO_HOME", "~/elsewhere")
    assert presets.home().is_absolute()


def test_name_wins_over_folder(packaged, tmp_path, monkeypatch, make_preset):
    make_preset(tmp_path / "here/line_ocr_en")
    monkeypatch.chdir(tmp_path / "here")
    assert presets.find("line_ocr_en") == packaged / "line_ocr_en"
    assert presets.find("./line_ocr_en").resolve() == tmp_path / "here/line_ocr_en"


def test_run_folder_means_its_best(tmp_path, make_preset):
    best = make_preset(tmp_path / "run/best")
    (tmp_path / "run/config.json").write_text("{}")  # of the training
    assert presets.find(str(tmp_path / "run")) == best
    assert presets.find(tmp_path / "run/best") == best


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("line_ocr_eng", "did you mean line_ocr_en"),
        ("lin_ocr_fractur", "line_ocr_fraktur"),
        ("xyz", "no preset, task folder or run folder of this name; `zoo list`"),
        ("../line_ocr_en", "no preset"),
    ],
)
def test_unknown_name(packaged, name, hint):
    with pytest.raises(UserError, match=hint):
        presets.find(name)


def test_other_folder_and_file(tmp_path):
    with pytest.raises(UserError, match="neither a task folder"):
        presets.find(tmp_path)
    (tmp_path / "x.zip").write_text("")
    with pytest.raises(UserError, match="this is a file"):
        presets.find(tmp_path / "x.zip")


@pytest.mark.parametrize("name", ["weights.safetensors", "config.json", "vocabulary.json", "card.md"])
@pytest.mark.parametrize("run", ["line_ocr_en", None])
def test_changed_file(packaged, tmp_path, make_preset, name, run):
    folder = packaged / run if run else make_preset(tmp_path / "run/best")
    data = bytearray((folder / name).read_bytes())
    data[-3] ^= 1
    (folder / name).write_bytes(data)
    mend = "reinstall" if run else "train it again"
    with pytest.raises(UserError, match=f"{name}: its sha256 differs.*{mend}"):
        presets.find(run or str(tmp_path / "run"))
    with pytest.raises(UserError, match="sha256 differs"):
        zoo.load(run or str(tmp_path / "run"))


def test_missing_file(packaged):
    (packaged / "line_ocr_en/weights.safetensors").unlink()
    with pytest.raises(UserError, match=r"weights\.safetensors: this file .* missing; reinstall"):
        presets.find("line_ocr_en")


def test_file_without_sha256(packaged):
    file = packaged / "line_ocr_en/preset.json"
    about = json.loads(file.read_text())
    del about["files"]["weights.safetensors"]
    file.write_text(json.dumps(about))
    with pytest.raises(UserError, match=r"names no sha256 for 'weights\.safetensors'"):
        presets.find("line_ocr_en")
    about["files"] |= {"weights.safetensors": "", "../../secret": ""}
    file.write_text(json.dumps(about))
    with pytest.raises(UserError, match=r"names no sha256 for '\.\./\.\./secret'"):
        presets.find("line_ocr_en")
    for text in ("{}", "[]", "{", "\udcff"):
        file.write_bytes(text.encode("utf-8", "surrogateescape"))
        with pytest.raises(UserError, match=r"preset\.json"):
            presets.find("line_ocr_en")


def test_info_and_card(packaged):
    assert presets.info(packaged / "line_ocr_en")["task"] == "line_ocr"
    assert presets.card(packaged / "line_ocr_en").startswith("# line_ocr_en\n\nReads naïve lines.")


def test_card_of_a_run_without_one(packaged):
    folder = packaged / "line_ocr_en"
    (folder / "card.md").unlink()
    figure = {"set": "UW3", "metric": "cer", "value": 0.006, "samples": 9}
    about = presets.info(folder) | {"figures": [figure]}
    (folder / "preset.json").write_text(json.dumps(about))
    assert "- UW3: cer 0.006" in presets.card(folder)


# === Addresses ===


@pytest.fixture
def server(tmp_path, packaged, monkeypatch):
    """A web server over an empty folder, which plain http reaches for once. Knows what was asked of it."""
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            if self.path.startswith("/moved/"):
                self.send_response(302)
                self.send_header("Location", self.path.removeprefix("/moved/"))
                self.end_headers()
            else:
                super().do_GET()

        def copyfile(self, source, outputfile):
            data = source.read()
            outputfile.write(data[: len(data) // 2] if "broken" in self.path else data)

        def log_message(self, *arguments):
            pass

    web = tmp_path / "web"
    web.mkdir()
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=web))
    threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
    running.web, running.asked = web, asked
    running.url = f"http://127.0.0.1:{running.server_address[1]}"
    monkeypatch.setattr(presets, "SCHEMES", ("https", "http"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield running
    running.shutdown()
    running.server_close()


def pack(folder, path, arcname):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as tar:
        tar.add(folder, arcname)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def downloads():
    folder = presets.home() / "downloads"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.mark.parametrize("arcname", [".", "line_ocr_en"])
def test_address_is_downloaded_once(server, packaged, arcname):
    digest = pack(packaged / "line_ocr_en", server.web / "x.tar.gz", arcname)
    for _ in range(2):
        folder = presets.find(f"{server.url}/x.tar.gz#sha256={digest.upper()}")
        assert (folder / "weights.safetensors").stat().st_size == 1000
    assert server.asked == ["/x.tar.gz"]
    assert downloads() == [digest]


def test_downloaded_files_are_checked_on_every_load(server, packaged):
    digest = pack(packaged / "line_ocr_en", server.web / "x.tar.gz", ".")
    folder = presets.find(f"{server.url}/x.tar.gz#sha256={digest}")
    (folder / "weights.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match="sha256 differs.*remove the folder"):
        presets.find(f"{server.url}/x.tar.gz#sha256={digest}")


@pytest.mark.parametrize("revision", [None, "v1.2"])
def test_hub_address(server, packaged, monkeypatch, revision):
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    path = f"me/readers/resolve/{revision or 'main'}/sub/x.tar.gz"
    digest = pack(packaged / "line_ocr_en", server.web / path, ".")
    at = f"@{revision}" if revision else ""
    presets.find(f"hf://me/readers/sub/x.tar.gz{at}#sha256={digest}")
    assert server.asked == [f"/{path}"]


def test_hub_is_the_known_one(monkeypatch):
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    url, digest = presets._parse("hf://me/readers/x.tar.gz@abc#sha256=" + "A" * 64)
    assert url == "https://huggingface.co/me/readers/resolve/abc/x.tar.gz"
    assert digest == "a" * 64


@pytest.mark.parametrize("wrong", ["", "#sha256=", "#sha256=12ab", "#md5=" + "0" * 64, "#sha256=" + "g" * 64])
def test_address_without_sha256(server, wrong):
    with pytest.raises(UserError, match="ends with the sha256"):
        presets.find(f"{server.url}/x.tar.gz{wrong}")
    assert server.asked == []


@pytest.mark.parametrize("address", ["http://127.0.0.1/x.tar.gz", "ftp://127.0.0.1/x", "file:///etc/passwd"])
def test_unsafe_scheme(address):
    with pytest.raises(UserError, match="https:// and hf:// addresses only"):
        presets.find(f"{address}#sha256={'0' * 64}")


def test_malformed_hub_address():
    with pytest.raises(UserError, match="hf://owner/repo/path"):
        presets.find(f"hf://me/x.tar.gz#sha256={'0' * 64}")


def test_wrong_sha256_leaves_nothing(server, packaged):
    pack(packaged / "line_ocr_en", server.web / "x.tar.gz", ".")
    with pytest.raises(UserError, match=r"x\.tar\.gz: its sha256 is [0-9a-f]{64}, the address says 0{64}"):
        presets.find(f"{server.url}/x.tar.gz#sha256={'0' * 64}")
    assert downloads() == []


def test_broken_connection_leaves_nothing(server, packaged):
    digest = pack(packaged / "line_ocr_en", server.web / "broken.tar.gz", ".")
    with pytest.raises(UserError, match="the connection broke"):
        presets.find(f"{server.url}/broken.tar.gz#sha256={digest}")
    assert downloads() == []


def test_too_large(server, packaged, monkeypatch):
    digest = pack(packaged / "line_ocr_en", server.web / "x.tar.gz", ".")
    monkeypatch.setattr(presets, "LARGEST_DOWNLOAD", 100)
    with pytest.raises(UserError, match="larger than"):
        presets.find(f"{server.url}/x.tar.gz#sha256={digest}")
    assert downloads() == []


def test_not_there_and_nobody_there(server):
    with pytest.raises(UserError, match="the server answered 404"):
        presets.find(f"{server.url}/nothing.tar.gz#sha256={'0' * 64}")
    server.shutdown()
    server.server_close()
    with pytest.raises(UserError, match="cannot be loaded"):
        presets.find(f"{server.url}/x.tar.gz#sha256={'0' * 64}")


def test_redirections_stay_encrypted(server, packaged):
    digest = pack(packaged / "line_ocr_en", server.web / "x.tar.gz", ".")
    presets.find(f"{server.url}/moved/{server.url}/x.tar.gz#sha256={digest}")
    with pytest.raises(UserError, match="not https"):
        presets.find(f"{server.url}/moved/ftp://127.0.0.1/x.tar.gz#sha256={'0' * 64}")


@pytest.mark.parametrize("content", ["no tar", "dangerous", "two", "none"])
def test_tar_with_something_else(server, packaged, content):
    path = server.web / "x.tar.gz"
    if content == "no tar":
        path.write_bytes(b"<html>")
    else:
        with tarfile.open(path, "w:gz") as tar:
            tar.add(packaged / "line_ocr_en", "../../en" if content == "dangerous" else "en")
            if content == "two":
                tar.add(packaged / "line_ocr_fraktur", "fraktur")
        if content == "none":
            shutil.rmtree(packaged / "line_ocr_en/")
            with tarfile.open(path, "w:gz") as tar:
                tar.add(packaged / "line_ocr_fraktur/card.md", "card.md")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    message = {"no tar": "nor a whole tar", "dangerous": "refused", "two": "it holds 2", "none": "it holds 0"}
    with pytest.raises(UserError, match=message[content]):
        presets.find(f"{server.url}/x.tar.gz#sha256={digest}")
    assert not (presets.home().parent / "en").exists()
