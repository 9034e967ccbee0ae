"""The quick way to repeat a decode gives what the plain decoder gives under `intervene`."""

import pytest
import torch
from ablation_cases import make_references, random_inputs
from torch import Tensor

from sam_edu.ablation import ABLATIONS, ATTENTIONS, Ablation, Change, References, ablated
from sam_edu.ablation.quick_decoder import AblatedDecoder, position_encodings
from sam_edu.modules import MaskDecoder

GRID = 6


@pytest.fixture(scope="module")
def inputs() -> dict[str, Tensor]:
    return random_inputs(1, GRID)


@pytest.fixture(scope="module")
def references(decoder: MaskDecoder, inputs: dict[str, Tensor]) -> References:
    return make_references(decoder, inputs)


@pytest.fixture(scope="module")
def recorded(decoder: MaskDecoder, inputs: dict[str, Tensor]) -> AblatedDecoder:
    return AblatedDecoder(decoder, inputs, position_encodings(decoder, inputs["image_pe"]))


# Tensors that no ablation of the list replaces; one that does may be added.
OTHERS: dict[str, Ablation] = {
    point: Ablation("", (Change(point, "zero", select),))
    for point, select in {
        "src": {"dim": [0, 1, 2]},
        "pos_src": {},
        "tokens": {"tokens": 5},
        "transformer.layers.0.cross_attn_token_to_image.k": {"heads": 1},
        "transformer.layers.0.cross_attn_token_to_image.weights": {"heads": 1},
        "transformer.layers.1.cross_attn_token_to_image.scores": {"heads": [2, 3]},
        "transformer.layers.1.cross_attn_token_to_image.weights": {"heads": 1, "queries": 5},
        "transformer.layers.0.cross_attn_image_to_token.q": {"heads": 1},
        "transformer.layers.1.cross_attn_image_to_token.v": {"heads": 1},
        "transformer.layers.1.cross_attn_image_to_token.weights": {"heads": 1},
        "transformer.layers.1.queries_3": {"tokens": 2},
        "transformer.layers.1.keys_4": {"dim": 7},
        "transformer.final_attn_token_to_image.k": {"heads": 1},
        "hs": {"tokens": 2},
        "keys": {"dim": 7},
        "output_upscaling.activated_once": {"channels": 3},
        "hyper_in": {"masks": 2},
        "masks": {"masks": 2},
        "iou_pred": {"masks": 2},
    }.items()
}


@pytest.mark.parametrize("name", [*ABLATIONS, *OTHERS])
def test_quick_way_equals_the_plain_decoder(
    name: str,
    decoder: MaskDecoder,
    inputs: dict[str, Tensor],
    recorded: AblatedDecoder,
    references: References,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for other, one in OTHERS.items():
        monkeypatch.setitem(ABLATIONS, other, one)
    with ablated(decoder, name, references):
        masks, iou = decoder.predict_masks(**inputs)
    quick_masks, quick_iou = recorded.run(ABLATIONS[name], references)
    torch.testing.assert_close(quick_masks, masks, atol=1e-4 * float(masks.abs().max()), rtol=1e-4)
    torch.testing.assert_close(quick_iou, iou, atol=1e-4 * max(1.0, float(iou.abs().max())), rtol=1e-4)
    changed = not torch.allclose(masks, recorded.masks, atol=1e-6) or not torch.allclose(iou, recorded.iou, atol=1e-6)
    assert changed  # an ablation that changed nothing would prove nothing


def test_positional_encodings_in_the_values_are_values_made_from_the_keys_inputs(
    decoder: MaskDecoder, inputs: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In both blocks. Step (1) of block 0 has no positional encodings, so there keys and values agree already."""
    name = "positional encodings in the values"
    with ablated(decoder, name):
        masks, iou = decoder(**inputs, multimask_output=True)
    for attention in ATTENTIONS[:-1]:
        module = decoder.get_submodule(attention)
        plain = module.forward
        monkeypatch.setattr(module, "forward", lambda q, k, v, plain=plain: plain(q=q, k=k, v=k))
    by_hand, iou_by_hand = decoder(**inputs, multimask_output=True)
    torch.testing.assert_close(masks, by_hand, atol=1e-4 * float(by_hand.abs().max()), rtol=1e-4)
    torch.testing.assert_close(iou, iou_by_hand, atol=1e-4, rtol=1e-4)


def test_no_hook_stays(decoder: MaskDecoder, recorded: AblatedDecoder) -> None:
    recorded.run(ABLATIONS["transformer.layers.0 ablated"])
    assert not [name for name, module in decoder.named_modules() if module._forward_pre_hooks or module._forward_hooks]


def test_only_what_can_change_is_computed_again(decoder: MaskDecoder, recorded: AblatedDecoder) -> None:
    passed: list[str] = []
    hooks = [
        module.register_forward_hook(lambda *_, name=name: passed.append(name))
        for name, module in decoder.named_modules()
        if name in (*ATTENTIONS, "output_upscaling") or name.endswith((".queries_1", ".keys_4", "hs"))
    ]
    recorded.run(ABLATIONS[f"{ATTENTIONS[-1]} head 0 zero"])
    assert passed == ["hs"]
    passed.clear()
    recorded.run(ABLATIONS[f"{ATTENTIONS[5]} head 0 zero"])
    assert passed == ["transformer.layers.1.keys_4", "hs"]
    for hook in hooks:
        hook.remove()
