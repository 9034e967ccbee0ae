"""The exercises of notebook 06: predict the size, write step (5), take the patterns away."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from sam_edu.exercises.exercise import (
    Exercise,
    NotAttempted,
    WrongAnswer,
    check_tensor_shape,
    check_values,
    result_of,
    same,
)
from sam_edu.exercises.upscaling_solutions import SIZES
from sam_edu.exercises.upscaling_solutions import upscale as _upscale
from sam_edu.exercises.upscaling_solutions import without_patterns as _without_patterns
from sam_edu.modules import OutputUpscaling


def _random(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# --- 1: predict the size ---

_QUESTIONS = {
    "a": "shape of what leaves layer 0, three prompt sets",
    "b": "shape of layer 0's weight",
    "c": "shape of what leaves step (5), one prompt set",
    "d": "shape of the weight of the nn.Linear that does layer 3's work",
    "e": "parameters of layer 3",
    "f": "pixels that change with one image token",
    "g": "numbers in one mean of LayerNorm2d",
    "h": "numbers in one mean of nn.GroupNorm(1, 64)",
}


def _judge_sizes(answer: Any) -> None:
    if not isinstance(answer, Mapping) or not set(answer) <= set(_QUESTIONS):
        raise WrongAnswer('expected a dict with an entry for each of "a" to "h".')
    given = {key: None if answer.get(key) is ... else answer.get(key) for key in _QUESTIONS}
    if all(size is None for size in given.values()):
        raise NotAttempted
    true = _true_sizes()
    for key, size in given.items():
        if size is None:
            continue
        where = f"{key}, {_QUESTIONS[key]}"
        found = tuple(size) if isinstance(size, list | torch.Size) else size
        if isinstance(true[key], tuple) and not isinstance(found, tuple):
            raise WrongAnswer(f"{where}: expected a tuple, got {size!r}.")
        if isinstance(true[key], int) and (isinstance(found, bool) or not isinstance(found, int)):
            raise WrongAnswer(f"{where}: expected a whole number, got {size!r}.")
        if found != true[key]:
            raise WrongAnswer(f"{where}: not {size}. {_size_hint(key, found)}")
    empty = [key for key, size in given.items() if size is None]
    if empty:
        raise WrongAnswer(f"right so far; still empty: {', '.join(empty)}.")


def _true_sizes() -> dict[str, int | tuple[int, ...]]:
    """Read off a real one, and counted, not remembered."""
    with torch.random.fork_rng(devices=[]):
        real = OutputUpscaling(256).to("meta")
        small = OutputUpscaling(8)
    seen = torch.zeros(1, 8, 3, 3)
    other = seen.clone()
    other[:, :, 1, 1] = 1.0
    with torch.no_grad():
        changed = (small(seen) != small(other)).any(1)
        doubled = real[0](torch.empty(3, 256, 64, 64, device="meta"))
        grown = real(torch.empty(1, 256, 64, 64, device="meta"))
    weight = real.get_submodule("3").get_parameter("weight")
    return {
        "a": tuple(doubled.shape),
        "b": tuple(real.get_submodule("0").get_parameter("weight").shape),
        "c": tuple(grown.shape),
        "d": (weight[0].numel(), weight.shape[0]),
        "e": sum(p.numel() for p in real.get_submodule("3").parameters()),
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
        return "Height and width are doubled once, from 64; of 256 channels a quarter is left."
    if key == "b":
        if sorted(size) == [2, 2, 64, 256]:
            return "A transposed convolution's weight has the incoming channels first: the way back of a convolution."
        return "Four axes: channels in, channels out, and the kernel's height and width."
    if key == "c":
        return "Doubled twice from 64 x 64; an eighth of the 256 channels is left."
    if key == "d":
        if size == (64, 128):
            return "nn.Linear keeps its weight as (out, in)."
        return "In: what a pixel has. Out: what its four pixels get, all in one vector."
    if key == "e":
        if size == 8192:
            return "The weight is right. There is a bias too, one number per channel that comes out."
        if size == 8192 + 128:
            return "The four places share one bias: one number per channel that comes out."
        return "64 channels in, 32 out, a matrix for each of four places; and a bias."
    if key == "f":
        if size == 4:
            return "That is after the first doubling. There is a second."
        return "No two tokens' pixels overlap, and no layer looks at a neighbour."
    if key == "g":
        if size in (64 * 128 * 128, 128 * 128):
            return "Each pixel has a mean of its own."
        return "It stands after layer 0: how many channels does a pixel have there?"
    if size == 64:
        return "That is LayerNorm2d. A group of GroupNorm takes all places together."
    if size == 128 * 128:
        return "One group holds all 64 channels."
    return "It stands after layer 0, on 64 channels at 128 x 128, and there is one group."


# --- 2: write step (5) ---

_LAYOUT = "Pixels are in the wrong places. Token (i, j) paints rows 2i and 2i + 1, columns 2j and 2j + 1."
_MISTAKES = {
    "no last GELU": "The last GELU is missing: one article forgets it too.",
    "no first GELU": "The first GELU is missing: it stands between the norm and the second doubling.",
    "no GELU": "Both GELUs are missing.",
    "tanh": "This is GELU's tanh form, which is off by up to 0.0005. SAM uses the exact one, F.gelu's default.",
    "ReLU": "This is ReLU. The upscaling has GELU.",
    "no norm": "The norm is missing: it stands after the first doubling.",
    "norm twice": "There is one norm only, after the first doubling. The 32 channels are not normalised.",
    "GELU before norm": "The order is doubling, norm, GELU: the GELU came before the norm.",
    "norm without scale": "After the division each channel is scaled by 1.weight and shifted by 1.bias.",
    "eps 1e-5": "eps is 1e-6 here, not nn.LayerNorm's default of 1e-5.",
    "no eps": "eps is missing: 1e-6, added to the variance before the root.",
    "eps outside": "eps is added to the variance before the root, not to the spread after it.",
    "unbiased": "The variance is divided by the number of channels, not by one less: unbiased=False.",
    "variance": "The division is by the root of the variance.",
    "group norm": "Mean and variance were taken over the places too. Each pixel has its own, over its channels alone.",
    "instance norm": "Mean and variance were taken over the places, per channel. It is over the channels, per pixel.",
    "no bias": "A bias of a transposed convolution is missing: 0.bias and 3.bias.",
    "bias four times": "Each pixel gets the bias once.",
    "kernel flipped": "The kernel is turned by 180 degrees. weight[:, :, 0, 0] is for the pixel at the top left.",
    "kernel transposed": "Rows and columns of the kernel are exchanged: weight[:, :, y, x].",
    "quadrants": _LAYOUT,
    "channels innermost": _LAYOUT + " F.pixel_shuffle expects channels before the places of the kernel.",
}


class _NoConvolution(TorchFunctionMode):
    """Refuses the layer that the exercise is to be written without."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in (F.conv_transpose2d, torch.conv_transpose2d):
            raise WrongAnswer("write it without conv_transpose2d: a product per pixel, and the pixels in their places.")
        return func(*args, **(kwargs or {}))


def _variant(x: Tensor, w: Mapping[str, Tensor], mistake: str) -> Tensor:
    """Step (5) with one of the usual mistakes."""

    def double(x: Tensor, name: str) -> Tensor:
        weight, bias = w[f"{name}.weight"], w[f"{name}.bias"]
        weight = weight.flip(-1, -2) if mistake == "kernel flipped" else weight
        weight = weight.mT if mistake == "kernel transposed" else weight
        painted = torch.einsum("bihw,ioyx->bohywx", x, weight)
        if mistake == "quadrants":
            painted = painted.permute(0, 1, 3, 2, 5, 4)
        if mistake == "channels innermost":
            flat = torch.einsum("bihw,ioyx->byxohw", x, weight).flatten(1, 3)
            y = F.pixel_shuffle(flat, 2)
        else:
            y = painted.flatten(4, 5).flatten(2, 3)
        times = {"no bias": 0, "bias four times": 4}.get(mistake, 1)
        return y + times * bias[:, None, None]

    def norm(x: Tensor, learned: bool = True) -> Tensor:
        axes = {"group norm": (1, 2, 3), "instance norm": (2, 3)}.get(mistake, (1,))
        y = x - x.mean(axes, keepdim=True)
        variance = x.var(axes, unbiased=mistake == "unbiased", keepdim=True)
        eps = {"eps 1e-5": 1e-5, "no eps": 0.0}.get(mistake, 1e-6)
        spread = torch.sqrt(variance + eps)
        if mistake == "eps outside":
            spread = torch.sqrt(variance) + eps
        if mistake == "variance":
            spread = variance + eps
        y = y / spread
        if mistake == "norm without scale" or not learned:
            return y
        return y * w["1.weight"][:, None, None] + w["1.bias"][:, None, None]

    def bend(x: Tensor, which: str) -> Tensor:
        if mistake in (f"no {which} GELU", "no GELU"):
            return x
        if mistake == "ReLU":
            return F.relu(x)
        return F.gelu(x, approximate="tanh" if mistake == "tanh" else "none")

    x = double(x, "0")
    if mistake == "GELU before norm":
        x = norm(bend(x, "first"))
    else:
        x = bend(x if mistake == "no norm" else norm(x), "first")
    x = double(x, "3")
    return bend(norm(x, learned=False) if mistake == "norm twice" else x, "last")


# (channels, height, width, size of the input): a small input makes eps count.
_Case = tuple[int, int, int, float]
_CASES: tuple[_Case, ...] = ((16, 2, 3, 1.0), (16, 3, 2, 2e-3), (24, 1, 1, 1.0))


def _inputs(case: _Case, batch: int = 2) -> tuple[Tensor, dict[str, Tensor]]:
    """Image tokens, and the state dict of an upscaling with random parameters, the norm's too."""
    dim, height, width, size = case
    with torch.random.fork_rng(devices=[]):
        module = OutputUpscaling(dim)
    state = {}
    for i, (name, parameter) in enumerate(module.state_dict().items()):
        scale = 1.5 / math.sqrt(parameter.shape[0]) if parameter.ndim > 1 else 1.0
        small = size if name == "0.bias" else 1.0
        state[name] = small * scale * _random(dim + i, *parameter.shape)
    return size * _random(dim + 99, batch, dim, height, width), state


def _result(answer: Any, x: Tensor, w: Mapping[str, Tensor]) -> Any:
    hint = "It gets x as (batch, channels, height, width) and w with the keys 0.weight, 0.bias, 1.weight and so on."
    with _NoConvolution():
        return result_of(answer, x, dict(w), hint=hint)


def _target(x: Tensor, w: Mapping[str, Tensor]) -> Tensor:
    with torch.random.fork_rng(devices=[]):
        module = OutputUpscaling(x.shape[1])
    module.load_state_dict(w)
    return module(x)


def _recogniser(x: Tensor, w: Mapping[str, Tensor]) -> Callable[[Tensor], str]:
    def hint(yours: Tensor) -> str:
        for mistake, told in _MISTAKES.items():
            if same(yours, _variant(x, w, mistake)):
                return told
        return (
            "It is none of the usual mistakes. Compare with sam_edu.OutputUpscaling layer by layer: sam_edu.trace"
            " shows doubled_once, normed, activated_once, doubled_twice and activated_twice."
        )

    return hint


def _upscale_shape(target: Tensor) -> Callable[[Any], str]:
    def hint(came: Tensor) -> str:
        if came.ndim == 4 and came.shape[1] == 4 * target.shape[1]:
            return "The numbers of four pixels still stand in one: they have to be put in their places."
        if came.ndim == 4 and 2 * came.shape[-1] == target.shape[-1]:
            return "It was doubled once. Step (5) doubles twice."
        if came.ndim == 3:
            return "The axis of the prompt sets is missing."
        return "Print the shape after each line: height and width double twice, the channels go to an eighth."

    return hint


def _judge_upscale(answer: Any) -> None:
    if not callable(answer):
        raise WrongAnswer(f"expected a function, got {type(answer).__name__}.")
    with torch.no_grad():
        for case in _CASES:  # shapes first, of all cases
            x, w = _inputs(case)
            copy = x.clone()
            came, target = _result(answer, copy, w), _target(x, w)
            check_tensor_shape("upscaled", came, target, "batch, channels, height, width", _upscale_shape(target))
            if not torch.equal(copy, x):
                raise WrongAnswer("x was written into: the last attention still needs the image tokens.")
        for case in _CASES:
            x, w = _inputs(case)
            check_values("upscaled", _result(answer, x.clone(), w), _target(x, w), _recogniser(x, w))
        x, w = _inputs(_CASES[0])
        one = x.clone()
        one[:, :, 1, 2] += 1.0
        came, other = _result(answer, x.clone(), w), _result(answer, one, w)
        if int((came != other).any(1).sum()) != 2 * 16:
            raise WrongAnswer("one image token must reach its own 4 x 4 pixels and no others.")


# --- 3: take the patterns away ---

_PATTERN_MISTAKES = {
    "nothing": "The channels came back as they were.",
    "one pixel": "One pixel of each square was repeated. Take the mean of all 16.",
    "squares of 2": "The squares are 2 x 2. Doubled twice, an image token has 4 x 4 pixels.",
    "squares of 8": "The squares are 8 x 8, of four image tokens each.",
    "tiled": "The means stand in the wrong places: each is to be repeated side by side (repeat_interleave), where"
    " .repeat and .tile put copies of the whole map side by side.",
    "phases": "Pixels that are 4 apart were averaged. It is the pixels of one square that belong to one token.",
    "over channels": "The mean went over the channels. Each channel keeps its own.",
    "whole picture": "The mean went over the whole picture. Each square has its own.",
    "sum": "The sum was taken. It is the mean: a 16th of that.",
    "smooth": "The result is smooth: the means were joined by bilinear interpolation. Repeat each, as it is.",
    "taken off": "You kept the patterns and took the means away. It is the other way round.",
}


def _pattern_variant(x: Tensor, mistake: str) -> Tensor:
    def spread(means: Tensor, times: int) -> Tensor:
        return means.repeat_interleave(times, -1).repeat_interleave(times, -2)

    means = F.avg_pool2d(x, 4)
    if mistake == "phases":
        height, width = x.shape[-2:]
        cut = x.unflatten(-1, (width // 4, 4)).unflatten(-3, (height // 4, 4))
        return cut.mean((-4, -2)).repeat(1, 1, height // 4, width // 4)
    made = {
        "nothing": lambda: x,
        "one pixel": lambda: spread(x[..., ::4, ::4], 4),
        "squares of 2": lambda: spread(F.avg_pool2d(x, 2), 2),
        "squares of 8": lambda: spread(F.avg_pool2d(x, 8), 8),
        "tiled": lambda: means.repeat(1, 1, 4, 4),
        "over channels": lambda: x.mean(1, keepdim=True).expand_as(x),
        "whole picture": lambda: x.mean((-1, -2), keepdim=True).expand_as(x),
        "sum": lambda: 16 * spread(means, 4),
        "smooth": lambda: F.interpolate(means, scale_factor=4, mode="bilinear"),
        "taken off": lambda: x - spread(means, 4),
    }
    return made.get(mistake, lambda: spread(means, 4))()


def _pattern_shape(came: Tensor) -> str:
    if came.ndim == 4 and came.shape[-1] in (4, 6):
        return "The means are there. Now each has to stand at all 16 pixels of its square."
    return "A replacement keeps the shape of what it replaces."


def _pattern_hint(x: Tensor) -> Callable[[Tensor], str]:
    def hint(yours: Tensor) -> str:
        for mistake, told in _PATTERN_MISTAKES.items():
            if same(yours, _pattern_variant(x, mistake)):
                return told
        return "It is none of the usual mistakes. Draw your result beside the channels: every square has one colour."

    return hint


def _judge_patterns(answer: Any) -> None:
    with torch.no_grad():
        x = _random(1, 2, 3, 16, 24)
        hint = "It gets the channels as (batch, channels, height, width); height and width are multiples of 4."
        copy = x.clone()
        came = result_of(answer, copy, hint=hint)
        check_tensor_shape("channels", came, x, "batch, channels, height, width", _pattern_shape)
        check_values("channels", came, _without_patterns(x), _pattern_hint(x))
        again = result_of(answer, came.clone(), hint=hint)
        if not same(again, came):
            raise WrongAnswer("done a second time, nothing must change.")


sizes = Exercise("06.1 predict the size", _judge_sizes, SIZES)
upscale = Exercise("06.2 write step (5)", _judge_upscale, _upscale)
without_patterns = Exercise("06.3 take the patterns away", _judge_patterns, _without_patterns)
