"""The quick decoder in PyTorch: the same as the mask decoder, whatever the weights."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import sam_edu
from sam_edu.explorer.image_stream import ImageTokens
from sam_edu.explorer.of_image import ImageOnly, PositionsOnly
from sam_edu.explorer.quick_decoder import ADDED, BY_POSITION, STEP_4, STREAM, FromOutside, QuickDecoder, QuickMasks
from sam_edu.modules import MaskDecoder

GRID = 8


@pytest.fixture(scope="module")
def decoder() -> Iterator[MaskDecoder]:
    """With every parameter perturbed."""
    decoder = sam_edu.load("tiny").mask_decoder.double().eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        yield decoder


def numbers(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def from_outside(decoder: MaskDecoder, path: str, others: int) -> FromOutside:
    """So many vectors that are added to a step (4)."""
    bias = decoder.get_parameter(f"{path}.out_proj.bias")[None]
    return FromOutside(numbers(others, GRID**2, seed=4), numbers(others, bias.shape[1], seed=5), bias)


@pytest.mark.parametrize("others", [0, 3])
@pytest.mark.parametrize("prompt_tokens", [2, 5])
def test_all_is_as_in_the_mask_decoder(decoder: MaskDecoder, prompt_tokens: int, others: int) -> None:
    embedding, image_pe = numbers(1, 256, GRID, GRID, seed=1), numbers(1, 256, GRID, GRID, seed=2)
    prompt = numbers(1, prompt_tokens, 256, seed=3)
    outside = {path: from_outside(decoder, path, others) for path in STEP_4}
    wanted: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[nn.Module, object, Any], Any]:
        def hook(module: nn.Module, given: object, out: Any) -> Any:
            wanted[name] = out + outside[name].weights.T @ outside[name].rows if name in outside else out
            return wanted[name]

        return hook

    names = ("transformer.layers.0", "transformer.layers.1", *STEP_4, "output_upscaling")
    handles = [decoder.get_submodule(name).register_forward_hook(keep(name)) for name in names]
    wanted["masks"], wanted["iou_pred"] = decoder.predict_masks(
        embedding, image_pe, prompt, torch.zeros_like(embedding)
    )
    for handle in handles:
        handle.remove()

    tokens, pe = (x.flatten(2).transpose(1, 2) for x in (embedding, image_pe))
    of_image = ImageOnly(decoder)(tokens, pe)
    seen = QuickDecoder(decoder)(of_image, PositionsOnly(decoder)(image_pe), prompt, list(outside.values()))
    stream = [seen[name] for name in STREAM]
    channels, masks = QuickMasks(decoder)(of_image.upscaled, *stream, seen["hyper_in"])
    image_tokens = ImageTokens(decoder)(tokens, *(seen[path + name] for path in STEP_4 for name in ADDED))
    by_position = wanted["output_upscaling"].unflatten(2, (GRID, 2, 2)).unflatten(5, (GRID, 2, 2))
    # (channel, y, dy, dy, x, dx, dx) -> (y, x, dy, dx, dy, dx, channel)
    by_position = by_position[0].permute(1, 4, 2, 5, 3, 6, 0).flatten(0, 5)
    pairs = {
        "masks": (masks, wanted["masks"]),
        "iou_pred": (seen["iou_pred"], wanted["iou_pred"]),
        BY_POSITION: (channels, by_position),
    }
    for i, path in enumerate(STEP_4):
        queries, keys = wanted[f"transformer.layers.{i}"]
        pairs[f"queries {i}"] = (seen[f"transformer.layers.{i}.queries_3"], queries)
        pairs[f"out {i}"], pairs[f"keys {i}"] = (image_tokens[2 * i], wanted[path]), (image_tokens[2 * i + 1], keys)
    for name, (got, right) in pairs.items():
        torch.testing.assert_close(
            got, right, rtol=1e-9, atol=1e-9 * float(right.abs().max()), msg=lambda m, n=name: f"{n}: {m}"
        )
