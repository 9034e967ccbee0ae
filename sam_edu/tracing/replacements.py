"""Replacements: what each mode of `intervene` puts in a tensor's place."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from sam_edu.arrays import shorten
from sam_edu.tracing.reference_runs import ReferenceRuns

Mode = Literal["zero", "token_mean", "mean", "mean_over_positions", "resample", "transplant"]
MODES: tuple[str, ...] = get_args(Mode)

How = Mode | Tensor | Callable[[Tensor], Tensor]
Reference = Mapping[str, Tensor]
Generator = torch.Generator | np.random.Generator
Replace = Callable[[Tensor], Tensor]

# What "token_mean" keeps apart: axes that number parts of the network, not positions, tokens or prompt sets.
_UNITS = frozenset({"heads", "head_dim", "dim", "channels", "mlp_dim"})
_WITHOUT_REFERENCE = ("zero", "token_mean")
_WAY = {
    "mean": "give runs of other prompts: reference=sam_edu.ablation.reference(model, [name], prompts), or a mapping"
    " {name: tensor} with the runs first",
    "transplant": "give the trace of another pass: reference=t, or {name: tensor}",
}


def replacement(
    name: str, axes: tuple[str, ...], how: How, reference: Reference | None, generator: Generator | None
) -> Replace:
    """The function that makes the replacement for a whole tensor.

    Args:
        name: of the trace point, as the model has it.
        axes: its axes; the first one numbers the prompt sets.
        how, reference, generator: as for `intervene`.

    Raises:
        as `intervene`.
    """
    mode = how if isinstance(how, str) else ""
    if mode not in MODES if isinstance(how, str) else not (isinstance(how, Tensor) or callable(how)):
        modes = ", ".join(f'"{mode}"' for mode in MODES)
        raise TypeError(f"how: expected one of {modes}, a tensor or a function, got {shorten(how)}{_way(how)}")
    _check_arguments(mode, reference, generator)
    if mode == "zero":
        return torch.zeros_like
    if mode == "token_mean":
        return partial(_token_mean, [i for i, axis in enumerate(axes) if axis not in _UNITS])
    if mode in ("mean", "mean_over_positions"):
        return _mean(name, axes, reference, over=position_axes(name, axes) if mode == "mean_over_positions" else None)
    if mode == "resample":
        return partial(_resampled, name, axes, _of(reference, name, axes), generator)  # type: ignore[arg-type]
    if mode == "transplant":
        return partial(_transplanted, name, axes, _of(reference, name, axes))
    return partial(_given, name, how)  # type: ignore[arg-type]


def position_axes(name: str, axes: tuple[str, ...]) -> tuple[str, ...]:
    """The axes of a tensor that number positions of the image.

    In an attention the name tells on which side the image is: its queries in `cross_attn_image_to_token`, its keys in
    `cross_attn_token_to_image` and `final_attn_token_to_image`.
    """
    positions = {"image_tokens", "height", "width"}
    if "image_to_token" in name:
        positions.add("queries")
    if "token_to_image" in name:
        positions.add("keys")
    return tuple(axis for axis in axes if axis in positions)


# --- The modes ---


def _token_mean(averaged: list[int], x: Tensor) -> Tensor:
    return x.mean(dim=averaged, keepdim=True).expand_as(x)


def _mean(name: str, axes: tuple[str, ...], reference: Any, over: tuple[str, ...] | None) -> Replace:
    if over == ():
        raise ValueError(
            f'how: "mean_over_positions" needs an axis of image positions, and {name} has only {", ".join(axes)};'
            ' use "mean", slot by slot'
        )
    runs = isinstance(reference, ReferenceRuns)
    mean = reference.mean(name) if runs else _of(reference, name, axes).mean(dim=0)
    if mean.ndim != len(axes) - 1:
        raise ValueError(f"reference: expected {name} as (runs, {', '.join(axes[1:])}), got {mean.ndim + 1} axes")
    if over:
        mean = mean.mean(dim=[axes.index(axis) - 1 for axis in over], keepdim=True)
    return partial(_mean_of_runs, name, axes, mean, over or ())


def _mean_of_runs(name: str, axes: tuple[str, ...], mean: Tensor, over: tuple[str, ...], x: Tensor) -> Tensor:
    _check_fit(name, axes, mean[None], x, "these runs have", free=("batch", *over))
    return mean.to(x.device).expand_as(x)


def _resampled(name: str, axes: tuple[str, ...], runs: Tensor, generator: Generator, x: Tensor) -> Tensor:
    """Each prompt set gets the tensor of one run, drawn anew at every pass."""
    _check_fit(name, axes, runs, x, "these runs have", free=("batch",))
    if isinstance(generator, torch.Generator):
        drawn = torch.randint(len(runs), (len(x),), generator=generator, device=generator.device).to(runs.device)
    else:
        drawn = torch.from_numpy(generator.integers(len(runs), size=len(x))).to(runs.device)
    return runs[drawn].to(x.device)


def _transplanted(name: str, axes: tuple[str, ...], other: Tensor, x: Tensor) -> Tensor:
    _check_fit(name, axes, other, x, "the other pass has", free=("batch",) if len(other) == 1 else ())
    return other.to(x.device).expand_as(x)


def _given(name: str, how: Tensor | Replace, x: Tensor) -> Tensor:
    """A tensor that broadcasts, or what a function gives."""
    if isinstance(how, Tensor) and how.is_meta and not x.is_meta:
        raise ValueError(f"how: {name} needs numbers, got a tensor on the device meta, which has none")
    # A copy, so that a function that writes into it cannot change what was computed before.
    new = how.to(x.device) if isinstance(how, Tensor) else how(x.clone())
    if isinstance(how, Tensor) and new.dtype == x.dtype and _broadcasts(new, x):
        return new.expand_as(x)
    if not isinstance(new, Tensor) or new.shape != x.shape or new.dtype != x.dtype:
        got = f"{tuple(new.shape)} of {new.dtype}" if isinstance(new, Tensor) else type(new).__name__
        hint = f"; .to({x.dtype}) converts it" if isinstance(new, Tensor) and new.dtype != x.dtype else ""
        raise ValueError(f"how: {name} needs a tensor of shape {tuple(x.shape)} of {x.dtype}, got {got}{hint}")
    return new


# --- Checks ---


def _check_arguments(mode: str, reference: object, generator: object) -> None:
    """Each mode gets what it needs, and nothing that it would ignore."""
    what = f'"{mode}"' if mode else "a tensor or a function"
    if not mode or mode in _WITHOUT_REFERENCE:
        if reference is not None:
            raise TypeError(f"reference: {what} needs none, got {type(reference).__name__}")
    elif not isinstance(reference, Mapping):
        way = _WAY["transplant" if mode == "transplant" else "mean"]
        raise TypeError(f"reference: {what} needs a mapping of names to tensors, got {shorten(reference)}; {way}")
    if mode != "resample" and generator is not None:
        raise TypeError(f"generator: {what} draws nothing, got {type(generator).__name__}")
    if mode == "resample" and not isinstance(generator, Generator):
        raise TypeError(
            f"generator: {what} draws a run, which needs a torch.Generator or a numpy.random.Generator, got"
            f" {shorten(generator)}; give torch.Generator().manual_seed(0)"
        )


def _of(reference: Any, name: str, axes: tuple[str, ...]) -> Tensor:
    """The tensor of that name, with at least one run."""
    names = (name, f"mask_decoder.{name}")
    found = next((reference[candidate] for candidate in names if candidate in reference), None)
    if found is None:
        known = ", ".join(list(reference)[:5]) or "nothing"
        raise KeyError(f"reference: holds nothing named {name!r}; it holds {known}")
    if not isinstance(found, Tensor) or found.ndim != len(axes) or len(found) == 0:
        got = f"shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
        raise ValueError(f"reference: expected {name} as a tensor of the axes ({', '.join(axes)}), got {got}")
    return found


def _check_fit(
    name: str, axes: tuple[str, ...], new: Tensor, x: Tensor, whose: str, free: tuple[str, ...] = ()
) -> None:
    """Refuse a tensor of other sizes than the one that it replaces, but for the axes that may differ."""
    for axis, size, wanted in zip(axes, new.shape, x.shape, strict=True):
        if size != wanted and axis not in free:
            what = "prompt sets" if axis == "batch" else axis
            raise ValueError(f"reference: {whose} {size} {what} in {name}, this decode has {wanted}")
    if new.dtype != x.dtype:
        raise ValueError(f"reference: expected {name} as {x.dtype}, got {new.dtype}; .to({x.dtype}) converts it")


def _broadcasts(new: Tensor, x: Tensor) -> bool:
    """Whether `new` broadcasts to the shape of `x`."""
    sizes = zip(reversed(new.shape), reversed(x.shape), strict=False)
    return new.ndim <= x.ndim and all(size in (1, wanted) for size, wanted in sizes)


def _way(how: object) -> str:
    """The way out for what is no replacement; "" where there is none."""
    if isinstance(how, np.ndarray | int | float | list):
        return "; give torch.as_tensor(value, dtype=torch.float32)"
    return ""
