"""The exercises of notebook 07: predict the shape, write the hypernetwork's product, keep the signs alone."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from sam_edu.exercises.exercise import (
    Exercise,
    WrongAnswer,
    check_tensor_shape,
    check_values,
    recogniser,
    result_of,
    same,
)
from sam_edu.exercises.hypernetwork_solutions import SHAPES, masks_from
from sam_edu.exercises.hypernetwork_solutions import signs_only as _signs_only
from sam_edu.exercises.table import judge_table
from sam_edu.exercises.trials import random, with_random_weights
from sam_edu.modules import HypernetworkMLPs, OutputUpscaling, mask_product

# --- 1: predict the shape ---

# Per situation: its words, prompt sets, mask tokens, width of a token, height and width of the grid.
_SITUATIONS: dict[str, tuple[str, int, int, int, int, int]] = {
    "a": ("one click", 1, 4, 256, 64, 64),
    "b": ("three boxes, one object each", 3, 4, 256, 64, 64),
    "c": ("another decoder: width 128, 5 masks and one more, a grid of 32 x 48; two objects", 2, 6, 128, 32, 48),
}
_NAMES = ("mask_tokens", "hyper_in", "features", "logits", "parameters")


def _judge_shapes(answer: Any) -> None:
    judge_table(answer, _SITUATIONS, _NAMES, _true_shapes, _hint)


def _true_shapes(case: str) -> dict[str, Any]:
    """What the verified modules give. On the meta device: shapes alone, no numbers."""
    _, batch, masks, dim, height, width = _SITUATIONS[case]
    with torch.random.fork_rng(devices=[]):
        mlps, upscaling = HypernetworkMLPs(masks, dim).to("meta"), OutputUpscaling(dim).to("meta")
    tokens = torch.empty(batch, masks, dim, device="meta")
    weights, features = mlps(tokens), upscaling(torch.empty(batch, dim, height, width, device="meta"))
    found: dict[str, Any] = {
        name: tuple(tensor.shape)
        for name, tensor in (
            ("mask_tokens", tokens),
            ("hyper_in", weights),
            ("features", features),
            ("logits", mask_product(weights, features)),
        )
    }
    return {**found, "parameters": sum(p.numel() for p in mlps.parameters())}


def _hint(case: str, name: str, got: Any, true: Mapping[str, Any]) -> str:
    if name == "parameters":
        return _parameter_hint(case, got, true["parameters"])
    return _shape_hint(case, name, got, true[name])


def _shape_hint(case: str, name: str, got: tuple[int, ...], right: tuple[int, ...]) -> str:
    _, batch, masks, dim, height, width = _SITUATIONS[case]
    if got == right[1:]:
        return "The first axis is missing: the prompt sets."
    if len(got) == len(right) and got[0] != batch and got[1:] == right[1:]:
        return "How many prompt sets are there? Each selects one object."
    if len(got) == len(right) and got[1] == masks - 1 and name != "features":
        return "All mask tokens are used, the one for clear prompts as well; what is returned is chosen later, in (8)."
    if len(got) == len(right) and got[1] > masks and name in ("mask_tokens", "hyper_in"):
        return "Only the mask tokens: neither the IoU token nor the prompt's."
    if got[-2:] == (height, width) and name in ("features", "logits"):
        return "This is the grid of the image tokens. Step (5) doubles it twice."
    if name in ("features", "logits") and len(got) == 4 and got[-2:] == (1024, 1024):
        return "The decoder never sees the picture's own size: its logits are four times as wide as the grid."
    if name == "hyper_in" and got[-1] == dim:
        return "An MLP's last layer leads to an eighth of the width: one weight per channel of the features."
    if name == "features" and len(got) == 4 and got[1] == dim:
        return "The upscaling thins the channels, to an eighth in the end."
    if name == "logits" and len(got) == 4 and got[1] == dim // 8:
        return "The channels are summed over; what is left is one map per mask."
    if name == "logits" and len(got) == 5:
        return "The sum over the channels takes that axis away."
    return "Ask for each axis: which prompt set, which mask, which channel, or which row and column?"


def _parameter_hint(case: str, got: int, right: int) -> str:
    _, batch, masks, dim, _, _ = _SITUATIONS[case]
    biases = 2 * dim + dim // 8
    if got == right // masks:
        return "That is one MLP. Each mask token has one of its own."
    if got == right - masks * biases:
        return "Each layer has biases, too: one per output."
    if got == right * batch and batch > 1:
        return "The same MLPs serve all prompt sets."
    if got == right // masks * (masks - 1):
        return "The mask token for clear prompts has its MLP as well."
    if got == masks * (2 * (dim * dim + dim) + dim * dim + dim):
        return "The last layer leads to an eighth of the width only."
    if got == masks * ((dim * dim + dim) + dim * (dim // 8) + dim // 8):
        return "There are three layers: two keep the width, the third leads to an eighth of it."
    return "Per MLP: two layers that keep the width, one to an eighth of it; each has weights and biases."


# --- 2: write it ---

Case = tuple[int, int, int, int, int]
# Batch, masks, channels times 8, height, width: all different, so that an exchange of axes shows in the shape; then one
# where some agree.
_CASES: tuple[Case, ...] = ((2, 3, 40, 4, 7), (3, 4, 32, 4, 4))


def _inputs(case: Case) -> tuple[HypernetworkMLPs, Tensor, Tensor]:
    batch, masks, dim, height, width = case
    mlps = with_random_weights(lambda: HypernetworkMLPs(masks, dim), sum(case))
    return mlps, random(1, batch, masks, dim), random(2, batch, dim // 8, height, width)


def _weights(mlps: HypernetworkMLPs, tokens: Tensor, which: Callable[[int], int] = lambda i: i) -> Tensor:
    return torch.stack([mlps[which(i)](tokens[:, i]) for i in range(len(mlps))], dim=1)


def _mistakes(mlps: HypernetworkMLPs, tokens: Tensor, features: Tensor) -> dict[str, Tensor]:
    """Wrong answers that people give, by the hint for each."""
    weights = _weights(mlps, tokens)
    right = mask_product(weights, features)
    last = len(mlps) - 1
    batch, masks, channels = weights.shape
    places = features.shape[2:]
    return {
        "All tokens went through the first MLP: each mask token has its own.": mask_product(
            _weights(mlps, tokens, lambda i: 0), features
        ),
        "The MLPs come in the wrong order: token i belongs to MLP i.": mask_product(
            _weights(mlps, tokens, lambda i: last - i), features
        ),
        "One token went through all MLPs: MLP i gets token i.": mask_product(
            torch.stack([mlp(tokens[:, 0]) for mlp in mlps], dim=1), features
        ),
        "Nothing bends the weights: there is no activation after an MLP's last layer, so they can be negative.": (
            mask_product(weights.relu(), features)
        ),
        "The weights are no shares: no softmax here. They may be negative, and sum to anything.": mask_product(
            weights.softmax(-1), features
        ),
        "This is a mean over the channels; the logit is the sum.": right / channels,
        "These are probabilities: the decoder returns logits, before the sigmoid.": right.sigmoid(),
        "This is the mask: the decoder returns logits, and the threshold comes after it.": (right > 0).float(),
        "The pixels are in the wrong order: folded back column by column.": right.flatten(2)
        .unflatten(2, (places[1], places[0]))
        .mT,
        "Weights and pixels are mixed up: a reshape put the masks' axis where the pixels were.": (
            right.flatten(1).unflatten(1, (-1, masks)).transpose(1, 2).unflatten(2, tuple(places))
        ),
        "Every prompt set has weights of its own; here all have the first one's.": mask_product(
            weights[:1].expand(batch, -1, -1), features
        ),
        "Every prompt set has features of its own; here all have the first one's.": mask_product(
            weights, features[:1].expand(batch, -1, -1, -1)
        ),
        "The weights were scaled to length 1: SAM takes them as they are.": mask_product(
            weights / weights.norm(dim=-1, keepdim=True), features
        ),
        "There is no scale as in attention: the products are summed, and that is all.": right / math.sqrt(channels),
        "The sign is turned round.": -right,
    }


def _looks(inputs: tuple[HypernetworkMLPs, Tensor, Tensor]) -> Callable[[Any], str]:
    wrong = _mistakes(*inputs)
    otherwise = (
        "It is none of the usual mistakes. Check the weights alone first: weights[b, m] = mlps[m](tokens[b, m])."
    )
    return recogniser({hint: hint for hint in wrong}, wrong.__getitem__, otherwise)


def _logits_hint(case: Case, yours: Tensor) -> str:
    batch, masks, dim, height, width = case
    channels = dim // 8
    if tuple(yours.shape) == (batch, masks, height * width):
        return "Fold the pixels back into rows and columns."
    if tuple(yours.shape) == (batch, masks, width, height):
        return "Height and width are exchanged."
    if tuple(yours.shape) == (masks, batch, height, width):
        return "The prompt sets come first: stack the weights along axis 1."
    if tuple(yours.shape) in ((batch, channels, height, width), (batch, masks, channels, height, width)):
        return "Multiply, and then sum over the channels."
    if tuple(yours.shape) == (batch, height, width):
        return "The masks are separate: do not sum over them."
    if tuple(yours.shape) == (batch, masks, channels):
        return "These are the weights, step (6-2). The product with the features is missing, step (6-3)."
    return ""


def _judge_masks_from(answer: Any) -> None:
    expects = "mlps is a list of modules, tokens (batch, masks, dim), features (batch, channels, height, width)."
    for case in _CASES:  # shapes first, of all cases
        mlps, tokens, features = _inputs(case)
        with torch.no_grad():
            right = masks_from(mlps, tokens, features)
            came = result_of(answer, mlps, tokens.clone(), features.clone(), hint=expects)
        check_tensor_shape("logits", came, right, "batch, masks, height, width", partial(_logits_hint, case))
    for case in _CASES:
        inputs = _inputs(case)
        with torch.no_grad():
            came, right = answer(*inputs), masks_from(*inputs)
        if came.dtype != right.dtype:
            raise WrongAnswer(
                f"logits: expected {right.dtype}, got {came.dtype}: leave the threshold to who comes after."
            )
        with torch.no_grad():
            check_values("logits", came, right, _looks(inputs))
    mlps, tokens, features = _inputs(_CASES[0])
    with torch.no_grad():
        right = masks_from(mlps, tokens, features)
        alone = result_of(answer, mlps, tokens[:1], features[:1])
        if not (isinstance(alone, Tensor) and same(alone, right[:1])):
            raise WrongAnswer("a prompt set alone must get the same logits as in a batch.")
        order = torch.randperm(features.shape[-1], generator=torch.Generator().manual_seed(0))
        if not same(answer(mlps, tokens, features[..., order]), right[..., order]):
            raise WrongAnswer("pixels in another order must get the same logits in that order.")
        if not same(answer(mlps, tokens, 0 * features), 0 * right):
            raise WrongAnswer("without features there is nothing: the sum has no bias.")


# --- 3: break it ---

_SIGNS: tuple[tuple[Callable[[Tensor], Tensor], str], ...] = (
    (lambda x: x, "Nothing is lost: the weights came back as they were."),
    (torch.sign, "The signs are right. Now the size: the mean absolute value of the mask's own weights."),
    (
        lambda x: x.sign() * x.mean(-1, keepdim=True),
        "The mean of positive and negative weights nearly cancels: take the mean of their absolute values.",
    ),
    (
        lambda x: x.sign() * x.mean(-1, keepdim=True).abs(),
        "The mean of positive and negative weights nearly cancels: take the mean of their absolute values.",
    ),
    (
        lambda x: x.sign() * x.abs().mean(),
        "One size for all masks and prompt sets: each mask has its own, a mean over its channels.",
    ),
    (
        lambda x: x.sign() * x.abs().mean((1, 2), keepdim=True),
        "One size for all masks of a prompt set: each mask has its own, a mean over its channels.",
    ),
    (
        lambda x: x.sign() * x.abs().mean(1, keepdim=True),
        "This is a mean over the masks, per channel: take it over the channels, per mask.",
    ),
    (
        lambda x: x.sign() * x.abs().mean(0, keepdim=True),
        "This is a mean over the prompt sets: take it over the channels, per mask.",
    ),
    (
        lambda x: x.sign() * x.norm(dim=-1, keepdim=True),
        "This is the length of the weights: take the mean of their absolute values.",
    ),
    (
        lambda x: x.sign() * x.abs().amax(-1, keepdim=True),
        "This is the largest of them: take the mean of the absolute values.",
    ),
    (
        lambda x: x.abs().mean(-1, keepdim=True).expand_as(x),
        "The signs are lost: a weight below zero must stay below zero.",
    ),
    (
        lambda x: x.mean(-1, keepdim=True).expand_as(x),
        "This is the mean itself: keep each weight's sign, and give all of a mask the same size.",
    ),
    (torch.abs, "This is the size. What is to be kept is the sign."),
)


def _signs_hint(hyper_in: Tensor, yours: Tensor) -> str:
    for wrong, hint in _SIGNS:
        if same(yours, wrong(hyper_in)):
            return hint
    return "Each number is a sign, +1 or -1, times the mean absolute value of its mask's weights."


def _judge_signs(answer: Any) -> None:
    generator = torch.Generator().manual_seed(7)
    hyper_in = torch.randn(2, 4, 6, generator=generator) * torch.tensor([1.0, 3.0, 0.5, 10.0])[:, None] + 0.3
    came = result_of(answer, hyper_in.clone())
    keeps = "A replacement keeps the shape of what it replaces."
    check_tensor_shape("hyper_in", came, hyper_in, "batch, masks, channels", lambda _: keeps)
    right = _signs_only(hyper_in)
    check_values("hyper_in", came, right, partial(_signs_hint, hyper_in))
    if not same(result_of(answer, came.clone()), came):
        raise WrongAnswer("done twice, it must change nothing more.")
    other = torch.randn(1, 3, 32, generator=generator)
    if not same(result_of(answer, other.clone()), _signs_only(other)):
        raise WrongAnswer("with other numbers of masks and channels the values are wrong.")


shapes = Exercise("07.1 predict the shape", _judge_shapes, SHAPES)
product = Exercise("07.2 write the hypernetwork and its product", _judge_masks_from, masks_from)
signs = Exercise("07.3 keep the signs alone", _judge_signs, _signs_only)
