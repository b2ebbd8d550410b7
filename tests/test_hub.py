import concurrent.futures
import functools
import hashlib
import http.server
import json
import os
import shutil
import tarfile
import threading

import pytest

import zoo
from zoo import hub
from zoo.errors import UserError


@pytest.fixture
def packaged(tmp_path, monkeypatch, make_preset):
    """Two presets in a package folder and one in $ZOO_HOME."""
    monkeypatch.setattr(hub, "PACKAGED", tmp_path / "package")
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    make_preset(tmp_path / "package/line_ocr_en")
    make_preset(tmp_path / "package/line_ocr_fraktur")
    make_preset(tmp_path / "home/presets/my_reader")
    return tmp_path / "package"


def test_names_and_places(packaged, tmp_path):
    assert hub.names() == ["line_ocr_en", "line_ocr_fraktur", "my_reader"]
    assert hub.find("line_ocr_en") == packaged / "line_ocr_en"
    assert hub.find("my_reader") == tmp_path / "home/presets/my_reader"


def test_home_has_a_default(monkeypatch):
    monkeypatch.delenv("ZOO_HOME")
    assert hub.home().parts[-2:] == (".cache", "seqzoo")
    monkeypatch.setenv("ZOO_HOME", "~/elsewhere")
    assert hub.home().is_absolute()


def test_name_wins_over_folder(packaged, tmp_path, monkeypatch, make_preset):
    make_preset(tmp_path / "here/line_ocr_en")
    monkeypatch.chdir(tmp_path / "here")
    assert hub.find("line_ocr_en") == packaged / "line_ocr_en"
    assert hub.find("./line_ocr_en").resolve() == tmp_path / "here/line_ocr_en"


def test_run_folder_means_its_best(tmp_path, make_preset):
    best = make_preset(tmp_path / "run/best")
    (tmp_path / "run/config.json").write_text("{}")  # of the training
    assert hub.find(str(tmp_path / "run")) == best
    assert hub.find(tmp_path / "run/best") == best


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
        hub.find(name)


def test_other_folder_and_file(tmp_path):
    with pytest.raises(UserError, match="neither a task folder"):
        hub.find(tmp_path)
    (tmp_path / "x.zip").write_text("")
    with pytest.raises(UserError, match="this is a file"):
        hub.find(tmp_path / "x.zip")


@pytest.mark.parametrize("name", ["weights.safetensors", "config.json", "vocabulary.json", "card.md"])
@pytest.mark.parametrize("run", ["line_ocr_en", None])
def test_changed_file(packaged, tmp_path, make_preset, name, run):
    folder = packaged / run if run else make_preset(tmp_path / "run/best")
    data = bytearray((folder / name).read_bytes())
    data[-3] ^= 1
    (folder / name).write_bytes(data)
    mend = "reinstall" if run else "train it again"
    with pytest.raises(UserError, match=f"{name}: its sha256 differs.*{mend}"):
        hub.find(run or str(tmp_path / "run"))
    with pytest.raises(UserError, match="sha256 differs"):
        zoo.load(run or str(tmp_path / "run"))


def test_missing_file(packaged):
    (packaged / "line_ocr_en/weights.safetensors").unlink()
    with pytest.raises(UserError, match=r"weights\.safetensors: this file .* missing; reinstall"):
        hub.find("line_ocr_en")


def test_file_without_sha256(packaged):
    file = packaged / "line_ocr_en/preset.json"
    about = json.loads(file.read_text())
    del about["files"]["weights.safetensors"]
    file.write_text(json.dumps(about))
    with pytest.raises(UserError, match=r"names no sha256 for 'weights\.safetensors'"):
        hub.find("line_ocr_en")
    about["files"] |= {"weights.safetensors": "", "../../secret": ""}
    file.write_text(json.dumps(about))
    with pytest.raises(UserError, match=r"names no sha256 for '\.\./\.\./secret'"):
        hub.find("line_ocr_en")
    for text in ("{}", "[]", "{", "\udcff"):
        file.write_bytes(text.encode("utf-8", "surrogateescape"))
        with pytest.raises(UserError, match=r"preset\.json"):
            hub.find("line_ocr_en")


def test_info_and_card(packaged):
    assert hub.info(packaged / "line_ocr_en")["task"] == "line_ocr"
    assert hub.card(packaged / "line_ocr_en").startswith("# line_ocr_en\n\nReads naïve lines.")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "Expecting value"),
        ("[]", "not an object"),
        ("[" * 100_000, "recursion"),
        ('{"size_bytes": "2 MB"}', "size_bytes is '2 MB', no int"),
        ('{"headline": null}', "headline is None, no str"),
        ('{"task": 3}', "task is 3, no str"),
        ('{"name": ["x"]}', "name is .*, no str"),
        ('{"figures": {"cer": 1}}', "figures is .*, no list"),
        ('{"figures": ["cer 1"]}', "a figure lacks"),
        ('{"figures": [{"set": "UW3", "metric": "cer"}]}', "a figure lacks"),
    ],
)
def test_preset_json_of_another_kind(packaged, text, named):
    (packaged / "line_ocr_en/preset.json").write_text(text)
    assert hub.names() == ["line_ocr_en", "line_ocr_fraktur", "my_reader"]
    with pytest.raises(UserError, match=rf"line_ocr_en/preset\.json: cannot be read \(.*{named}.*\); fetch"):
        hub.info(hub.folder("line_ocr_en"))
    with pytest.raises(UserError, match="line_ocr_en"):
        hub.find("line_ocr_en")


def test_preset_json_may_lack_all_but_the_files(packaged):
    folder = packaged / "line_ocr_en"
    (folder / "preset.json").write_text(json.dumps({"files": hub.info(folder)["files"]}))
    assert hub.find("line_ocr_en") == folder
    (folder / "card.md").unlink()
    assert hub.card(folder) == "# line_ocr_en\n\nNo card was written.\n\n"


def test_every_name_is_found(packaged, make_preset):
    make_preset(packaged / ".hidden")
    make_preset(packaged / "two words")
    assert all(hub.folder(name) for name in hub.names())
    assert hub.names() == ["line_ocr_en", "line_ocr_fraktur", "my_reader"]


def test_card_that_is_no_utf8(packaged):
    (packaged / "line_ocr_en/card.md").write_bytes(b"# \xfc")
    assert hub.card(packaged / "line_ocr_en") == "# \ufffd"


def test_card_of_a_run_without_one(packaged):
    folder = packaged / "line_ocr_en"
    (folder / "card.md").unlink()
    figure = {"set": "UW3", "metric": "cer", "value": 0.006, "samples": 9}
    about = hub.info(folder) | {"figures": [figure]}
    (folder / "preset.json").write_text(json.dumps(about))
    assert "- UW3: character error rate 0.60%" in hub.card(folder)


# === Addresses ===

AT_ONCE = 4


@pytest.fixture
def server(tmp_path, packaged, monkeypatch):
    """A web server over an empty folder, which plain http reaches for once. Knows what was asked of it."""
    asked, together = [], threading.Barrier(AT_ONCE, timeout=20)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            if "together" in self.path:
                together.wait()
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
    monkeypatch.setattr(hub, "SCHEMES", ("https", "http"))
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
    folder = hub.home() / "downloads"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@pytest.mark.parametrize("arcname", [".", "line_ocr_en"])
def test_address_is_downloaded_once(server, packaged, arcname):
    digest = pack(packaged / "line_ocr_en", server.web / "x.tar.gz", arcname)
    for _ in range(2):
        folder = hub.find(f"{server.url}/x.tar.gz#sha256={digest.upper()}")
        assert (folder / "weights.safetensors").stat().st_size == 1000
    assert server.asked == ["/x.tar.gz"]
    assert downloads() == [digest]


def test_another_process_is_faster(server, packaged, monkeypatch):
    digest = pack(packaged / "line_ocr_en", server.web / "x.tar.gz", "line_ocr_en")
    address, download = f"{server.url}/x.tar.gz#sha256={digest}", hub._download

    def slow(*arguments):
        monkeypatch.setattr(hub, "_download", download)
        faster = hub.find(address)
        (faster / "mine").touch()
        download(*arguments)

    monkeypatch.setattr(hub, "_download", slow)
    folder = hub.find(address)
    assert (folder / "mine").exists(), "what another reads from was replaced"
    assert server.asked == ["/x.tar.gz"] * 2
    assert downloads() == [digest]


def test_many_load_the_same_address_at_once(server, packaged):
    digest = pack(packaged / "line_ocr_en", server.web / "together.tar.gz", "line_ocr_en")
    address = f"{server.url}/together.tar.gz#sha256={digest}"
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        folders = list(pool.map(hub.find, [address] * AT_ONCE))
    assert set(folders) == {hub.home() / "downloads" / digest / "line_ocr_en"}
    assert server.asked == ["/together.tar.gz"] * AT_ONCE
    assert downloads() == [digest]


def test_what_a_killed_download_left_is_swept_away(server, packaged, tmp_path):
    digest = pack(packaged / "line_ocr_en", server.web / "x.tar.gz", ".")
    left = hub.home() / "downloads" / f".{digest}.0123abcd.part"
    left.mkdir(parents=True)
    (left / ".tar").write_bytes(b"half")
    os.utime(left, (0, 0))
    hub.find(f"{server.url}/x.tar.gz#sha256={digest}")
    assert downloads() == [digest]


def test_downloaded_files_are_checked_on_every_load(server, packaged):
    digest = pack(packaged / "line_ocr_en", server.web / "x.tar.gz", ".")
    folder = hub.find(f"{server.url}/x.tar.gz#sha256={digest}")
    (folder / "weights.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match="sha256 differs.*remove the folder"):
        hub.find(f"{server.url}/x.tar.gz#sha256={digest}")


@pytest.mark.parametrize("revision", [None, "v1.2"])
def test_hub_address(server, packaged, monkeypatch, revision):
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    path = f"me/readers/resolve/{revision or 'main'}/sub/x.tar.gz"
    digest = pack(packaged / "line_ocr_en", server.web / path, ".")
    at = f"@{revision}" if revision else ""
    hub.find(f"hf://me/readers/sub/x.tar.gz{at}#sha256={digest}")
    assert server.asked == [f"/{path}"]


def test_hub_is_the_known_one(monkeypatch):
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    url, digest = hub._parse("hf://me/readers/x.tar.gz@abc#sha256=" + "A" * 64)
    assert url == "https://huggingface.co/me/readers/resolve/abc/x.tar.gz"
    assert digest == "a" * 64


@pytest.mark.parametrize("wrong", ["", "#sha256=", "#sha256=12ab", "#md5=" + "0" * 64, "#sha256=" + "g" * 64])
def test_address_without_sha256(server, wrong):
    with pytest.raises(UserError, match="ends with the sha256"):
        hub.find(f"{server.url}/x.tar.gz{wrong}")
    assert server.asked == []


@pytest.mark.parametrize("address", ["http://127.0.0.1/x.tar.gz", "ftp://127.0.0.1/x", "file:///etc/passwd"])
def test_unsafe_scheme(address):
    with pytest.raises(UserError, match="https:// and hf:// addresses only"):
        hub.find(f"{address}#sha256={'0' * 64}")


def test_malformed_hub_address():
    with pytest.raises(UserError, match="hf://owner/repo/path"):
        hub.find(f"hf://me/x.tar.gz#sha256={'0' * 64}")


def test_wrong_sha256_leaves_nothing(server, packaged):
    pack(packaged / "line_ocr_en", server.web / "x.tar.gz", ".")
    with pytest.raises(UserError, match=r"x\.tar\.gz: its sha256 is [0-9a-f]{64}, the address says 0{64}"):
        hub.find(f"{server.url}/x.tar.gz#sha256={'0' * 64}")
    assert downloads() == []


def test_broken_connection_leaves_nothing(server, packaged):
    digest = pack(packaged / "line_ocr_en", server.web / "broken.tar.gz", ".")
    with pytest.raises(UserError, match="the connection broke"):
        hub.find(f"{server.url}/broken.tar.gz#sha256={digest}")
    assert downloads() == []


def test_too_large(server, packaged, monkeypatch):
    digest = pack(packaged / "line_ocr_en", server.web / "x.tar.gz", ".")
    monkeypatch.setattr(hub, "LARGEST_DOWNLOAD", 100)
    with pytest.raises(UserError, match="larger than"):
        hub.find(f"{server.url}/x.tar.gz#sha256={digest}")
    assert downloads() == []


def test_not_there_and_nobody_there(server):
    with pytest.raises(UserError, match="the server answered 404"):
        hub.find(f"{server.url}/nothing.tar.gz#sha256={'0' * 64}")
    server.shutdown()
    server.server_close()
    with pytest.raises(UserError, match="cannot be loaded"):
        hub.find(f"{server.url}/x.tar.gz#sha256={'0' * 64}")


def test_redirections_stay_encrypted(server, packaged):
    digest = pack(packaged / "line_ocr_en", server.web / "x.tar.gz", ".")
    hub.find(f"{server.url}/moved/{server.url}/x.tar.gz#sha256={digest}")
    with pytest.raises(UserError, match="not https"):
        hub.find(f"{server.url}/moved/ftp://127.0.0.1/x.tar.gz#sha256={'0' * 64}")


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
        hub.find(f"{server.url}/x.tar.gz#sha256={digest}")
    assert not (hub.home().parent / "en").exists()
