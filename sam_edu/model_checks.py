"""Checks of the model that a `Predictor` or a trace is given: what wraps it is taken off, what is no Sam is refused."""

from typing import Any

import torch
from torch import Tensor, nn

PARTS = ("image_encoder", "prompt_encoder", "mask_decoder", "pixel_mean", "preprocess", "postprocess_masks")
"""What makes a model a Sam, ours or Meta's."""


def unwrap(model: Any) -> Any:
    """The module inside `nn.DataParallel` and `DistributedDataParallel`; anything else as it is."""
    while isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
        model = model.module
    return model


def as_sam(model: Any) -> Any:
    """The Sam in what was given, without a `DataParallel` or `torch.compile` around the whole.

    Parts that are compiled stay compiled. Meta's own `Sam` is accepted as well.

    Raises:
        TypeError: no Sam.
    """
    found = unwrap(model)
    while isinstance(getattr(found, "_orig_mod", None), nn.Module):  # torch.compile's OptimizedModule
        found = unwrap(found._orig_mod)
    advice = "expected a Sam, such as sam_edu.load() gives"
    if not isinstance(found, nn.Module):
        what = f"the class {found.__name__} itself" if isinstance(found, type) else type(found).__name__
        hint = f": sam_edu.Predictor(sam_edu.load({found!r}))" if isinstance(found, str) else ""
        hint = hint or ("; its model is its attribute .model" if hasattr(found, "model") else "")
        raise TypeError(f"model: {advice}, got {what}{hint}")
    missing = [name for name in PARTS if not hasattr(found, name)]
    if missing:
        raise TypeError(f"model: {advice}, got a {type(found).__name__} without {', '.join(missing)}")
    return found


def image_size(model: Any) -> int:
    """Height and width in pixels of a Sam's padded images. Meta's Sam keeps the number in its image encoder."""
    return int(model.image_size if hasattr(model, "image_size") else model.image_encoder.img_size)


def dtype_of(module: nn.Module, default: torch.dtype) -> torch.dtype:
    """The dtype that a module computes in: that of its first floating-point parameter, `default` where it has none."""
    return next((p.dtype for p in module.parameters() if p.is_floating_point()), default)


class Weights:
    """A note of a module's weights, by which a later change of them is seen.

    Some values of each tensor are noted, from all over it; a tensor whose dtype has changed since counts as the same.
    (PyTorch's own count of changes leaves out those through `.data`, as by `half()` and `float()`.)

    Args:
        module: the module.
    """

    def __init__(self, module: nn.Module) -> None:
        self._values = [_some_values(p).clone() for p in module.parameters()]

    def changed(self, module: nn.Module) -> bool:
        """Whether a module's weights are others than those that were noted."""
        values = [_some_values(p) for p in module.parameters()]
        return len(values) != len(self._values) or any(
            old.shape != new.shape or (old.dtype == new.dtype and not torch.equal(old, new))
            for old, new in zip(self._values, values, strict=True)
        )


def _some_values(parameter: Tensor, count: int = 16) -> Tensor:
    """Values from all over a tensor, on the processor."""
    flat = parameter.detach().flatten()
    if flat.is_meta:
        return torch.empty(0, dtype=flat.dtype)
    return flat[:: max(1, len(flat) // count)].cpu()
