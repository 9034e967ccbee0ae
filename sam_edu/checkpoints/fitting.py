"""fill: give a model the values of a checkpoint that fits; say of one that does not what it is, and what to do."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from sam_edu.checkpoints.entries import Entries, printable
from sam_edu.checkpoints.official_files import OFFICIAL
from sam_edu.official import layouts
from sam_edu.tiny.image_encoder import TinyImageEncoder


def recognise(values: Mapping[str, Any]) -> str | None:
    """Which of the four models a state dict looks like: "tiny", "vit_b", "vit_l" or "vit_h"; None for none of them."""
    patch = values.get("image_encoder.patch_embed.proj.weight")
    blocks = {key.split(".")[2] for key in values if key.startswith("image_encoder.blocks.")}
    if isinstance(patch, Tensor) and patch.ndim == 4:
        for official in OFFICIAL.values():
            if (patch.shape[0], len(blocks)) == (official.width, official.blocks):
                return official.name
    encoder = {key: tuple(v.shape) for key, v in values.items() if key in _tiny_encoder() and isinstance(v, Tensor)}
    return "tiny" if encoder == _tiny_encoder() else None


@cache
def _tiny_encoder() -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tiny model's image encoder."""
    with torch.device("meta"):
        state = TinyImageEncoder().state_dict()
    return {f"image_encoder.{key}": tuple(value.shape) for key, value in state.items()}


def fill(model: nn.Module, entries: Entries, name: str, part: str = "") -> None:
    """Give a model the values of a checkpoint, as float32, and make it ready for inference.

    Args:
        model: whatever its values were, they are replaced; untouched where the checkpoint does not fit.
        entries: the checkpoint.
        name: what the model is called, for messages.
        part: "mask_decoder" where the model is the decoder alone; all other entries are left out then.

    Raises:
        ValueError: entries are missing, superfluous, of another shape, or no tensors of floating-point numbers.
    """
    front = f"{part}." if part else ""
    given = {key.removeprefix(front): value for key, value in entries.values.items() if key.startswith(front)}
    wanted = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    missing = [key for key in wanted if key not in given]
    extra = [printable(key) for key in given if key not in wanted]
    misshaped = [
        f"{key} is {found}, expected {_shape(shape)}"
        for key, shape in wanted.items()
        if key in given and (found := _describe(given[key])) != _shape(shape)
    ]
    if missing or extra or misshaped:
        lists = [_list("missing", missing), _list("not expected", extra), _list("misshaped", misshaped)]
        guess = _about(entries, name)
        if not guess and len(missing) == len(wanted):
            guess = f"It {contents(entries.values)}. "
        reason = f"does not fit the model {name}. {guess}" + "; ".join(text for text in lists if text)
        raise entries.refuse(reason)
    # A copy, since the values can be views of the file; and float32, whatever the file stores to be small.
    state = {
        key: given[key].detach().to(torch.float32, copy=True, memory_format=torch.contiguous_format) for key in wanted
    }
    model.load_state_dict(state, strict=True, assign=True)
    left = [key for key, tensor in (*model.named_parameters(), *model.named_buffers()) if tensor.is_meta]
    if left:
        raise entries.refuse(f"gives no values for {', '.join(left[:10])}, which the model {name} needs")
    model.eval().requires_grad_(False)


def describe(entries: Entries) -> str:
    """What a checkpoint of no known model is, and what can be done with it."""
    return _about(entries, "tiny").rstrip(". ") or contents(entries.values)


def _about(entries: Entries, name: str) -> str:
    """A sentence about a known checkpoint that does not fit the model of that name; empty where it is not known."""
    values = entries.values
    decoder = f"load_mask_decoder({printable(entries.path, 1000)!r}) of sam_edu.sam"
    if other := layouts.other_model(values):
        own = (
            ""
            if any(layouts.other_model([key]) for key in values if key.startswith("mask_decoder."))
            else (f" Its mask decoder, if it is SAM's, loads alone: {decoder}.")
        )
        return f"This is {other.name}: {other.reason}.{own} "
    looks_like = recognise(values)
    if looks_like not in (None, name):
        return f"This looks like {looks_like}: sam_edu.load({looks_like!r}, checkpoint=...). "
    parts = {key.partition(".")[0] for key in values} & set(layouts.PARTS)
    if parts == {"mask_decoder"} and name in ("tiny", *OFFICIAL):
        return (
            f"It holds a mask decoder alone: {decoder} gives it as a MaskDecoder, and "
            f"model = sam_edu.load({name!r}); model.mask_decoder = ... puts it into a whole model. "
        )
    if len(parts) == 1 and name in ("tiny", *OFFICIAL):
        return f"It holds the {next(iter(parts))} alone. "
    return ""


def _describe(value: Any) -> str:
    """The shape of a usable tensor; of anything else, what it is."""
    if not isinstance(value, Tensor):
        return f"a {type(value).__name__}"
    if value.layout != torch.strided or value.device.type != "cpu":
        return f"a tensor without ordinary values ({value.layout}, {value.device})"
    shape = _shape(tuple(value.shape))
    return shape if value.is_floating_point() else f"{shape} of {value.dtype}"


def _shape(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) if shape else "a single number"


def _list(title: str, items: list[str]) -> str:
    """The first ten of a list, and how many there are."""
    if not items:
        return ""
    more = f", ... and {len(items) - 10} more" if len(items) > 10 else ""
    return f"{title} ({len(items)}): {', '.join(items[:10])}{more}"


def contents(values: Mapping[str, Any]) -> str:
    """A sentence about a checkpoint that holds something else than a model's entries."""
    inner = [key for key, value in values.items() if isinstance(value, Mapping)]
    if inner:
        return f"holds a dictionary under {printable(inner[0])!r} in which no part of SAM was found"
    names = ", ".join(map(printable, list(values)[:5]))
    return f"holds {len(values)} entries" + (f", such as {names}" if names else "")
