"""Which decoder trains and validates: a rule of measured times, so that a measurement can only change a number."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

from sam_edu.ablation import held_out
from sam_edu.evaluation import scores
from sam_edu.fast.fast_mask_decoder import FastMaskDecoder
from sam_edu.modules import MaskDecoder, PromptEncoder, TwoWayTransformer
from sam_edu.sam import Sam
from sam_edu.scenes.scene import draw_scene
from sam_edu.training import decoder_choice, mask_order, trainer, validation
from sam_edu.training.decoder_choice import fast_pays, fastest_decoder
from sam_edu.training.settings import Settings


@pytest.fixture
def decoder() -> MaskDecoder:
    return MaskDecoder(transformer_dim=16, transformer=TwoWayTransformer(1, 16, 2, 8), iou_head_hidden_dim=8)


DEVICES = {"cpu": True, "cuda": True, "mps": False, "xpu": False, "meta": False}


@pytest.mark.parametrize("device", DEVICES)
def test_the_fast_decoder_pays_where_it_was_measured_to(device: str) -> None:
    assert fast_pays(device) == DEVICES[device]


@pytest.mark.parametrize(("ratio", "pays"), [(0.99, True), (1.0, False), (1.3, False)])
def test_a_measurement_moves_the_choice(ratio: float, pays: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(decoder_choice.FAST_OVER_PLAIN, "mps", ratio)
    assert fast_pays("mps") == pays


@pytest.mark.parametrize("device", ["cpu", "cuda:1", "mps", "meta"])
def test_the_choice_shares_the_parameters(device: str, decoder: MaskDecoder) -> None:
    chosen = fastest_decoder(decoder, torch.device(device))
    if DEVICES[torch.device(device).type]:
        assert isinstance(chosen, FastMaskDecoder)
        assert chosen.decoder is decoder
    else:
        assert chosen is decoder


class Asked(Exception):
    """Ends a measurement at its first decode."""


MEASUREMENTS: dict[str, tuple[ModuleType, Callable[[Sam], object]]] = {
    "validation": (validation, lambda model: validation.validate(model, 8, 1, "float32")),
    "order of the masks": (mask_order, lambda model: mask_order.mean_areas(model, 8, 1)),
    "scores": (scores, lambda model: scores.evaluate_scene(model, draw_scene((0, 0)), 0, 0)),
    "held-out clicks": (held_out, lambda model: held_out.prompts_of_scene(model, 0)),
}


@pytest.fixture
def model(decoder: MaskDecoder) -> Sam:
    encoder = PromptEncoder(16, (64, 64), (256, 256), 16)
    return Sam(nn.Conv2d(3, 16, 4, stride=4), encoder, decoder, image_size=256).eval()


@pytest.mark.parametrize(("ratio", "kind"), [(0.5, FastMaskDecoder), (1.3, MaskDecoder)])
@pytest.mark.parametrize("name", MEASUREMENTS)
def test_measurements_decode_with_the_decoder_of_the_device(
    name: str, ratio: float, kind: type[nn.Module], model: Sam, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decode(model: Sam, decoder: nn.Module, *rest: object) -> None:
        assert type(decoder) is kind
        raise Asked

    module, measure = MEASUREMENTS[name]
    monkeypatch.setitem(decoder_choice.FAST_OVER_PLAIN, "cpu", ratio)
    monkeypatch.setattr(module, "decode", decode)
    with pytest.raises(Asked):
        measure(model)


@pytest.mark.parametrize(("device", "kind"), [("cpu", FastMaskDecoder), ("meta", MaskDecoder)])
def test_a_run_trains_with_the_decoder_of_its_device(
    device: str, kind: type[nn.Module], model: Sam, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer, "build_tiny", lambda: model)
    run = trainer.Trainer(Settings(steps=1), tmp_path, torch.device(device))
    assert type(run.decoder) is kind
