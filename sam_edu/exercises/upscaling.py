"""The exercises of notebook 06: predict the size, write step (5), remove the painting."""

import math
from collections.abc import Mapping
from functools import cache, partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from sam_edu.exercises.inputs import random, with_random_weights
from sam_edu.exercises.judging import (
    Exercise,
    WrongAnswer,
    check_tensor_shape,
    check_values,
    recogniser,
    result_of,
    same,
)
from sam_edu.exercises.judging_modules import check_function
from sam_edu.exercises.judging_tables import judge_row
from sam_edu.exercises.solutions import upscaling as solutions
from sam_edu.modules import OutputUpscaling

# --- 1: predict the size ---

_QUESTIONS = {
    "a": "shape of the output of layer 0, three prompt sets",
    "b": "shape of layer 0's weight",
    "c": "shape of the output of step (5), one prompt set",
    "d": "shape of the weight of the nn.Linear that is equal to layer 3",
    "e": "parameters of layer 3",
    "f": "pixels that change with one image token",
    "g": "numbers in one mean of LayerNorm2d",
    "h": "numbers in one mean of nn.GroupNorm(1, 64)",
}


def _judge_sizes(answer: Any) -> None:
    judge_row(answer, _QUESTIONS, _true_sizes, _size_hint)


@cache
def _true_sizes() -> dict[str, int | tuple[int, ...]]:
    """The sizes of the verified module, measured."""
    with torch.random.fork_rng(devices=[]):
        module = OutputUpscaling(256).to("meta")
    small_module = with_random_weights(partial(OutputUpscaling, 32), seed=0)
    x = torch.zeros(1, 32, 3, 3)
    other = x.clone()
    other[:, :, 1, 1] = 1.0
    with torch.no_grad():
        changed = (small_module(x) != small_module(other)).any(1)
        doubled = module[0](torch.empty(3, 256, 64, 64, device="meta"))
        upscaled = module(torch.empty(1, 256, 64, 64, device="meta"))
    weight = module.get_submodule("3").get_parameter("weight")
    return {
        "a": tuple(doubled.shape),
        "b": tuple(module.get_submodule("0").get_parameter("weight").shape),
        "c": tuple(upscaled.shape),
        "d": (weight[0].numel(), weight.shape[0]),
        "e": sum(p.numel() for p in module.get_submodule("3").parameters()),
        "f": int(changed.sum()),
        "g": doubled.shape[1],
        "h": doubled[0].numel(),
    }


def _size_hint(key: str, size: Any) -> str:
    if key in ("a", "c") and len(size) != 4:
        return "There are four axes: prompt sets, channels, height, width."
    if key == "a":
        if size[0] != 3:
            return "The first axis counts prompt sets."
        return "Height and width are doubled once, from 64; the channels are a quarter of 256."
    if key == "b":
        if sorted(size) == [2, 2, 64, 256]:
            return "A transposed convolution's weight has the input channels first, then the output channels."
        return "Four axes: channels in, channels out, and the kernel's height and width."
    if key == "c":
        return "Height and width are doubled twice, from 64; the channels are an eighth of 256."
    if key == "d":
        if size == (64, 128):
            return "nn.Linear keeps its weight as (out, in)."
        return "In: the channels of a pixel. Out: the channels of its four new pixels, all in one vector."
    if key == "e":
        if size == 8192:
            return "The weight is right. There is a bias too, one number per output channel."
        if size == 8192 + 128:
            return "The four pixels share one bias: one number per output channel."
        return "64 channels in, 32 out, a matrix for each of four pixels; and a bias."
    if key == "f":
        if size == 4:
            return "That is after the first doubling. There is a second doubling."
        return "The pixels of two image tokens do not overlap, and no layer mixes neighbours."
    if key == "g":
        if size in (64 * 128 * 128, 128 * 128):
            return "Each pixel has its own mean."
        return "It comes after layer 0: how many channels does a pixel have there?"
    if size == 64:
        return "That is LayerNorm2d. A group of GroupNorm takes all positions together."
    if size == 128 * 128:
        return "One group holds all 64 channels."
    return "It comes after layer 0, where there are 64 channels at 128 x 128, and there is one group."


# --- 2: write step (5) ---

_LAYOUT = "Pixels are in the wrong positions. Token (i, j) has rows 2i and 2i + 1, columns 2j and 2j + 1."
_MISTAKES = {
    "no last GELU": "The last GELU is missing: one article forgets it too.",
    "no first GELU": "The first GELU is missing: it comes between the norm and the second doubling.",
    "no GELU": "Both GELUs are missing.",
    "tanh": "This is GELU's tanh approximation, which differs by up to 0.0005. SAM uses F.gelu's default.",
    "ReLU": "This is ReLU. The upscaling has GELU.",
    "no norm": "The norm is missing: it comes after the first doubling.",
    "norm twice": "There is one norm only, after the first doubling. The 32 channels are not normalised.",
    "GELU before norm": "The order is doubling, norm, GELU: the GELU came before the norm.",
    "norm without scale": "After the division each channel is scaled by 1.weight and shifted by 1.bias.",
    "eps 1e-5": "eps is 1e-6 here, not nn.LayerNorm's default of 1e-5.",
    "no eps": "eps is missing: 1e-6, added to the variance before the root.",
    "eps outside": "eps is added to the variance before the root, not to the standard deviation after it.",
    "unbiased": "The variance is divided by the number of channels, not by one less: unbiased=False.",
    "variance": "Divide by the square root of the variance, not by the variance.",
    "group norm": "Mean and variance were taken over the positions too. Each pixel has its own, over its channels.",
    "instance norm": "Mean and variance were taken per channel. Take them per pixel, over the channels.",
    "no bias": "A bias of a transposed convolution is missing: 0.bias and 3.bias.",
    "bias four times": "The bias is added four times. Add it once to each pixel.",
    "kernel flipped": "The kernel is turned by 180 degrees. weight[:, :, 0, 0] is for the pixel at the top left.",
    "kernel transposed": "Rows and columns of the kernel are exchanged: weight[:, :, y, x].",
    "quadrants": _LAYOUT,
    "channels innermost": _LAYOUT + " F.pixel_shuffle expects the channels before the kernel's rows and columns.",
}


class _NoTransposedConvolution(TorchDispatchMode):
    """A mode that refuses transposed convolutions by any name: the exercise is to write the step without one."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = func.name()
        given = dict(zip((argument.name for argument in func._schema.arguments), args, strict=False)) | kwargs
        if "conv" in name and ("transpose" in name or "backward" in name or given.get("transposed")):
            raise WrongAnswer(
                "write it without conv_transpose2d and its like: a product per pixel, and then the pixels at their"
                " positions."
            )
        return func(*args, **kwargs)


def _variant(x: Tensor, w: Mapping[str, Tensor], mistake: str) -> Tensor:
    """Step (5) with one of the usual mistakes."""

    def double(x: Tensor, name: str) -> Tensor:
        weight, bias = w[f"{name}.weight"], w[f"{name}.bias"]
        weight = weight.flip(-1, -2) if mistake == "kernel flipped" else weight
        weight = weight.mT if mistake == "kernel transposed" else weight
        pixels = torch.einsum("bihw,ioyx->bohywx", x, weight)
        if mistake == "quadrants":
            pixels = pixels.permute(0, 1, 3, 2, 5, 4)
        if mistake == "channels innermost":
            flat = torch.einsum("bihw,ioyx->byxohw", x, weight).flatten(1, 3)
            y = F.pixel_shuffle(flat, 2)
        else:
            y = pixels.flatten(4, 5).flatten(2, 3)
        count = {"no bias": 0, "bias four times": 4}.get(mistake, 1)
        return y + count * bias[:, None, None]

    def norm(x: Tensor, learned: bool = True) -> Tensor:
        axes = {"group norm": (1, 2, 3), "instance norm": (2, 3)}.get(mistake, (1,))
        y = x - x.mean(axes, keepdim=True)
        variance = x.var(axes, unbiased=mistake == "unbiased", keepdim=True)
        eps = {"eps 1e-5": 1e-5, "no eps": 0.0}.get(mistake, 1e-6)
        divisor = torch.sqrt(variance + eps)
        if mistake == "eps outside":
            divisor = torch.sqrt(variance) + eps
        if mistake == "variance":
            divisor = variance + eps
        y = y / divisor
        if mistake == "norm without scale" or not learned:
            return y
        return y * w["1.weight"][:, None, None] + w["1.bias"][:, None, None]

    def activation(x: Tensor, which: str) -> Tensor:
        if mistake in (f"no {which} GELU", "no GELU"):
            return x
        if mistake == "ReLU":
            return F.relu(x)
        return F.gelu(x, approximate="tanh" if mistake == "tanh" else "none")

    x = double(x, "0")
    if mistake == "GELU before norm":
        x = norm(activation(x, "first"))
    else:
        x = activation(x if mistake == "no norm" else norm(x), "first")
    x = double(x, "3")
    return activation(norm(x, learned=False) if mistake == "norm twice" else x, "last")


class Case(NamedTuple):
    """The sizes of an upscaling and of its input. `scale` is the standard deviation of the input."""

    dim: int
    height: int
    width: int
    scale: float


# With the small input of the second case, eps has an effect.
_CASES = (Case(16, 2, 3, 1.0), Case(16, 3, 2, 2e-3), Case(24, 1, 1, 1.0))


def _inputs(case: Case, batch: int = 2) -> tuple[Tensor, dict[str, Tensor]]:
    """Image tokens, and the state dict of an upscaling with random parameters, also those of the norm."""
    dim, height, width, input_scale = case
    with torch.random.fork_rng(devices=[]):
        module = OutputUpscaling(dim)
    state = {}
    for i, (name, parameter) in enumerate(module.state_dict().items()):
        scale = 1.5 / math.sqrt(parameter.shape[0]) if parameter.ndim > 1 else 1.0
        bias_scale = input_scale if name == "0.bias" else 1.0
        state[name] = bias_scale * scale * random(dim + i, *parameter.shape)
    return input_scale * random(dim + 99, batch, dim, height, width), state


def _result(answer: Any, x: Tensor, w: Mapping[str, Tensor]) -> Any:
    hint = "Its arguments are x (batch, channels, height, width) and w, with the keys 0.weight, 0.bias, 1.weight, ..."
    with _NoTransposedConvolution():
        return result_of(answer, x, dict(w), hint=hint)


def _target(x: Tensor, w: Mapping[str, Tensor]) -> Tensor:
    with torch.random.fork_rng(devices=[]):
        module = OutputUpscaling(x.shape[1])
    module.load_state_dict(w)
    return module(x)


_OTHERWISE = (
    "It is none of the usual mistakes. Compare with sam_edu.OutputUpscaling layer by layer: sam_edu.trace shows"
    " doubled_once, normed, activated_once, doubled_twice and activated_twice."
)


def _upscale_shape_hint(target: Tensor, result: Tensor) -> str:
    if result.ndim == 4 and result.shape[1] == 4 * target.shape[1]:
        return "Each pixel still holds the channels of four: move them to their four positions."
    if result.ndim == 4 and 2 * result.shape[-1] == target.shape[-1]:
        return "It was doubled once. Step (5) doubles twice."
    if result.ndim == 3:
        return "The axis of the prompt sets is missing."
    return "Print the shape after each line: height and width double twice, the channels go down to an eighth."


def _judge_upscale(answer: Any) -> None:
    if not callable(answer):
        raise WrongAnswer(f"expected a function, got {type(answer).__name__}.")
    with torch.no_grad():
        for case in _CASES:  # shapes first, of all cases
            x, w = _inputs(case)
            copy, copies = x.clone(), {name: tensor.clone() for name, tensor in w.items()}
            result, target = _result(answer, copy, copies), _target(x, w)
            shape_hint = partial(_upscale_shape_hint, target)
            check_tensor_shape("upscaled", result, target, "batch, channels, height, width", shape_hint)
            if not torch.equal(copy, x):
                raise WrongAnswer("x was changed in place: make new tensors; the caller still needs the old one.")
            if any(not torch.equal(copies[name], tensor) for name, tensor in w.items()):
                raise WrongAnswer("a weight was changed in place: make new tensors; the next call needs the old ones.")
        for case in _CASES:
            x, w = _inputs(case)
            hint = recogniser(_MISTAKES, partial(_variant, x, w), _OTHERWISE)
            check_values("upscaled", _result(answer, x.clone(), w), _target(x, w), hint)
        x, w = _inputs(_CASES[0])
        changed = x.clone()
        changed[:, :, 1, 2] += 1.0
        if not same(_result(answer, changed.clone(), w), _target(changed, w)):
            raise WrongAnswer("an image token must change its own 4 x 4 pixels and no others.")
        if not same(_result(answer, x[:1].clone(), w), _target(x[:1], w)):
            raise WrongAnswer("a prompt set alone must get the same feature map as in a batch.")
    for case in _CASES:
        x, w = _inputs(case)

        def call(step: Any, x: Tensor, *tensors: Tensor, names: tuple[str, ...] = tuple(w)) -> Any:
            return step(x, dict(zip(names, tensors, strict=True)))

        check_function(partial(call, answer), partial(call, solutions.upscale), {"x": x, **w}, ["upscaled"])


# --- 3: remove the painting ---

_PATTERN_MISTAKES = {
    "nothing": "The channels were returned unchanged.",
    "one pixel": "One pixel of each square was repeated. Take the mean of all 16.",
    "squares of 2": "The squares are 2 x 2. Doubled twice, an image token has 4 x 4 pixels.",
    "squares of 8": "The squares are 8 x 8, of four image tokens each.",
    "tiled": "The means are at the wrong positions: repeat each mean in place (repeat_interleave); .repeat and .tile"
    " put copies of the whole map side by side.",
    "phases": "Pixels that are 4 apart were averaged. Average the pixels of one square: they belong to one token.",
    "over channels": "The mean was taken over the channels. Each channel keeps its own.",
    "whole map": "The mean was taken over the whole map. Each square has its own.",
    "sum": "This is the sum. Take the mean: a 16th of it.",
    "smooth": "The result is smooth: the means were interpolated bilinearly. Repeat each mean unchanged.",
    "means removed": "The patterns were kept and the means removed. Keep the means instead.",
}


def _pattern_variant(x: Tensor, mistake: str) -> Tensor:
    """The channels without patterns, with one of the usual mistakes."""

    def repeat(means: Tensor, times: int) -> Tensor:
        return means.repeat_interleave(times, -1).repeat_interleave(times, -2)

    means = F.avg_pool2d(x, 4)
    if mistake == "phases":
        height, width = x.shape[-2:]
        squares = x.unflatten(-1, (width // 4, 4)).unflatten(-3, (height // 4, 4))
        return squares.mean((-4, -2)).repeat(1, 1, height // 4, width // 4)
    variants = {
        "nothing": lambda: x,
        "one pixel": lambda: repeat(x[..., ::4, ::4], 4),
        "squares of 2": lambda: repeat(F.avg_pool2d(x, 2), 2),
        "squares of 8": lambda: repeat(F.avg_pool2d(x, 8), 8),
        "tiled": lambda: means.repeat(1, 1, 4, 4),
        "over channels": lambda: x.mean(1, keepdim=True).expand_as(x),
        "whole map": lambda: x.mean((-1, -2), keepdim=True).expand_as(x),
        "sum": lambda: 16 * repeat(means, 4),
        "smooth": lambda: F.interpolate(means, scale_factor=4, mode="bilinear"),
        "means removed": lambda: x - repeat(means, 4),
    }
    return variants.get(mistake, lambda: repeat(means, 4))()


def _pattern_shape_hint(result: Tensor) -> str:
    if result.ndim == 4 and result.shape[-1] in (4, 6):
        return "These are the means. Repeat each at all 16 pixels of its square."
    return "A replacement keeps the shape of the tensor that it replaces."


def _judge_patterns(answer: Any) -> None:
    with torch.no_grad():
        x = random(1, 2, 3, 16, 24)
        hint = "Its argument is (batch, channels, height, width); height and width are multiples of 4."
        result = result_of(answer, x.clone(), hint=hint)
        check_tensor_shape("channels", result, x, "batch, channels, height, width", _pattern_shape_hint)
        value_hint = recogniser(
            _PATTERN_MISTAKES,
            partial(_pattern_variant, x),
            "It is none of the usual mistakes. Draw your result beside the channels: every square has one colour.",
        )
        check_values("channels", result, solutions.without_painting(x), value_hint)
        target = solutions.without_painting(x)
        if not same(result_of(answer, target.clone(), hint=hint), target):
            raise WrongAnswer("a second application must change nothing more.")
        for other in (random(2, 1, 1, 4, 4), random(3, 4, 2, 20, 8), 1e3 * random(4, 1, 32, 8, 8)):
            if not same(result_of(answer, other.clone(), hint=hint), solutions.without_painting(other)):
                raise WrongAnswer(f"for channels of shape {tuple(other.shape)} the values are wrong.")


sizes = Exercise("06.1 predict the size", _judge_sizes, solutions.SIZES)
upscale = Exercise("06.2 write step (5)", _judge_upscale, solutions.upscale)
without_painting = Exercise("06.3 remove the painting", _judge_patterns, solutions.without_painting)
