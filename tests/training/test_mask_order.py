"""The order of the masks: the same masks in a new order, once for all."""

import copy
import itertools

import pytest
import torch
from torch import nn

from sam_edu.modules import MaskDecoder, PromptEncoder, TwoWayTransformer
from sam_edu.sam import Sam
from sam_edu.training import mask_order
from sam_edu.training.mask_order import mean_areas, reorder_masks, smallest_first


@pytest.fixture
def decoder() -> MaskDecoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        decoder = MaskDecoder(transformer_dim=16, transformer=TwoWayTransformer(2, 16, 2, 24), iou_head_hidden_dim=8)
        with torch.no_grad():
            for parameter in decoder.parameters():
                parameter.add_(0.2 * torch.randn_like(parameter))
    return decoder


def decode(decoder: MaskDecoder) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    image, pe, dense = (torch.randn(1, 16, 4, 4, generator=generator) for _ in range(3))
    sparse = torch.randn(5, 2, 16, generator=generator)
    with torch.no_grad():
        return decoder.predict_masks(image, pe, sparse, dense.expand(5, -1, -1, -1))


@pytest.mark.parametrize("order", [[0, *rest] for rest in itertools.permutations((1, 2, 3))])
def test_the_same_masks_in_the_new_order(decoder: MaskDecoder, order: list[int]) -> None:
    masks, iou = decode(decoder)
    reorder_masks(decoder, decoder.state_dict(), order)
    new_masks, new_iou = decode(decoder)
    assert (new_masks - masks[:, order]).abs().max() <= 2e-6 * max(1.0, masks.abs().max().item())
    assert (new_iou - iou[:, order]).abs().max() <= 2e-6 * max(1.0, iou.abs().max().item())
    if order != [0, 1, 2, 3]:
        assert (new_masks - masks).abs().max() > 1e-3


def test_nothing_but_what_belongs_to_a_mask_moves(decoder: MaskDecoder) -> None:
    before = copy.deepcopy(decoder.state_dict())
    reorder_masks(decoder, decoder.state_dict(), [0, 3, 1, 2])
    moved = {name for name, value in decoder.state_dict().items() if not torch.equal(value, before[name])}
    expected = {"mask_tokens.weight", "iou_prediction_head.layers.2.weight", "iou_prediction_head.layers.2.bias"}
    mlps = {
        f"output_hypernetworks_mlps.{i}.layers.{j}.{k}" for i in (1, 2, 3) for j in range(3) for k in ("weight", "bias")
    }
    assert moved == expected | mlps
    assert torch.equal(decoder.mask_tokens.weight[0], before["mask_tokens.weight"][0])


def test_some_of_the_tensors_will_do(decoder: MaskDecoder) -> None:
    tokens = decoder.mask_tokens.weight.detach().clone()
    reorder_masks(decoder, {"mask_tokens.weight": tokens}, [0, 2, 1, 3])
    assert torch.equal(tokens, decoder.mask_tokens.weight[[0, 2, 1, 3]])


@pytest.mark.parametrize("order", [[0, 1, 2], [0, 1, 1, 3], [1, 2, 3, 4]])
def test_an_order_is_a_permutation(decoder: MaskDecoder, order: list[int]) -> None:
    with pytest.raises(ValueError, match="order: expected each of 0 to 3 once"):
        reorder_masks(decoder, {}, order)


def test_smallest_first_leaves_mask_0_and_equal_ones_as_they_are() -> None:
    assert smallest_first([0.3, 0.1, 0.2]) == [0, 2, 3, 1]
    assert smallest_first([0.1, 0.2, 0.3]) == [0, 1, 2, 3]
    assert smallest_first([0.2, 0.2, 0.1]) == [0, 3, 1, 2]


def test_areas_are_measured_and_ordering_by_them_is_done_once(decoder: MaskDecoder) -> None:
    encoder = PromptEncoder(16, (64, 64), (256, 256), 16)
    model = Sam(nn.Conv2d(3, 16, 4, stride=4), encoder, decoder, image_size=256).eval()
    areas = mean_areas(model, 8, 2)
    assert all(0 <= area <= 1 for area in areas)
    assert len(set(areas)) == 3
    assert model.prompt_encoder.image_embedding_size == (64, 64)
    order = smallest_first(areas)
    reorder_masks(decoder, decoder.state_dict(), order)
    again = mean_areas(model, 8, 2)
    assert again == pytest.approx([areas[i - 1] for i in order[1:]], abs=1e-4)
    assert smallest_first(again) == [0, 1, 2, 3]


def test_areas_are_those_of_masks_1_to_3(decoder: MaskDecoder, monkeypatch: pytest.MonkeyPatch) -> None:
    def drawn(model: Sam, decoder: MaskDecoder, embedding: torch.Tensor, prompts: object) -> tuple[torch.Tensor, None]:
        masks = -torch.ones(len(prompts.clicks), 4, 4, 4)  # type: ignore[attr-defined]
        for mask, pixels in enumerate((16, 8, 4, 2)):
            masks[:, mask].flatten(1)[:, :pixels] = 1
        return masks, None

    monkeypatch.setattr(mask_order, "decode", drawn)
    encoder = PromptEncoder(16, (64, 64), (256, 256), 16)
    model = Sam(nn.Conv2d(3, 16, 4, stride=4), encoder, decoder, image_size=256).eval()
    assert mean_areas(model, 8, 3) == pytest.approx([1 / 2, 1 / 4, 1 / 8])
