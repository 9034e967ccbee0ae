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

    Some values of some parameters are noted, from all over the module, so that a look at them costs little beside a
    decode. Weights in another dtype count as the same. (PyTorch's own count of changes leaves out those through
    `.data`, as by `half()` and `float()`, and a copy of a module starts it anew.)

    Args:
        module: the module.
    """

    def __init__(self, module: nn.Module) -> None:
        self._shapes, self._dtypes, self._values = _sample(module)

    def changed(self, module: nn.Module) -> bool:
        """Whether a module's weights are others than those that were noted."""
        shapes, dtypes, values = _sample(module)
        if shapes != self._shapes or dtypes != self._dtypes:
            return shapes != self._shapes
        return values.shape == self._values.shape and not torch.equal(values, self._values.to(values.device))


PARAMETERS, VALUES = 16, 16
"""How many parameters of a module are looked at, and about how many values of each."""


def _sample(module: nn.Module) -> tuple[list[torch.Size], list[torch.dtype], Tensor]:
    """Shapes of all parameters; of some of them the dtype and some values, as one tensor where the module is."""
    parameters = list(module.parameters())
    looked_at = parameters[:: max(1, len(parameters) // PARAMETERS)]
    values = [p.detach().flatten()[:: max(1, p.numel() // VALUES)].float() for p in looked_at if not p.is_meta]
    return [p.shape for p in parameters], [p.dtype for p in looked_at], torch.cat(values) if values else torch.empty(0)
