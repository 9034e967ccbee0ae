"""The exercises of notebook 03: count the tokens, write `_embed_points`, move the codes."""

import math
from collections.abc import Mapping
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
from sam_edu.exercises.prompts_solutions import COUNTS, Solution
from sam_edu.exercises.prompts_solutions import moved as _moved
from sam_edu.exercises.table import judge_table
from sam_edu.exercises.trials import twins
from sam_edu.modules import PromptEncoder

# --- 1: count the tokens ---

# Per situation: its words, prompt sets, clicks, whether there is a box, whether there is a mask prompt.
_SITUATIONS: dict[str, tuple[str, int, int, bool, bool]] = {
    "a": ("one click", 1, 1, False, False),
    "b": ("two positive clicks and a negative one, for one object", 1, 3, False, False),
    "c": ("a box, and a click in it", 1, 1, True, False),
    "d": ("four boxes, one object each", 4, 0, True, False),
    "e": ("an earlier mask, and nothing else", 1, 0, False, True),
}
_NAMES = ("sparse", "tokens", "dense")
_OUTPUT_TOKENS = 5


def _judge_counts(answer: Any) -> None:
    judge_table(answer, _SITUATIONS, _NAMES, _true_shapes, _count_hint)


def _true_shapes(case: str) -> dict[str, tuple[int, ...]]:
    """What the verified prompt encoder returns, and what the decoder makes of it in step (0)."""
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


def _count_hint(case: str, name: str, got: tuple[int, ...], true: Mapping[str, tuple[int, ...]]) -> str:
    right = true[name]
    _, batch, clicks, box, mask = _SITUATIONS[case]
    if got == right[1:]:
        return "The first axis is missing: the prompt sets."
    if name == "dense":
        if got in ((batch, 1, 256, 256), (batch, 256, 256)):
            return (
                "That is the mask prompt as it comes in; three convolutions lead to the image tokens' grid and width."
            )
        if got in ((batch, 4096, 256), (batch, 64, 64, 256)):
            return "The right numbers in another order: channels first, then height and width, as the image embedding."
        if got in ((0,), (batch, 0, 64, 64), (batch, 0, 256)) and not mask:
            return "Without a mask prompt it is not empty: the no-mask embedding stands at every place."
    if len(got) != len(right):
        axes = "prompt sets, channels, height, width" if name == "dense" else "prompt sets, tokens, channels"
        return f"There are {len(right)} axes: {axes}."
    if got[0] != batch and got[1:] == right[1:]:
        return "How many prompt sets are there? Each selects one object."
    if name == "dense":
        return "It is added to the image embedding, so its channels, height and width are those."
    if got[2] != 256:
        return "A token is 256 wide, whatever it stands for."
    off = got[1] - right[1]
    if mask and off > 0:
        return "A mask prompt becomes no token at all: it goes into the picture's stream."
    if name == "tokens" and off == -_OUTPUT_TOKENS:
        return "Step (0) puts the IoU token and the four mask tokens before the prompt's."
    if name == "sparse" and off == _OUTPUT_TOKENS:
        return "The IoU token and the mask tokens are the decoder's: the prompt encoder knows nothing of them."
    if case == "d" and got[:2] in ((1, 8), (1, 13)):
        return "Four objects are four prompt sets, not one with four boxes."
    if off == 1 and box:
        return "Is there padding? Only where there is no box."
    if off == -1 and not box:
        return "Clicks without a box are followed by one padding token."
    if off == -1 and box:
        return "A box is two tokens, one per corner."
    if off == 2 * clicks or off == clicks > 1:
        return "A click is one token: its place and its label are added, not put side by side."
    return (
        "Count: one per click, two per box, one for padding where there are clicks and no box; then what step (0) adds."
    )


# --- 2: write _embed_points ---

# (embed_dim, (height, width) of the picture, batch, clicks, pad): the picture is not square, and the numbers differ.
Case = tuple[int, tuple[int, int], int, int, bool]
_CASES: tuple[Case, ...] = ((8, (12, 20), 2, 5, True), (8, (12, 20), 3, 4, False), (12, (16, 16), 2, 5, True))

_ORDER = "Sines come first, then all cosines: torch.cat([angles.sin(), angles.cos()], dim=-1)."
_CODE = "The padding's place must leave no trace: its token is not_a_point_embed alone, without any code."
_MISTAKES = {
    "no half": "The 0.5 is missing: a click points to the middle of its pixel.",
    "half after dividing": "The 0.5 is added too late: half a pixel, so before you divide by the size.",
    "height and width swapped": "x is divided by the width, y by the height; input_image_size is (height, width).",
    "width for both": "x is divided by the width, y by the height: this picture is not square.",
    "height for both": "x is divided by the width, y by the height: this picture is not square.",
    "x and y swapped": "x and y are swapped: a place is (x, y), and the matrix's first row belongs to x.",
    "not centred": "The step from [0, 1] to [-1, 1] is missing: 2 * place - 1.",
    "no 2 pi": "The factor 2 pi is missing before sine and cosine.",
    "pi": "Before sine and cosine comes 2 pi, not pi.",
    "cosine first": _ORDER,
    "interleaved": _ORDER,
    "sine only": "Where are the cosines? Every direction gives a sine and a cosine.",
    "labels swapped": "Positive and negative are swapped: a label of 1 gets point_embeddings[1].",
    "no label": "The label's embedding is missing: without it all clicks are alike, positive and negative.",
    "label replaces": "The label's embedding is added to the place's code; yours takes its stead.",
    "padding keeps its code": _CODE,
    "no padding embedding": "A label of -1 has not_a_point_embed in place of its code; yours has nothing.",
    "label -1 not seen": "A label of -1 that comes in is padding as well, not only the one that you append.",
    "padding first": "The padding stands at the wrong end: it comes after the clicks.",
    "labels 2 and 3": "Labels other than 1, 0 and -1 get no embedding here; corners have a path of their own.",
    "by number": "The label chooses the embedding, not the click's place in the row.",
}
_OTHER = (
    "It is none of the usual mistakes. Print places, angles and code in turn, for a click whose place is easy, and hold"
    " them against the diagram."
)


def _variant(module: PromptEncoder, points: Tensor, labels: Tensor, pad: bool, mistake: str) -> Tensor:
    """`_embed_points` with one of the usual mistakes."""
    height, width = module.input_image_size
    size = {
        "height and width swapped": (height, width),
        "width for both": (width, width),
        "height for both": (height, height),
    }.get(mistake, (width, height))
    places = (points + (0.0 if mistake in ("no half", "half after dividing") else 0.5)) / torch.tensor(size)
    places = places + (0.5 if mistake == "half after dividing" else 0.0)
    places = places.flip(-1) if mistake == "x and y swapped" else places
    places = places if mistake == "not centred" else 2 * places - 1
    factor = {"no 2 pi": 1.0, "pi": math.pi}.get(mistake, 2 * math.pi)
    angles = factor * places @ module.pe_layer.positional_encoding_gaussian_matrix
    sine, cosine = angles.sin(), angles.cos()
    if mistake == "sine only":
        cosine = torch.zeros_like(cosine)
    halves = [cosine, sine] if mistake == "cosine first" else [sine, cosine]
    code = torch.stack(halves, -1).flatten(-2) if mistake == "interleaved" else torch.cat(halves, -1)

    kinds = [module.point_embeddings[i].get_parameter("weight") for i in range(4)]
    negative, positive = (kinds[1], kinds[0]) if mistake == "labels swapped" else (kinds[0], kinds[1])
    padding = module.not_a_point_embed.weight
    label = labels.unsqueeze(-1)
    if mistake == "by number":
        label = torch.arange(labels.shape[1]).expand_as(labels).unsqueeze(-1) % 2
    base = torch.zeros_like(code) if mistake == "label replaces" else code
    alone = {
        "padding keeps its code": code + padding,
        "no padding embedding": torch.zeros_like(code),
        "label -1 not seen": code,
    }.get(mistake, padding.expand_as(code))
    result = torch.where(label == -1, alone, code)
    if mistake != "no label":
        result = torch.where(label == 0, base + negative, result)
        result = torch.where(label == 1, base + positive, result)
    if mistake == "labels 2 and 3":
        for i in (2, 3):
            result = torch.where(label == i, code + kinds[i], result)
    if not pad:
        return result
    last = padding.expand(len(code), 1, -1)
    if mistake == "no padding embedding":
        last = torch.zeros_like(last)
    elif mistake == "padding keeps its code":
        angles = 2 * math.pi * -torch.ones(2) @ module.pe_layer.positional_encoding_gaussian_matrix
        last = last + torch.cat([angles.sin(), angles.cos()])
    return torch.cat([last, result] if mistake == "padding first" else [result, last], dim=1)


def _pair(answer: Any, case: Case) -> tuple[PromptEncoder, Any, Tensor, Tensor, bool]:
    """The verified module with random weights, the learner's with the same, clicks, labels, and whether to pad."""
    dim, size, batch, clicks, pad = case
    module, yours = twins(
        PromptEncoder,
        answer,
        lambda kind: kind(dim, (3, 5), size, 4),
        dim + batch,
        made="It is made as sam_edu.PromptEncoder is.",
        keep="its __init__",
    )
    generator = torch.Generator().manual_seed(dim + batch)
    height, width = size
    points = torch.randint(0, 12, (batch, clicks, 2), generator=generator) * torch.tensor([width, height]) / 12
    labels = torch.tensor([[1.0, 0.0, -1.0, 2.0, 1.0], [0.0, 0.0, 1.0, 3.0, -1.0]])[torch.arange(batch) % 2, :clicks]
    return module, yours, points, labels, pad


def _judge_points(answer: Any) -> None:
    if getattr(answer, "_embed_points", None) is PromptEncoder._embed_points:
        raise WrongAnswer("your class has no _embed_points of its own.")
    with torch.no_grad():
        for case in _CASES:  # shapes first, of all cases
            module, yours, points, labels, pad = _pair(answer, case)
            copies = points.clone(), labels.clone()
            came = result_of(yours._embed_points, *copies, pad, hint="Print the shape after each line.")
            target = module._embed_points(points, labels, pad)
            check_tensor_shape(
                "tokens", came, target, "batch, tokens, embed_dim", partial(_points_shape_hint, case, labels)
            )
            if not (torch.equal(copies[0], points) and torch.equal(copies[1], labels)):
                raise WrongAnswer(
                    "the inputs were written into: make new tensors; the caller still needs the old ones."
                )
        for case in _CASES:
            module, yours, points, labels, pad = _pair(answer, case)
            target = module._embed_points(points, labels, pad)
            looks = recogniser(_MISTAKES, partial(_variant, module, points, labels, pad), _OTHER)
            check_values("tokens", yours._embed_points(points.clone(), labels.clone(), pad), target, looks)
        _judge_points_invariants(answer)


def _points_shape_hint(case: Case, labels: Tensor, came: Tensor) -> str:
    dim, _, batch, clicks, pad = case
    count = clicks + pad
    if pad and came.shape == (batch, clicks, dim):
        return "The padding is missing: with pad, one token more follows."
    if not pad and came.shape == (batch, clicks + 1, dim):
        return "There is padding without pad: where there is a box, none is added."
    if came.shape == (batch, count, dim // 2):
        return "Half of the code is missing: sines and cosines, side by side."
    if came.shape == (batch, count, 2):
        return "These are places: the matrix makes directions of them."
    if came.shape == (count, dim):
        return "The prompt sets are missing."
    return ""


def _judge_points_invariants(answer: Any) -> None:
    module, yours, points, labels, _ = _pair(answer, _CASES[0])
    far = torch.where(labels.unsqueeze(-1) == -1, points + 100, points)
    if not same(result_of(yours._embed_points, far, labels.clone(), True), module._embed_points(points, labels, True)):
        raise WrongAnswer(_CODE)
    whole = labels.long()
    if not same(
        result_of(yours._embed_points, points.clone(), whole, True), module._embed_points(points, labels, True)
    ):
        raise WrongAnswer("labels may be whole numbers: they must give the same tokens as floats.")
    one = result_of(yours._embed_points, points[:1].clone(), labels[:1].clone(), True)
    if not same(one, module._embed_points(points[:1], labels[:1], True)):
        raise WrongAnswer("a prompt set alone must get the same tokens as in a batch.")


# --- 3: move the codes ---

_TURNS = {
    "backwards": "They moved the other way: the code of a place p must become that of p + shift.",
    "no 2": "The factor 2 is missing: places are stretched to 2 * place - 1, so a shift counts twice.",
    "no 2 pi": "The factor 2 pi is missing: the angles of a code have it.",
    "shift as a place": "A shift is a difference of places: the - 1 of 2 * place - 1 cancels.",
    "x and y swapped": "x and y are swapped: the matrix's first row belongs to x.",
    "cosine's sign": "The cosine's sign: cos(a + b) = cos a cos b - sin a sin b, with a minus.",
    "sine's sign": "The sine's sign: sin(a + b) = sin a cos b + cos a sin b, with a plus.",
    "interleaved": "The pairs are torn apart: channel i is a sine, and its cosine is channel i + half of the width.",
    "rolled": "Rolling the grid brings places from one edge to the other, and moves by whole cells. Turn the pairs.",
    "cosine untouched": "Both halves change: the sine takes from the cosine, and the cosine from the sine.",
    "unchanged": "They came back as they were.",
}


def _turned(codes: Tensor, matrix: Tensor, shift: Tensor, mistake: str) -> Tensor:
    """The codes moved with one of the usual mistakes."""
    if mistake == "unchanged":
        return codes
    if mistake == "rolled":
        height, width = codes.shape[2:]
        by = round(float(shift[1]) * height), round(float(shift[0]) * width)
        return torch.roll(codes, by, dims=(2, 3))
    shift = shift.flip(0) if mistake == "x and y swapped" else shift
    if mistake == "shift as a place":
        turn = 2 * math.pi * (2 * shift - 1) @ matrix
    else:
        factor = {"backwards": -4 * math.pi, "no 2": 2 * math.pi, "no 2 pi": 2.0}.get(mistake, 4 * math.pi)
        turn = factor * shift @ matrix
    turn = turn[:, None, None]
    sine, cosine = (codes[:, 0::2], codes[:, 1::2]) if mistake == "interleaved" else codes.chunk(2, dim=1)
    new_sine = sine * turn.cos() + (-1 if mistake == "sine's sign" else 1) * cosine * turn.sin()
    new_cosine = cosine * turn.cos() - (-1 if mistake == "cosine's sign" else 1) * sine * turn.sin()
    if mistake == "cosine untouched":
        new_cosine = cosine
    if mistake == "interleaved":
        return torch.stack([new_sine, new_cosine], dim=2).flatten(1, 2)
    return torch.cat([new_sine, new_cosine], dim=1)


def _turn_hint(codes: Tensor, matrix: Tensor, shift: Tensor, yours: Tensor) -> str:
    otherwise = (
        "Every channel pair (sine, cosine) turns by an angle of its own: 2 pi, times 2 * shift, times its direction."
    )
    if same(yours, _turned(codes, matrix, shift, "rolled").roll((1, 1), (2, 3))) or same(
        yours.sort().values, codes.sort().values
    ):
        otherwise = _TURNS["rolled"]
    return recogniser(_TURNS, partial(_turned, codes, matrix, shift), otherwise)(yours)


def _judge_moved(answer: Any) -> None:
    generator = torch.Generator().manual_seed(5)
    matrix = torch.randn(2, 6, generator=generator)
    y, x = torch.meshgrid((torch.arange(4) + 0.5) / 4, (torch.arange(8) + 0.5) / 8, indexing="ij")
    places = torch.stack([x, y], dim=-1)  # (height, width, 2)
    codes = _codes(places, matrix)
    shifts = [torch.tensor(pair) for pair in ((0.25, 0.5), (-0.3, 0.07))]
    for shift in shifts:
        came = result_of(answer, codes.clone(), matrix.clone(), shift.clone(), hint="Print the shape after each line.")
        target = _codes(places + shift, matrix)
        check_tensor_shape(
            "codes", came, target, "1, dim, height, width", lambda _: "Moving keeps the shape: a code for each place."
        )
        check_values("codes", came, target, partial(_turn_hint, codes, matrix, shift))
    other = torch.randn(1, 12, 2, 3, generator=generator)
    if not same(result_of(answer, other.clone(), matrix, shifts[0]), _moved(other, matrix, shifts[0])):
        raise WrongAnswer("it must work for the codes of any places, without knowing the places: turn the pairs.")
    for shift in shifts:  # what must always hold: there and back
        there = result_of(answer, codes.clone(), matrix, shift)
        if not same(result_of(answer, there, matrix, -shift), codes):
            raise WrongAnswer("there and back, by shift and by -shift, must give the codes as they were.")


def _codes(places: Tensor, matrix: Tensor) -> Tensor:
    """Codes of a grid of places, (1, dim, height, width)."""
    angles = 2 * math.pi * (2 * places - 1) @ matrix
    return torch.cat([angles.sin(), angles.cos()], dim=-1).permute(2, 0, 1)[None]


counts = Exercise("03.1 count the tokens", _judge_counts, COUNTS)
points = Exercise("03.2 write _embed_points", _judge_points, Solution)
moved = Exercise("03.3 move the codes", _judge_moved, _moved)
