"""The exercises of notebook 07: predict the shape, write the hypernetwork's product, keep only the signs."""

import math
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sam_edu.exercises.inputs import random, with_random_weights
from sam_edu.exercises.judging import (
    Exercise,
    WrongAnswer,
    check_tensor_shape,
    check_values,
    recogniser,
    result_of,
    same,
    to_tensor,
)
from sam_edu.exercises.judging_modules import check_function
from sam_edu.exercises.judging_tables import judge_table
from sam_edu.exercises.solutions import hypernetwork as solutions
from sam_edu.modules import HypernetworkMLPs, OutputUpscaling, mask_product

# --- 1: predict the shape ---


class Situation(NamedTuple):
    """A decoder and a prompt. `dim` is the width of a token, `height` and `width` are those of the grid."""

    description: str
    prompt_sets: int
    mask_tokens: int
    dim: int
    height: int
    width: int


_SITUATIONS = {
    "a": Situation("one click", 1, 4, 256, 64, 64),
    "b": Situation("three boxes, one object each", 3, 4, 256, 64, 64),
    "c": Situation(
        "another decoder: width 128, 5 masks and one more, a grid of 32 x 48; two objects", 2, 6, 128, 32, 48
    ),
}
_DESCRIPTIONS = {case: situation.description for case, situation in _SITUATIONS.items()}
_NAMES = ("mask_tokens", "hyper_in", "features", "logits", "parameters")


def _judge_shapes(answer: Any) -> None:
    judge_table(answer, _DESCRIPTIONS, _NAMES, _true_shapes, _entry_hint)


@cache
def _true_shapes(case: str) -> dict[str, Any]:
    """The shapes that the verified modules give. On the meta device: shapes without values."""
    _, batch, masks, dim, height, width = _SITUATIONS[case]
    with torch.random.fork_rng(devices=[]):
        mlps, upscaling = HypernetworkMLPs(masks, dim).to("meta"), OutputUpscaling(dim).to("meta")
    tokens = torch.empty(batch, masks, dim, device="meta")
    weights, features = mlps(tokens), upscaling(torch.empty(batch, dim, height, width, device="meta"))
    shapes: dict[str, Any] = {
        name: tuple(tensor.shape)
        for name, tensor in (
            ("mask_tokens", tokens),
            ("hyper_in", weights),
            ("features", features),
            ("logits", mask_product(weights, features)),
        )
    }
    return {**shapes, "parameters": sum(p.numel() for p in mlps.parameters())}


def _entry_hint(case: str, name: str, entry: Any, targets: Mapping[str, Any]) -> str:
    if name == "parameters":
        return _parameter_hint(case, entry, targets["parameters"])
    return _shape_hint(case, name, entry, targets[name])


def _shape_hint(case: str, name: str, shape: tuple[int, ...], target: tuple[int, ...]) -> str:
    _, batch, masks, dim, height, width = _SITUATIONS[case]
    if shape == target[1:]:
        return "The first axis is missing: the prompt sets."
    if len(shape) == len(target) and shape[0] != batch and shape[1:] == target[1:]:
        return "How many prompt sets are there? Each selects one object."
    if len(shape) == len(target) and shape[1] == masks - 1 and name != "features":
        return "All mask tokens are used, also the one for clear prompts; step (8) selects the masks to return later."
    if len(shape) == len(target) and shape[1] > masks and name in ("mask_tokens", "hyper_in"):
        return "Only the mask tokens: neither the IoU token nor the prompt's."
    if shape[-2:] == (height, width) and name in ("features", "logits"):
        return "This is the grid of the image tokens. Step (5) doubles it twice."
    if name in ("features", "logits") and len(shape) == 4 and shape[-2:] == (1024, 1024):
        return "The decoder never sees the image's own size: its logits are four times as wide as the grid."
    if name == "hyper_in" and shape[-1:] == (dim,):
        return "The output of an MLP's last layer is an eighth as wide: one weight per channel of the features."
    if name == "features" and len(shape) == 4 and shape[1] == dim:
        return "The upscaling reduces the channels, to an eighth in the end."
    if name == "logits" and len(shape) == 4 and shape[1] == dim // 8:
        return "The channels are summed over; what is left is one map per mask."
    if name == "logits" and len(shape) == 5:
        return "The sum over the channels removes that axis."
    return "Name each axis: is it prompt sets, masks, channels, rows or columns?"


def _parameter_hint(case: str, count: int, target: int) -> str:
    _, batch, masks, dim, _, _ = _SITUATIONS[case]
    biases = 2 * dim + dim // 8
    if count == target // masks:
        return "This is one MLP. Each mask token has its own."
    if count == target - masks * biases:
        return "Each layer has biases too: one per output."
    if count == target * batch and batch > 1:
        return "The same MLPs serve all prompt sets."
    if count == target // masks * (masks - 1):
        return "The mask token for clear prompts has an MLP too."
    if count == masks * (2 * (dim * dim + dim) + dim * dim + dim):
        return "The output of the last layer is only an eighth as wide."
    if count == masks * ((dim * dim + dim) + dim * (dim // 8) + dim // 8):
        return "There are three layers: two keep the width, the third reduces it to an eighth."
    return "Per MLP: two layers keep the width, the third reduces it to an eighth; each has weights and biases."


# --- 2: write the hypernetwork and its product ---


class Case(NamedTuple):
    """The sizes of the MLPs and of their inputs. The features have an eighth of `dim` channels."""

    batch: int
    masks: int
    dim: int
    height: int
    width: int

    @property
    def channels(self) -> int:
        """The channels of the features."""
        return self.dim // 8


class Inputs(NamedTuple):
    """The inputs of steps (6-2) and (6-3)."""

    mlps: HypernetworkMLPs
    tokens: Tensor
    features: Tensor


# All sizes differ in the first, so that an exchange of axes shows in the shape; some are equal in the second.
_CASES = (Case(2, 3, 40, 4, 7), Case(3, 4, 32, 4, 4))


def _inputs(case: Case) -> Inputs:
    mlps = with_random_weights(lambda: HypernetworkMLPs(case.masks, case.dim), sum(case))
    tokens = random(1, case.batch, case.masks, case.dim)
    return Inputs(mlps, tokens, random(2, case.batch, case.channels, case.height, case.width))


def _weights(mlps: HypernetworkMLPs, tokens: Tensor, index: Callable[[int], int] = lambda i: i) -> Tensor:
    """The weights of all masks. Token i goes through MLP `index(i)`."""
    return torch.stack([mlps[index(i)](tokens[:, i]) for i in range(len(mlps))], dim=1)


def _mistakes(mlps: HypernetworkMLPs, tokens: Tensor, features: Tensor) -> dict[str, Tensor]:
    """The results of the usual mistakes, by the hint for each."""
    weights = _weights(mlps, tokens)
    target = mask_product(weights, features)
    last = len(mlps) - 1
    batch, masks, channels = weights.shape
    height, width = features.shape[2:]
    return {
        "All tokens went through the first MLP: each mask token has its own.": mask_product(
            _weights(mlps, tokens, lambda i: 0), features
        ),
        "The MLPs are in the wrong order: token i goes through MLP i.": mask_product(
            _weights(mlps, tokens, lambda i: last - i), features
        ),
        "One token went through all MLPs: MLP i takes token i.": mask_product(
            torch.stack([mlp(tokens[:, 0]) for mlp in mlps], dim=1), features
        ),
        "There is no activation after an MLP's last layer: the weights may be negative.": (
            mask_product(weights.relu(), features)
        ),
        "There is no softmax here: the weights may be negative, and need not sum to 1.": mask_product(
            weights.softmax(-1), features
        ),
        "This is a mean over the channels; the logit is the sum.": target / channels,
        "These are probabilities: the decoder returns logits, before the sigmoid.": target.sigmoid(),
        "This is the mask: the decoder returns logits, and the threshold comes after it.": (target > 0).float(),
        "The pixels are in the wrong order: they were folded back column by column.": target.flatten(2)
        .unflatten(2, (width, height))
        .mT,
        "Weights and pixels are mixed: a reshape put the axis of the masks where the pixels were.": (
            target.flatten(1).unflatten(1, (-1, masks)).transpose(1, 2).unflatten(2, (height, width))
        ),
        "Each prompt set has its own weights; here all have those of the first.": mask_product(
            weights[:1].expand(batch, -1, -1), features
        ),
        "Each prompt set has its own features; here all have those of the first.": mask_product(
            weights, features[:1].expand(batch, -1, -1, -1)
        ),
        "The weights were scaled to length 1: SAM takes them as they are.": mask_product(
            weights / weights.norm(dim=-1, keepdim=True), features
        ),
        "There is no scale as in attention: the products are only summed.": target / math.sqrt(channels),
        "The sign is wrong: all logits are negated.": -target,
    }


def _hint(inputs: Inputs) -> Callable[[Any], str]:
    results = _mistakes(*inputs)
    otherwise = (
        "It is none of the usual mistakes. Check the weights alone first: weights[b, m] = mlps[m](tokens[b, m])."
    )
    return recogniser({hint: hint for hint in results}, results.__getitem__, otherwise)


def _logits_hint(case: Case, yours: Tensor) -> str:
    batch, masks, _, height, width = case
    if tuple(yours.shape) == (batch, masks, height * width):
        return "Fold the pixels back into rows and columns."
    if tuple(yours.shape) == (batch, masks, width, height):
        return "Height and width are exchanged."
    if tuple(yours.shape) == (masks, batch, height, width):
        return "The prompt sets come first: stack the weights along axis 1."
    if tuple(yours.shape) in ((batch, case.channels, height, width), (batch, masks, case.channels, height, width)):
        return "Multiply, and then sum over the channels."
    if tuple(yours.shape) == (batch, height, width):
        return "The masks are separate: do not sum over them."
    if tuple(yours.shape) == (batch, masks, case.channels):
        return "These are the weights of step (6-2). The product with the features, step (6-3), is missing."
    return ""


def _judge_masks_from(answer: Any) -> None:
    hint = "mlps is a list of modules, tokens (batch, masks, dim), features (batch, channels, height, width)."
    for case in _CASES:  # shapes first, of all cases
        mlps, tokens, features = _inputs(case)
        with torch.no_grad():
            target = solutions.masks_from(mlps, tokens, features)
            copies = tokens.clone(), features.clone()
            logits = result_of(answer, mlps, *copies, hint=hint)
        check_tensor_shape("logits", logits, target, "batch, masks, height, width", partial(_logits_hint, case))
        if not (torch.equal(copies[0], tokens) and torch.equal(copies[1], features)):
            raise WrongAnswer(
                "the inputs were changed in place: make new tensors; the caller still needs the old ones."
            )
    for case in _CASES:
        inputs = _inputs(case)
        with torch.no_grad():
            mlps, tokens, features = inputs
            logits = to_tensor("logits", result_of(answer, mlps, tokens.clone(), features.clone()))
            target = solutions.masks_from(*inputs)
        if logits.dtype == torch.bool:
            raise WrongAnswer("logits: expected numbers, got True and False: the threshold belongs to a later step.")
        with torch.no_grad():
            check_values("logits", logits, target, _hint(inputs))
    mlps, tokens, features = _inputs(_CASES[0])
    with torch.no_grad():
        target = solutions.masks_from(mlps, tokens, features)
        if not same(result_of(answer, mlps, tokens[:1], features[:1]), target[:1]):
            raise WrongAnswer("a prompt set alone must get the same logits as in a batch.")
        order = torch.randperm(features.shape[-1], generator=torch.Generator().manual_seed(0))
        if not same(result_of(answer, mlps, tokens, features[..., order]), target[..., order]):
            raise WrongAnswer("pixels in another order must get the same logits in that order.")
        if not same(result_of(answer, mlps, tokens, 0 * features), 0 * target):
            raise WrongAnswer("where all features are 0, all logits must be 0: the sum has no bias.")
        large = solutions.masks_from(mlps, 30 * tokens, features)
        if not same(result_of(answer, mlps, 30 * tokens, features), large):
            raise WrongAnswer("with large tokens the values differ: nothing is clamped or normalised.")
    for case in _CASES:
        mlps, tokens, features = _inputs(case)
        check_function(
            partial(answer, mlps),
            partial(solutions.masks_from, mlps),
            {"tokens": tokens, "features": features},
            ["logits"],
            dict(mlps.named_parameters()),
        )


# --- 3: keep only the signs ---

_SIGNS: tuple[tuple[Callable[[Tensor], Tensor], str], ...] = (
    (lambda x: x, "Nothing has changed: the weights were returned as they are."),
    (torch.sign, "The signs are right. The magnitude is missing: the mean absolute value of the mask's own weights."),
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
        "This is one magnitude for all masks and prompt sets: each mask has its own, a mean over its channels.",
    ),
    (
        lambda x: x.sign() * x.abs().mean((1, 2), keepdim=True),
        "This is one magnitude for all masks of a prompt set: each mask has its own, a mean over its channels.",
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
        "This is the largest absolute value: take the mean of the absolute values.",
    ),
    (
        lambda x: x.abs().mean(-1, keepdim=True).expand_as(x),
        "The signs are lost: a weight below zero must stay below zero.",
    ),
    (
        lambda x: x.mean(-1, keepdim=True).expand_as(x),
        "This is the mean itself: keep each weight's sign, and give all weights of a mask the same magnitude.",
    ),
    (torch.abs, "This is the magnitude of each weight. Keep its sign instead."),
)


def _signs_hint(hyper_in: Tensor, yours: Tensor) -> str:
    for mistake, hint in _SIGNS:
        if same(yours, mistake(hyper_in)):
            return hint
    return "Each number is a sign, +1 or -1, times the mean absolute value of its mask's weights."


def _judge_signs(answer: Any) -> None:
    generator = torch.Generator().manual_seed(7)
    hyper_in = torch.randn(2, 4, 6, generator=generator) * torch.tensor([1.0, 3.0, 0.5, 10.0])[:, None] + 0.3
    result = result_of(answer, hyper_in.clone())
    hint = "A replacement keeps the shape of the tensor that it replaces."
    check_tensor_shape("hyper_in", result, hyper_in, "batch, masks, channels", lambda _: hint)
    check_values("hyper_in", result, solutions.signs_only(hyper_in), partial(_signs_hint, hyper_in))
    target = solutions.signs_only(hyper_in)
    if not same(result_of(answer, target.clone()), target):
        raise WrongAnswer("a second application must change nothing more.")
    others = (torch.randn(shape, generator=generator) for shape in ((1, 3, 32), (3, 1, 5), (2, 4, 6)))
    for other in (*others, -target, 100 * target):
        if not same(result_of(answer, other.clone()), solutions.signs_only(other)):
            raise WrongAnswer(f"for weights of another kind, of shape {tuple(other.shape)}, the values are wrong.")


shapes = Exercise("07.1 predict the shape", _judge_shapes, solutions.SHAPES)
product = Exercise("07.2 write the hypernetwork and its product", _judge_masks_from, solutions.masks_from)
signs = Exercise("07.3 keep only the signs", _judge_signs, solutions.signs_only)
