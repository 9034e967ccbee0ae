"""download: fetched from a server of this test, whole or not at all, whatever the server and the disk do."""

import dataclasses
import errno
import hashlib
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_files import saved

import sam_edu
from sam_edu import __main__ as command_line
from sam_edu import checkpoints
from sam_edu.checkpoints import CACHE_VARIABLE, OFFICIAL, cache_folder, downloading

PROJECT = Path(sam_edu.__file__).resolve().parents[1]
CONTENT = (
    torch.randint(0, 256, (300_000,), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)).numpy().tobytes()
)


class Server(ThreadingHTTPServer):
    """A server on this machine, and what it was asked.

    Attributes:
        content: what it sends.
        drop_after: per request in their order after how many bytes it hangs up; none for those after.
        knows_ranges: whether it sends the rest alone where that is asked for.
        status: what it answers, where it is not what is usual.
        without_length: whether it hides the length, as proxies do.
        asked: per request the range, or None.
        slow: while it is not set, answers wait.
    """

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = content
        self.drop_after: list[int] = []
        self.knows_ranges = True
        self.status = 0
        self.without_length = False
        self.asked: list[str | None] = []
        self.slow = threading.Event()
        self.slow.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/sam.pth"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server, wanted = self.server, self.headers["Range"]
        server.asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and server.knows_ranges else 0
        status = server.status or (206 if wanted and server.knows_ranges else 200)
        if start and start >= len(server.content):
            status = 416
        body = b"" if status >= 400 else server.content[start:]
        self.send_response(status)
        if not server.without_length:
            self.send_header("Content-Length", str(len(body)))
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
        self.end_headers()
        server.slow.wait(10)
        if server.drop_after:
            body = body[: server.drop_after.pop(0)]
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server with a content that stands for vit_b's."""
    with Server(CONTENT) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        official = dataclasses.replace(
            OFFICIAL["vit_b"], size=len(CONTENT), sha256=hashlib.sha256(CONTENT).hexdigest(), url=running.url
        )
        monkeypatch.setitem(OFFICIAL, "vit_b", official)
        monkeypatch.setattr(downloading, "_CHUNK", 10_000)
        for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.delenv(variable, raising=False)
        yield running
        running.slow.set()
        running.shutdown()
        thread.join()


def fetch() -> Path:
    return sam_edu.download("vit_b", progress=False)


def target() -> Path:
    return cache_folder() / OFFICIAL["vit_b"].file_name


def part() -> Path:
    return target().with_name(f"{target().name}.part")


# --- Where ---


@pytest.mark.parametrize(
    ("own", "common", "expected"),
    [
        ("/a/b", "/c", "/a/b"),
        ("~/b", "/c", "{home}/b"),
        ("", "/c", "/c/sam_edu"),
        ("", "relative", "{home}/.cache/sam_edu"),
        ("", "", "{home}/.cache/sam_edu"),
        (None, None, "{home}/.cache/sam_edu"),
    ],
)
def test_the_cache_is_where_the_environment_says(monkeypatch, tmp_path, own, common, expected):
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    for name, value in ((CACHE_VARIABLE, own), ("XDG_CACHE_HOME", common)):
        monkeypatch.delenv(name, raising=False) if value is None else monkeypatch.setenv(name, value)
    assert cache_folder() == Path(expected.format(home=tmp_path))


def test_asking_for_the_folder_makes_none(monkeypatch, tmp_path):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    assert checkpoints.find_downloaded("vit_h") is None
    assert not cache_folder().exists()


# --- Whole ---


def test_a_file_is_fetched_once(server, capsys):
    assert fetch() == target()
    assert target().read_bytes() == CONTENT
    assert not part().exists()
    assert fetch() == target()
    assert server.asked == [None]
    assert capsys.readouterr().err == ""


def test_progress_is_shown(server, capsys):
    sam_edu.download("vit_b")
    shown = capsys.readouterr().err
    assert OFFICIAL["vit_b"].file_name in shown
    assert "100%" in shown
    assert "293k/293k" in shown


def test_load_finds_what_was_downloaded(server, monkeypatch, small, states):
    content = saved(states("vit_b"))
    server.content = content
    sha256 = hashlib.sha256(content).hexdigest()
    monkeypatch.setitem(OFFICIAL, "vit_b", dataclasses.replace(OFFICIAL["vit_b"], size=len(content), sha256=sha256))
    with pytest.raises(ValueError, match="sam_edu download vit_b"):
        sam_edu.load("vit_b")
    fetch()
    model = sam_edu.load("vit_b")
    assert all(torch.equal(value, states("vit_b")[key]) for key, value in model.state_dict().items())
    target().write_bytes(content[:-1])  # damaged since
    with pytest.raises(ValueError, match="Meta's"):
        sam_edu.load("vit_b")


# --- Broken off ---


@pytest.mark.parametrize(
    ("drops", "asked"),
    [
        ([150_000], [None, "bytes=150000-"]),
        ([100_000, 100_000], [None, "bytes=100000-", "bytes=200000-"]),
        ([299_999], [None, "bytes=290000-"]),
        ([10_000] * 5, [None, *(f"bytes={i}0000-" for i in range(1, 6))]),
        ([0], [None, None]),
        ([10_000, 0, 0], [None, "bytes=10000-", "bytes=10000-", "bytes=10000-"]),
    ],
)
def test_a_download_goes_on_where_it_broke_off(server, drops, asked):
    server.drop_after = list(drops)
    assert fetch().read_bytes() == CONTENT
    assert server.asked == asked


def test_a_later_call_goes_on_too(server):
    server.drop_after = [120_000, 0, 0, 0]
    with pytest.raises(
        ConnectionError, match=r"breaks off .*120,000 of 300,000 bytes are there; the next call goes on"
    ):
        fetch()
    assert not target().exists()
    assert part().read_bytes() == CONTENT[:120_000]
    server.asked.clear()
    assert fetch().read_bytes() == CONTENT
    assert server.asked == ["bytes=120000-"]


def test_a_server_that_sends_the_whole_again_is_understood(server):
    server.knows_ranges, server.drop_after = False, [150_000]
    assert fetch().read_bytes() == CONTENT
    assert server.asked == [None, "bytes=150000-"]


def test_a_server_that_hides_the_length_is_understood(server):
    server.without_length = True
    assert fetch().read_bytes() == CONTENT


def test_a_hidden_length_and_a_connection_that_breaks_off(server):
    """Nothing tells that it broke off but the size: the rest is fetched."""
    server.without_length, server.drop_after = True, [150_000]
    assert fetch().read_bytes() == CONTENT
    assert server.asked == [None, "bytes=150000-"]


@pytest.mark.parametrize("left", [b"of another file", CONTENT[:1000] + b"x", b"x" * 300_000, b"x" * 400_000, CONTENT])
def test_what_an_earlier_call_left_is_used_or_thrown_away(server, left):
    part().write_bytes(left)
    assert fetch().read_bytes() == CONTENT


# --- Wrong ---


@pytest.mark.parametrize(
    "content",
    [b"<html>Log in</html>", b"", CONTENT[:-1], CONTENT[:-1] + b"x", CONTENT + b"x", CONTENT * 3],
    ids=["page", "nothing", "short", "changed", "long", "three times"],
)
@pytest.mark.parametrize("before", [b"", CONTENT[:5000]], ids=["fresh", "resumed"])
def test_wrong_content_is_refused_and_not_kept(server, content, before):
    if before:
        part().write_bytes(before)
    server.content = content
    with pytest.raises(
        (ValueError, ConnectionError), match=r"SHA-256|sends more than the 300,000 bytes|answered 416|breaks off"
    ):
        fetch()
    assert not target().exists()
    server.content = CONTENT
    assert fetch().read_bytes() == CONTENT


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_a_refusal_is_told_with_its_number(server, status):
    server.status = status
    with pytest.raises(ConnectionError, match=f"answered {status}"):
        fetch()
    assert len(server.asked) == 1
    assert not target().exists()


def test_a_server_that_is_not_there(monkeypatch, server):
    monkeypatch.setitem(OFFICIAL, "vit_b", dataclasses.replace(OFFICIAL["vit_b"], url="http://127.0.0.1:9/sam.pth"))
    with pytest.raises(ConnectionError, match=r"127\.0\.0\.1:9/sam\.pth cannot be reached"):
        fetch()
    assert not target().exists()


def test_a_damaged_file_in_the_cache_is_fetched_again(server):
    target().write_bytes(CONTENT[:-1] + b"x")
    assert fetch().read_bytes() == CONTENT
    assert len(server.asked) == 1


# --- The disk ---


def test_a_full_disk_is_noticed_first(server, monkeypatch):
    usage = shutil.disk_usage(cache_folder())._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(OSError, match=rf"300,000 bytes are needed and 1,000 are free.*{CACHE_VARIABLE}") as error:
        fetch()
    assert error.value.errno == errno.ENOSPC
    assert server.asked == []
    assert not target().exists()


def test_a_disk_that_fills_up_meanwhile(server, monkeypatch):
    write = downloading._Counted.write

    def full(self: Any, data: bytes) -> int:
        if self.stream.tell() > 100_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, data)

    monkeypatch.setattr(downloading._Counted, "write", full)
    with pytest.raises(OSError, match="No space left") as error:
        fetch()
    assert error.value.errno == errno.ENOSPC
    assert not target().exists()
    monkeypatch.setattr(downloading._Counted, "write", write)
    assert fetch().read_bytes() == CONTENT
    assert server.asked[1] != "bytes=0-"


def test_a_folder_that_cannot_be_made(server, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file" / "cache"))
    with pytest.raises(OSError, match=rf"cache cannot take {OFFICIAL['vit_b'].file_name} .*set {CACHE_VARIABLE}"):
        fetch()
    assert server.asked == []


def test_a_folder_that_cannot_be_written(server, monkeypatch):
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(PermissionError, match=rf"\(Permission denied\)\. Another folder: set {CACHE_VARIABLE}"):
        fetch()


# --- Several at once ---


def test_threads_fetch_it_once(server):
    results: list[Path] = []
    server.slow.clear()
    threads = [threading.Thread(target=lambda: results.append(fetch())) for _ in range(4)]
    for thread in threads:
        thread.start()
    server.slow.set()
    for thread in threads:
        thread.join()
    assert results == [target()] * 4
    assert server.asked == [None]
    assert target().read_bytes() == CONTENT


def test_processes_fetch_it_once(server):
    """Each begins while the first one's connection is held open."""
    official = OFFICIAL["vit_b"]
    script = f"""
import dataclasses
from sam_edu.checkpoints import OFFICIAL, download
OFFICIAL["vit_b"] = dataclasses.replace(
    OFFICIAL["vit_b"], size={official.size}, sha256={official.sha256!r}, url={official.url!r}
)
print("begins", flush=True)
print(download("vit_b", progress=False))
"""
    server.slow.clear()
    running = [
        subprocess.Popen([sys.executable, "-c", script], cwd=PROJECT, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "begins\n"
    server.slow.set()
    assert [process.communicate(timeout=100)[0].strip() for process in running] == [str(target())] * 3
    assert server.asked == [None]
    assert target().read_bytes() == CONTENT


# --- Arguments, and the command ---


@pytest.mark.no_shape_check
@pytest.mark.parametrize("name", ["", "vit_x", "VIT_B", "sam_vit_b_01ec64.pth", None])
def test_unknown_names(name):
    with pytest.raises(ValueError, match=r"^name: expected one of 'vit_b', 'vit_l', 'vit_h', got ") as refusal:
        sam_edu.download(name)
    assert repr(name) in str(refusal.value)


def test_the_tiny_model_comes_with_the_package():
    with pytest.raises(ValueError, match=r"got 'tiny'; the tiny model comes with the package: sam_edu.load\(\)"):
        sam_edu.download("tiny")


@pytest.mark.parametrize("package", ["pooch", "tqdm", "filelock"])
def test_a_missing_package_is_named(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=rf"needs the package {package}: pip install .*checkpoint=path") as error:
        fetch()
    assert OFFICIAL["vit_b"].url in str(error.value)


def test_the_command_prints_where_it_is(server, capsys):
    assert command_line.main(["download", "vit_b"]) == 0
    assert capsys.readouterr().out == f"vit_b: {target()}\n"


@pytest.mark.parametrize("arguments", [["download", "vit_x"], ["download", "vit_b", "tiny"]])
def test_the_command_says_what_failed(server, capsys, arguments):
    assert command_line.main(arguments) == 1
    assert "FAILED  " in capsys.readouterr().out


def test_the_command_says_that_the_server_refused(server, capsys):
    server.status = 404
    assert command_line.main(["download", "vit_b"]) == 1
    assert "FAILED  vit_b: " in (output := capsys.readouterr().out)
    assert "answered 404" in output


@pytest.mark.parametrize("arguments", [["download"], ["upload"], ["--download"]])
def test_a_wrong_command_shows_the_usage(capsys, arguments):
    with pytest.raises(SystemExit) as end:
        command_line.main(arguments)
    assert end.value.code == 2
    assert "usage: python -m sam_edu" in capsys.readouterr().err
