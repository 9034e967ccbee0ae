"""Ablations of a decoder whose answer is known: its weights are set by hand, and one head alone carries the click.

In step (1) of block 0, head `CARRIER` passes on what the prompt's token says, and head `CONSTANT` adds the same large
vector whatever the prompt. All other parts add nothing. So the click's effect is the carrier's alone. Without the large
vector, though, the norm behind it scales everything else up, which the rest of the decoder never sees otherwise.
"""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sam_edu.ablation import ATTENTIONS, HEADS, ReferenceRuns, References, ablated
from sam_edu.ablation.references import Collected
from sam_edu.ablation.scoring import Scorer
from sam_edu.modules import MaskDecoder, TwoWayTransformer
from sam_edu.tracing import trace

DIM, GRID, CLICKS = 64, 6, 4
CARRIER, CONSTANT = 2, 5
FIRST = ATTENTIONS[0]
SOME_HEADS = [f"{FIRST} head {head}" for head in range(HEADS)] + [f"{name} head 0" for name in ATTENTIONS[1:]]


@pytest.fixture(scope="module")
def decoder() -> MaskDecoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        transformer = TwoWayTransformer(depth=2, embedding_dim=DIM, num_heads=HEADS, mlp_dim=32)
        decoder = MaskDecoder(transformer_dim=DIM, transformer=transformer).eval().requires_grad_(False)
    for name in ATTENTIONS:
        for linear in ("q_proj", "k_proj", "v_proj", "out_proj"):
            _silence(decoder.get_submodule(f"{name}.{linear}"))
    for layer in decoder.transformer.layers:  # type: ignore[union-attr]
        _silence(layer.mlp.lin2)  # type: ignore[union-attr, arg-type]
    first = decoder.get_submodule(FIRST)
    size = DIM // HEADS
    carrier, constant = (slice(head * size, (head + 1) * size) for head in (CARRIER, CONSTANT))
    # The carrier's values are the first numbers of a token, those of the other a bias; each goes to dims of its own.
    first.get_parameter("v_proj.weight")[carrier, :size] = 8 * torch.eye(size)
    first.get_parameter("v_proj.bias")[constant] = torch.linspace(-9, 9, size)
    first.get_parameter("out_proj.weight")[carrier, carrier] = torch.eye(size)
    first.get_parameter("out_proj.weight")[constant, constant] = torch.eye(size)
    return decoder


def _silence(linear: nn.Module) -> None:
    for parameter in linear.parameters():
        parameter.zero_()


@pytest.fixture(scope="module")
def clicks() -> list[dict[str, Tensor]]:
    """Several clicks on one image."""
    generator = torch.Generator().manual_seed(1)
    shapes = {"image_embeddings": (1, DIM, GRID, GRID), "image_pe": (1, DIM, GRID, GRID)}
    image = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    image["dense_prompt_embeddings"] = torch.zeros(1, DIM, GRID, GRID)
    return [image | {"sparse_prompt_embeddings": torch.randn(1, 2, DIM, generator=generator)} for _ in range(CLICKS)]


@pytest.fixture(scope="module")
def effects(decoder: MaskDecoder, clicks: list[dict[str, Tensor]]) -> dict[str, np.ndarray]:
    """By mode the changes of all four measures, (heads, clicks, 4). What counts as right is what the decoder draws."""
    collected, traces = Collected([f"{name}.heads" for name in ATTENTIONS]), []
    for inputs in clicks:
        with trace(decoder) as t:
            decoder.predict_masks(**inputs)
        collected.add(t)
        traces.append(t)
    held_out = collected.runs()
    changes: dict[str, np.ndarray] = {}
    for mode in ("mean", "resample", "zero"):
        rows = []
        for name in SOME_HEADS:
            for number, inputs in enumerate(clicks):
                references = References(held_out, other=traces[number - 1])
                unchanged = traces[number]["masks"][0], traces[number]["iou_pred"][0]
                score = Scorer(*unchanged, (unchanged[0][1] > 0).numpy())
                with ablated(decoder, f"{name} {mode}", references):
                    masks, iou = decoder.predict_masks(**inputs)
                rows.append(np.array(score(masks[0], iou[0])) - score(*unchanged))
        changes[mode] = np.array(rows).reshape(len(SOME_HEADS), CLICKS, 4)
    return changes


@pytest.mark.parametrize("mode", ["mean", "resample"])
def test_the_head_that_carries_the_click_is_found(effects: dict[str, np.ndarray], mode: str) -> None:
    found = SOME_HEADS.index(f"{FIRST} head {CARRIER}")
    best, _, margin, _ = effects[mode][found].mean(axis=0)
    assert best < -0.03
    assert margin < 0
    others = np.delete(effects[mode], found, axis=0)
    assert (others == 0).all()  # among them the constant head: exactly, at every click, in every measure


def test_zeros_are_fooled_by_a_large_constant(effects: dict[str, np.ndarray]) -> None:
    loss = -effects["zero"][:, :, 0].mean(axis=1)
    assert SOME_HEADS[int(loss.argmax())] == f"{FIRST} head {CONSTANT}"
    carrier, constant = (loss[SOME_HEADS.index(f"{FIRST} head {head}")] for head in (CARRIER, CONSTANT))
    assert constant > 1.5 * carrier > 0


def test_the_mean_of_a_constant_is_the_constant(decoder: MaskDecoder, clicks: list[dict[str, Tensor]]) -> None:
    """Why its effect is 0: what replaces the head's output is its output."""
    with trace(decoder) as t:
        decoder.predict_masks(**clicks[0])
    runs = ReferenceRuns({f"{FIRST}.heads": torch.cat([t[f"{FIRST}.heads"]] * CLICKS)})
    for head in range(HEADS):
        with ablated(decoder, f"{FIRST} head {head} mean", References(runs)), trace(decoder) as after:
            decoder.predict_masks(**clicks[0])
        assert all(torch.equal(after[name], t[name]) for name in t)
