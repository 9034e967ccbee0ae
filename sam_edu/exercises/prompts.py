"""The exercises of notebook 03: count the tokens, write `_embed_points`, move the positional encodings."""

import math
from collections.abc import Mapping
from functools import cache, partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sam_edu.exercises.inputs import twins
from sam_edu.exercises.judging import (
    Exercise,
    WrongAnswer,
    check_tensor_shape,
    check_values,
    recogniser,
    result_of,
    same,
)
from sam_edu.exercises.judging_modules import check_module
from sam_edu.exercises.judging_tables import judge_table
from sam_edu.exercises.solutions import prompts as solutions
from sam_edu.modules import PromptEncoder

# --- 1: count the tokens ---


class Situation(NamedTuple):
    """A prompt: `clicks` per prompt set, and whether there is a box and a mask prompt."""

    description: str
    prompt_sets: int
    clicks: int
    box: bool
    mask: bool


_SITUATIONS = {
    "a": Situation("one click", 1, 1, False, False),
    "b": Situation("two positive clicks and a negative one, for one object", 1, 3, False, False),
    "c": Situation("a box, and a click in it", 1, 1, True, False),
    "d": Situation("four boxes, one object each", 4, 0, True, False),
    "e": Situation("an earlier mask, and nothing else", 1, 0, False, True),
}
_DESCRIPTIONS = {case: situation.description for case, situation in _SITUATIONS.items()}
_NAMES = ("sparse", "tokens", "dense")
_OUTPUT_TOKENS = 5


def _judge_counts(answer: Any) -> None:
    judge_table(answer, _DESCRIPTIONS, _NAMES, _true_shapes, _count_hint)


@cache
def _true_shapes(case: str) -> dict[str, tuple[int, ...]]:
    """The shapes that the verified prompt encoder returns, and that of the decoder's tokens after step (0)."""
    _, batch, clicks, box, mask = _SITUATIONS[case]
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        encoder = PromptEncoder(256, (64, 64), (1024, 1024), 16)
        sparse, dense = encoder(
            (torch.zeros(batch, clicks, 2), torch.ones(batch, clicks)) if clicks else None,
            torch.zeros(batch, 4) if box else None,
            torch.zeros(batch, 1, 256, 256) if mask else None,
        )
    tokens = (batch, _OUTPUT_TOKENS + sparse.shape[1], 256)
    return {"sparse": tuple(sparse.shape), "tokens": tokens, "dense": tuple(dense.shape)}


def _count_hint(case: str, name: str, shape: tuple[int, ...], targets: Mapping[str, tuple[int, ...]]) -> str:
    target = targets[name]
    _, batch, clicks, box, mask = _SITUATIONS[case]
    if shape == target[1:]:
        return "The first axis is missing: the prompt sets."
    if name == "dense":
        if shape in ((batch, 1, 256, 256), (batch, 256, 256)):
            return (
                "This is the mask prompt before the encoder; three convolutions map it to the grid and the width of the"
                " image tokens."
            )
        if shape in ((batch, 4096, 256), (batch, 64, 64, 256)):
            return "The sizes are right, their order is not: channels, height, width, as in the image embedding."
        if shape in ((0,), (batch, 0, 64, 64), (batch, 0, 256)) and not mask:
            return "Without a mask prompt it is not empty: the no-mask embedding is at every position."
    if len(shape) != len(target):
        axes = "prompt sets, channels, height, width" if name == "dense" else "prompt sets, tokens, channels"
        return f"There are {len(target)} axes: {axes}."
    if shape[0] != batch and shape[1:] == target[1:]:
        return "How many prompt sets are there? Each selects one object."
    if name == "dense":
        return "It is added to the image embedding, so it has the same channels, height and width."
    if shape[2] != 256:
        return "Every token is 256 wide."
    difference = shape[1] - target[1]
    if mask and difference > 0:
        return "A mask prompt becomes no token: it is added to the image embedding."
    if name == "tokens" and difference == -_OUTPUT_TOKENS:
        return "Step (0) puts the IoU token and the four mask tokens before the prompt's."
    if name == "sparse" and difference == _OUTPUT_TOKENS:
        return "The IoU token and the mask tokens belong to the decoder, not to the prompt encoder."
    if case == "d" and shape[:2] in ((1, 8), (1, 13)):
        return "Four objects are four prompt sets, not one with four boxes."
    if difference == 1 and box:
        return "There is a padding token only where there is no box."
    if difference == -1 and not box:
        return "Clicks without a box are followed by one padding token."
    if difference == -1 and box:
        return "A box is two tokens, one per corner."
    if difference == 2 * clicks or difference == clicks > 1:
        return "A click is one token: its positional encoding and its label's embedding are added, not concatenated."
    return (
        "Count: one per click, two per box, one for padding where there are clicks and no box; then the output tokens"
        " that step (0) adds."
    )


# --- 2: write _embed_points ---


class Case(NamedTuple):
    """The sizes of a prompt encoder and of its inputs. `image_size` is (height, width)."""

    embed_dim: int
    image_size: tuple[int, int]
    batch: int
    clicks: int
    pad: bool


class Inputs(NamedTuple):
    """The inputs of `_embed_points`."""

    points: Tensor
    labels: Tensor
    pad: bool


# The first two images are not square, and all sizes differ.
_CASES = (Case(8, (12, 20), 2, 5, True), Case(8, (12, 20), 3, 4, False), Case(12, (16, 16), 2, 5, True))

_ORDER = "All sines come first, then all cosines: torch.cat([angles.sin(), angles.cos()], dim=-1)."
_PADDING = "The position of the padding must leave no trace: its token is only not_a_point_embed, without encoding."
_MISTAKES = {
    "no half": "The 0.5 is missing: a click is at the centre of its pixel.",
    "half after dividing": "The 0.5 is added too late: it is half a pixel, so add it before you divide by the size.",
    "height and width swapped": "x is divided by the width, y by the height; input_image_size is (height, width).",
    "width for both": "x is divided by the width, y by the height: this image is not square.",
    "height for both": "x is divided by the width, y by the height: this image is not square.",
    "x and y swapped": "x and y are swapped: a position is (x, y), and the matrix's first row belongs to x.",
    "not centred": "The step from [0, 1] to [-1, 1] is missing: 2 * position - 1.",
    "no 2 pi": "The factor 2 pi is missing before sine and cosine.",
    "pi": "The factor before sine and cosine is 2 pi, not pi.",
    "cosine first": _ORDER,
    "interleaved": _ORDER,
    "sine only": "The cosines are missing. Every direction gives a sine and a cosine.",
    "labels swapped": "Positive and negative are swapped: a label of 1 gets point_embeddings[1].",
    "no label": "The label's embedding is missing: without it a positive and a negative click have the same token.",
    "label replaces": "The label's embedding is added to the positional encoding; yours replaces it.",
    "padding keeps its encoding": _PADDING,
    "no padding embedding": "A label of -1 has not_a_point_embed instead of an encoding; yours has nothing.",
    "label -1 not seen": "A label of -1 in the input is padding too, not only the one that you append.",
    "padding first": "The padding is at the wrong end: it comes after the clicks.",
    "labels 2 and 3": "Labels other than 1, 0 and -1 get no embedding here; corners of boxes have their own method.",
    "labels below 0": "Only a label of exactly -1 is padding; any other but 0 and 1 leaves the encoding as it is.",
    "by number": "The label selects the embedding, not the index of the click.",
}
_OTHERWISE = (
    "It is none of the usual mistakes. Print positions, angles and encodings in turn, for a click at a simple position,"
    " and compare them with the diagram."
)


def _variant(module: PromptEncoder, points: Tensor, labels: Tensor, pad: bool, mistake: str) -> Tensor:
    """`_embed_points` with one of the usual mistakes."""
    height, width = module.input_image_size
    size = {
        "height and width swapped": (height, width),
        "width for both": (width, width),
        "height for both": (height, height),
    }.get(mistake, (width, height))
    positions = (points + (0.0 if mistake in ("no half", "half after dividing") else 0.5)) / torch.tensor(size)
    positions = positions + (0.5 if mistake == "half after dividing" else 0.0)
    positions = positions.flip(-1) if mistake == "x and y swapped" else positions
    positions = positions if mistake == "not centred" else 2 * positions - 1
    factor = {"no 2 pi": 1.0, "pi": math.pi}.get(mistake, 2 * math.pi)
    angles = factor * positions @ module.pe_layer.positional_encoding_gaussian_matrix
    sine, cosine = angles.sin(), angles.cos()
    if mistake == "sine only":
        cosine = torch.zeros_like(cosine)
    halves = [cosine, sine] if mistake == "cosine first" else [sine, cosine]
    encoding = torch.stack(halves, -1).flatten(-2) if mistake == "interleaved" else torch.cat(halves, -1)

    embeddings = [module.point_embeddings[i].get_parameter("weight") for i in range(4)]
    negative, positive = embeddings[1::-1] if mistake == "labels swapped" else embeddings[:2]
    padding = module.not_a_point_embed.weight
    label = labels.unsqueeze(-1)
    if mistake == "by number":
        label = torch.arange(labels.shape[1]).expand_as(labels).unsqueeze(-1) % 2
    base = torch.zeros_like(encoding) if mistake == "label replaces" else encoding
    padded = {
        "padding keeps its encoding": encoding + padding,
        "no padding embedding": torch.zeros_like(encoding),
        "label -1 not seen": encoding,
    }.get(mistake, padding.expand_as(encoding))
    result = torch.where(label < 0 if mistake == "labels below 0" else label == -1, padded, encoding)
    if mistake != "no label":
        result = torch.where(label == 0, base + negative, result)
        result = torch.where(label == 1, base + positive, result)
    if mistake == "labels 2 and 3":
        for i in (2, 3):
            result = torch.where(label == i, encoding + embeddings[i], result)
    if not pad:
        return result
    last = padding.expand(len(encoding), 1, -1)
    if mistake == "no padding embedding":
        last = torch.zeros_like(last)
    elif mistake == "padding keeps its encoding":
        angles = 2 * math.pi * -torch.ones(2) @ module.pe_layer.positional_encoding_gaussian_matrix
        last = last + torch.cat([angles.sin(), angles.cos()])
    return torch.cat([last, result] if mistake == "padding first" else [result, last], dim=1)


def _pair(answer: Any, case: Case) -> tuple[PromptEncoder, Any, Inputs]:
    """The verified module with random weights, the learner's with the same weights, and inputs."""
    dim, size, batch, clicks, pad = case
    module, yours = twins(
        PromptEncoder,
        answer,
        lambda kind: kind(dim, (3, 5), size, 4),
        dim + batch,
        call="It is called as sam_edu.PromptEncoder is.",
        keep="its __init__",
    )
    generator = torch.Generator().manual_seed(dim + batch)
    height, width = size
    points = torch.randint(0, 12, (batch, clicks, 2), generator=generator) * torch.tensor([width, height]) / 12
    labels = torch.tensor([[1.0, 0.0, -1.0, 2.0, 1.0], [0.0, -2.0, 1.0, 3.0, -1.0]])[torch.arange(batch) % 2, :clicks]
    return module, yours, Inputs(points, labels, pad)


def _judge_points(answer: Any) -> None:
    if getattr(answer, "_embed_points", None) is PromptEncoder._embed_points:
        raise WrongAnswer("your class has no _embed_points of its own.")
    with torch.no_grad():
        for case in _CASES:  # shapes first, of all cases
            module, yours, (points, labels, pad) = _pair(answer, case)
            copies = points.clone(), labels.clone()
            tokens = result_of(yours._embed_points, *copies, pad, hint="Print the shape after each line.")
            target = module._embed_points(points, labels, pad)
            check_tensor_shape("tokens", tokens, target, "batch, tokens, embed_dim", partial(_points_shape_hint, case))
            if not (torch.equal(copies[0], points) and torch.equal(copies[1], labels)):
                raise WrongAnswer(
                    "the inputs were changed in place: make new tensors; the caller still needs the old ones."
                )
        for case in _CASES:
            module, yours, (points, labels, pad) = _pair(answer, case)
            target = module._embed_points(points, labels, pad)
            hint = recogniser(_MISTAKES, partial(_variant, module, points, labels, pad), _OTHERWISE)
            tokens = result_of(yours._embed_points, points.clone(), labels.clone(), pad)
            check_values("tokens", tokens, target, hint)
        _judge_points_invariants(answer)
    for case in _CASES:
        module, yours, (points, labels, pad) = _pair(answer, case)

        def call(module: Any, points: Tensor, labels: Tensor = labels, pad: bool = pad) -> Any:
            return module._embed_points(points, labels.clone(), pad)

        check_module(module, yours, {"points": points}, ["tokens"], call)


def _points_shape_hint(case: Case, tokens: Tensor) -> str:
    dim, _, batch, clicks, pad = case
    count = clicks + pad
    if pad and tokens.shape == (batch, clicks, dim):
        return "The padding is missing: with pad, one more token follows."
    if not pad and tokens.shape == (batch, clicks + 1, dim):
        return "There is padding without pad: beside a box, none is added."
    if tokens.shape == (batch, count, dim // 2):
        return "Half of the encoding is missing: it has sines and cosines, side by side."
    if tokens.shape == (batch, count, 2):
        return "These are positions: multiply them with the matrix."
    if tokens.shape == (count, dim):
        return "The prompt sets are missing."
    return ""


def _judge_points_invariants(answer: Any) -> None:
    module, yours, (points, labels, _) = _pair(answer, _CASES[0])
    far = torch.where(labels.unsqueeze(-1) == -1, points + 100, points)
    if not same(result_of(yours._embed_points, far, labels.clone(), True), module._embed_points(points, labels, True)):
        raise WrongAnswer(_PADDING)
    integers = labels.long()
    if not same(
        result_of(yours._embed_points, points.clone(), integers, True), module._embed_points(points, labels, True)
    ):
        raise WrongAnswer("labels may be integers: they must give the same tokens as floats.")
    alone = result_of(yours._embed_points, points[:1].clone(), labels[:1].clone(), True)
    if not same(alone, module._embed_points(points[:1], labels[:1], True)):
        raise WrongAnswer("a prompt set alone must get the same tokens as in a batch.")


# --- 3: move the positional encodings ---

_MOVED_MISTAKES = {
    "backwards": "They moved in the other direction: the encoding of a position p must become that of p + shift.",
    "no 2": "The factor 2 is missing: positions are scaled to 2 * position - 1, so a shift counts twice.",
    "no 2 pi": "The factor 2 pi is missing: the angles of an encoding contain it.",
    "shift as a position": "A shift is a difference of positions: the - 1 of 2 * position - 1 cancels.",
    "x and y swapped": "x and y are swapped: the matrix's first row belongs to x.",
    "cosine's sign": "The cosine's sign: cos(a + b) = cos a cos b - sin a sin b, with a minus.",
    "sine's sign": "The sine's sign: sin(a + b) = sin a cos b + cos a sin b, with a plus.",
    "interleaved": "The pairs are wrong: channel i is a sine, and its cosine is channel i + half of the width.",
    "rolled": "Rolling the grid moves positions from one edge to the other, and only by whole cells. Rotate the pairs.",
    "cosine untouched": "Both halves change: the new sine needs the cosine, and the new cosine the sine.",
    "unchanged": "They were returned unchanged.",
}


def _moved_variant(encodings: Tensor, matrix: Tensor, shift: Tensor, mistake: str) -> Tensor:
    """The encodings, moved with one of the usual mistakes."""
    if mistake == "unchanged":
        return encodings
    if mistake == "rolled":
        height, width = encodings.shape[2:]
        cells = round(float(shift[1]) * height), round(float(shift[0]) * width)
        return torch.roll(encodings, cells, dims=(2, 3))
    shift = shift.flip(0) if mistake == "x and y swapped" else shift
    if mistake == "shift as a position":
        angles = 2 * math.pi * (2 * shift - 1) @ matrix
    else:
        factor = {"backwards": -4 * math.pi, "no 2": 2 * math.pi, "no 2 pi": 2.0}.get(mistake, 4 * math.pi)
        angles = factor * shift @ matrix
    angles = angles[:, None, None]
    sine, cosine = (encodings[:, 0::2], encodings[:, 1::2]) if mistake == "interleaved" else encodings.chunk(2, dim=1)
    new_sine = sine * angles.cos() + (-1 if mistake == "sine's sign" else 1) * cosine * angles.sin()
    new_cosine = cosine * angles.cos() - (-1 if mistake == "cosine's sign" else 1) * sine * angles.sin()
    if mistake == "cosine untouched":
        new_cosine = cosine
    if mistake == "interleaved":
        return torch.stack([new_sine, new_cosine], dim=2).flatten(1, 2)
    return torch.cat([new_sine, new_cosine], dim=1)


def _moved_hint(encodings: Tensor, matrix: Tensor, shift: Tensor, yours: Tensor) -> str:
    otherwise = "Each channel pair (sine, cosine) rotates by its own angle: 2 pi, times 2 * shift, times its direction."
    if same(yours, _moved_variant(encodings, matrix, shift, "rolled").roll((1, 1), (2, 3))) or same(
        yours.sort().values, encodings.sort().values
    ):
        otherwise = _MOVED_MISTAKES["rolled"]
    return recogniser(_MOVED_MISTAKES, partial(_moved_variant, encodings, matrix, shift), otherwise)(yours)


def _judge_moved(answer: Any) -> None:
    generator = torch.Generator().manual_seed(5)
    matrix = torch.randn(2, 6, generator=generator)
    y, x = torch.meshgrid((torch.arange(4) + 0.5) / 4, (torch.arange(8) + 0.5) / 8, indexing="ij")
    positions = torch.stack([x, y], dim=-1)  # (height, width, 2)
    encodings = _encodings(positions, matrix)
    shifts = [torch.tensor(pair) for pair in ((0.25, 0.5), (-0.3, 0.07))]
    for shift in shifts:
        result = result_of(
            answer, encodings.clone(), matrix.clone(), shift.clone(), hint="Print the shape after each line."
        )
        target = _encodings(positions + shift, matrix)
        check_tensor_shape(
            "encodings",
            result,
            target,
            "1, dim, height, width",
            lambda _: "Moving keeps the shape: one encoding per position.",
        )
        check_values("encodings", result, target, partial(_moved_hint, encodings, matrix, shift))
    # Positions that are no grid, another width, and shifts by less than a cell and by more than the image.
    matrix = torch.randn(2, 4, generator=generator)
    positions = torch.rand(2, 3, 2, generator=generator)
    encodings = _encodings(positions, matrix)
    shifts += [torch.tensor([0.01, -0.02]), torch.tensor([1.5, -2.25])]
    for shift in shifts:
        if not same(
            result_of(answer, encodings.clone(), matrix.clone(), shift.clone()), _encodings(positions + shift, matrix)
        ):
            raise WrongAnswer(
                "it must work for the encodings of any positions, without knowing the positions: rotate the pairs."
            )
    for shift in shifts:  # what must always hold: the inverse shift restores the encodings
        shifted = _encodings(positions + shift, matrix)
        if not same(result_of(answer, shifted, matrix.clone(), -shift), encodings):
            raise WrongAnswer("moved by shift and then by -shift, the encodings must be the same as before.")


def _encodings(positions: Tensor, matrix: Tensor) -> Tensor:
    """Encodings of a grid of positions, (1, dim, height, width)."""
    angles = 2 * math.pi * (2 * positions - 1) @ matrix
    return torch.cat([angles.sin(), angles.cos()], dim=-1).permute(2, 0, 1)[None]


counts = Exercise("03.1 count the tokens", _judge_counts, solutions.COUNTS)
points = Exercise("03.2 write _embed_points", _judge_points, solutions.Solution)
moved = Exercise("03.3 move the positional encodings", _judge_moved, solutions.moved)
