"""python -m sam_edu explore: the page on this machine, and its questions over HTTP."""

import json
import struct
import threading
import urllib.error
import urllib.request
from urllib.parse import unquote

import numpy as np
import pytest

import sam_edu
from sam_edu.__main__ import main
from sam_edu.explorer.server import FILES, HOST, page, respond, serve, server, static_file
from sam_edu.explorer.service import Service
from sam_edu.explorer.situations import SITUATIONS
from sam_edu.explorer.situations import address as address_of


@pytest.fixture(scope="module")
def address():
    with server(sam_edu.Predictor(sam_edu.load("tiny"))) as one:
        threading.Thread(target=one.serve_forever, daemon=True).start()
        yield f"http://{HOST}:{one.server_address[1]}/"
        one.shutdown()


def packed(question, buffers=()):
    header = json.dumps({**question, "bytes": [len(one) for one in buffers]}).encode()
    return struct.pack("<I", len(header)) + header + b"".join(buffers)


def unpacked(body):
    end = 4 + struct.unpack("<I", body[:4])[0]
    answer = json.loads(body[4:end])
    buffers, at = [], end
    for size in answer["bytes"]:
        buffers.append(body[at : at + size])
        at += size
    assert at == len(body)
    return answer, buffers


def post(address, body, path="ask", **headers):
    request = urllib.request.Request(address + path, data=body, headers=headers, method="POST")
    with urllib.request.urlopen(request) as response:
        return response.read()


def test_page_and_its_files(address):
    for name in ("", *FILES):
        with urllib.request.urlopen(address + name) as response:
            assert response.status == 200
            body = response.read()
        assert body == (page() if name in ("", "index.html") else static_file(name))
    assert b'data-backend="python"' in page()
    with urllib.request.urlopen(address + "still.png") as response:
        assert response.read().startswith(b"\x89PNG")


def test_decode_over_http(address):
    click = {"points": [[182, 133, 1]], "box": None}
    question = {"kind": "decode", "image": "example", "prompts": click, "interventions": [], "outputs": ["iou_pred"]}
    answer, [data] = unpacked(post(address, packed(question)))
    predictor = sam_edu.Predictor(sam_edu.load("tiny"))
    predictor.set_image(sam_edu.example().image)
    _, iou, _ = predictor.predict([[182, 133]], [1])
    np.testing.assert_allclose(np.frombuffer(data, "<f4")[1:], iou, atol=1e-6)
    assert answer["tensors"] == [["iou_pred", [1, 4]]]


def test_what_is_wrong_is_said(address):
    answer, _ = unpacked(post(address, packed({"kind": "sing"})))
    assert "kind: expected one of" in answer["error"]
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(address + "../__init__.py")
    for body, path, headers in (
        (b"", "ask", {}),
        (packed({"kind": "catalogue"}), "else", {}),
        (packed({"kind": "catalogue"}), "ask", {"Origin": "http://another.example"}),
    ):
        with pytest.raises(urllib.error.HTTPError, match="400"):
            post(address, body, path, **headers)


@pytest.mark.parametrize("body", [b"1234", struct.pack("<I", 2) + b"{]", struct.pack("<I", 2) + b"[]"])
def test_questions_that_are_none(body):
    never_asked = object.__new__(Service)
    answer, _ = unpacked(respond(never_asked, body))
    assert "no question of the click lab" in answer["error"]


def test_command_says_what_is_wrong(capsys):
    assert main(["explore", "--model", "sam"]) == 1
    assert "FAILED  explore" in capsys.readouterr().out
    assert main(["explore", "--notebook", "11"]) == 1
    assert "expected one of 00, 01" in capsys.readouterr().out
    with server(sam_edu.Predictor(sam_edu.load("tiny"))) as one:
        assert main(["explore", "--no-browser", "--port", str(one.server_address[1])]) == 1
    assert "FAILED  explore" in capsys.readouterr().out


def test_command_serves_until_it_is_stopped(monkeypatch):
    from http.server import ThreadingHTTPServer

    opened, lines = [], []
    monkeypatch.setattr("webbrowser.open_new_tab", opened.append)

    def stop(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(ThreadingHTTPServer, "serve_forever", stop)
    serve(sam_edu.Predictor(sam_edu.load("tiny")), started=lines.append)
    assert opened == lines[:1]
    assert lines[0].startswith(f"http://{HOST}:")
    assert lines[1] == "Stopped."


def test_command_opens_what_a_notebook_opens(monkeypatch):
    given = []
    monkeypatch.setattr("sam_edu.explorer.server.serve", lambda *arguments, **named: given.append(named))
    assert main(["explore", "--notebook", "04"]) == 0
    assert given == [{"state": SITUATIONS["04"]}]


def test_address_holds_a_state():
    start, _, rest = address_of({"off": ["a b"], "stop": 1}).partition("#")
    assert start == ""
    assert json.loads(unquote(rest)) == {"off": ["a b"], "stop": 1}
