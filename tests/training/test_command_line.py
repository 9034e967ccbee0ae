"""python -m sam_edu.training: what may be asked, and what comes of it."""

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sam_edu.modules import MaskDecoder, PromptEncoder, TwoWayTransformer
from sam_edu.sam import Sam
from sam_edu.tiny.image_encoder import TinyImageEncoder
from sam_edu.training import __main__ as command_line
from sam_edu.training import trainer
from sam_edu.training.trainer import Settings


def small_model() -> Sam:
    decoder = MaskDecoder(transformer_dim=256, transformer=TwoWayTransformer(1, 256, 8, 16), iou_head_hidden_dim=8)
    encoder = TinyImageEncoder(widths=(16, 16, 32), depth=1)
    return Sam(encoder, PromptEncoder(256, (64, 64), (256, 256), 16), decoder, 256)


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.setattr(trainer, "build_tiny", small_model)
    monkeypatch.setattr(sys, "argv", ["training", *arguments])
    command_line.main()


def test_trains_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "a" / "run"
    basics = ["--out", str(out), "--images", "1", "--device", "cpu", "--precision", "float32", "--seed", "103"]
    call(monkeypatch, *basics, "--steps", "1")
    assert len((out / "log.csv").read_text().splitlines()) == 2
    first = load_file(out / "tiny.safetensors")
    call(monkeypatch, *basics, "--steps", "2", "--resume")
    assert len((out / "log.csv").read_text().splitlines()) == 3
    second = load_file(out / "tiny.safetensors")
    assert set(first) == set(second) == set(small_model().state_dict())
    assert not all(torch.equal(first[key], second[key]) for key in first)


class Remembered:
    """Stands for the trainer and keeps what it was given."""

    given: tuple[object, ...]
    interrupted = False

    def __init__(self, *given: object) -> None:
        type(self).given = given

    def run(self) -> None:
        if self.interrupted:
            raise KeyboardInterrupt


@pytest.fixture
def remembered(monkeypatch: pytest.MonkeyPatch) -> type[Remembered]:
    class Fresh(Remembered):
        pass

    monkeypatch.setattr(command_line, "Trainer", Fresh)
    return Fresh


def test_passes_on_what_was_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, remembered: type[Remembered]
) -> None:
    options = (
        "--hours 1.5 --seed 7 --images 4 --precision float32 --validate-every 9 --device cpu --resume --from-weights w"
    )
    call(monkeypatch, "--out", str(tmp_path), *options.split())
    settings = Settings(hours=1.5, seed=7, images=4, precision="float32", validate_every=9, start="w")
    assert remembered.given == (settings, tmp_path, torch.device("cpu"), True)


@pytest.mark.parametrize("available", [True, False])
def test_defaults_are_those_of_settings_and_auto_takes_the_gpu_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, remembered: type[Remembered], available: bool
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    call(monkeypatch, "--out", str(tmp_path), "--steps", "3")
    device = torch.device("cuda" if available else "cpu")
    assert remembered.given == (Settings(steps=3), tmp_path, device, False)


def test_ctrl_c_says_where_everything_is_and_how_to_go_on(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    remembered: type[Remembered],
    capsys: pytest.CaptureFixture[str],
) -> None:
    remembered.interrupted = True
    call(monkeypatch, "--out", str(tmp_path), "--steps", "3")
    output = capsys.readouterr().out
    assert str(tmp_path) in output
    assert "--resume" in output


WRONG = {
    "neither steps nor hours": "--out x",
    "both": "--out x --steps 1 --hours 1",
    "no folder": "--steps 1",
    "unknown precision": "--out x --steps 1 --precision float8",
    "not a number": "--out x --steps many",
}


@pytest.mark.parametrize("name", WRONG)
def test_refuses(
    name: str, monkeypatch: pytest.MonkeyPatch, remembered: type[Remembered], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        call(monkeypatch, *WRONG[name].split())
    assert stop.value.code == 2
    assert "usage: python -m sam_edu.training" in capsys.readouterr().err
    assert not hasattr(remembered, "given")
