"""Which decoder trains: a rule of measured times, so that a measurement can only change a number."""

import pytest
import torch

from sam_edu.fast.fast_mask_decoder import FastMaskDecoder
from sam_edu.modules import MaskDecoder, TwoWayTransformer
from sam_edu.training import decoder_choice
from sam_edu.training.decoder_choice import training_decoder


@pytest.fixture
def decoder() -> MaskDecoder:
    return MaskDecoder(transformer_dim=16, transformer=TwoWayTransformer(1, 16, 2, 8), iou_head_hidden_dim=8)


@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:1"])
def test_the_fast_decoder_trains_where_it_was_measured_to_be_faster(device: str, decoder: MaskDecoder) -> None:
    chosen = training_decoder(decoder, torch.device(device))
    assert isinstance(chosen, FastMaskDecoder)
    assert chosen.decoder is decoder


@pytest.mark.parametrize(("device", "ratio"), [("cpu", 1.3), ("cuda", 1.0), ("mps", None), ("xpu", None)])
def test_the_plain_decoder_trains_elsewhere(
    device: str, ratio: float | None, decoder: MaskDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    if ratio is not None:
        monkeypatch.setitem(decoder_choice.FAST_OVER_PLAIN, device, ratio)
    assert training_decoder(decoder, torch.device(device)) is decoder
