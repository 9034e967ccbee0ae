"""Meta's image encoder and `SamPredictor`, also where torchvision is missing."""

import importlib
import sys
from functools import partial
from typing import Any

from torch import nn

from sam_edu.argument_checks import as_choice
from sam_edu.official.package import load_with, modeling

# The arguments in which the three released image encoders differ.
IMAGE_ENCODERS: dict[str, dict[str, Any]] = {
    "vit_b": {"embed_dim": 768, "depth": 12, "num_heads": 12, "global_attn_indexes": (2, 5, 8, 11)},
    "vit_l": {"embed_dim": 1024, "depth": 24, "num_heads": 16, "global_attn_indexes": (5, 11, 17, 23)},
    "vit_h": {"embed_dim": 1280, "depth": 32, "num_heads": 16, "global_attn_indexes": (7, 15, 23, 31)},
}


def build_image_encoder(name: str = "vit_b", **changes: Any) -> nn.Module:
    """Meta's `ImageEncoderViT` in a released configuration, with random weights.

    Args:
        name: "vit_b", "vit_l" or "vit_h".
        changes: arguments of `ImageEncoderViT` that are to differ, for example for a small one in tests.

    Raises:
        TypeError: no text, or an argument that `ImageEncoderViT` has not.
        ValueError: another name.
        OfficialPackageMissingError: Meta's package is not installed.
    """
    name = as_choice("name", name, IMAGE_ENCODERS)
    common = {
        "img_size": 1024,
        "patch_size": 16,
        "mlp_ratio": 4,
        "norm_layer": partial(nn.LayerNorm, eps=1e-6),
        "qkv_bias": True,
        "use_rel_pos": True,
        "window_size": 14,
        "out_chans": 256,
    }
    return modeling().ImageEncoderViT(**{**common, **IMAGE_ENCODERS[name], **changes})


def sam_predictor(
    sam: nn.Module, prompt_encoder: nn.Module | None = None, mask_decoder: nn.Module | None = None, **pixels: Any
) -> Any:
    """Meta's `SamPredictor`, also where torchvision, or its compiled operators, are missing.

    Args:
        sam: Meta's `Sam`; or an image encoder (with the attribute `img_size`), where the other two are given.
        prompt_encoder: ours or Meta's.
        mask_decoder: ours or Meta's.
        pixels: `pixel_mean` and `pixel_std` of Meta's `Sam`, where they are not its defaults.

    Returns:
        a `SamPredictor` of that model, in evaluation mode.

    Raises:
        TypeError: one of the two other parts is missing, they are exchanged, or they are given beside a whole model;
            or an image encoder without the attribute `img_size`.
        OfficialPackageMissingError: Meta's package is not installed.
    """
    if (prompt_encoder is None) != (mask_decoder is None):
        missing = "prompt_encoder" if prompt_encoder is None else "mask_decoder"
        raise TypeError(f"{missing}: expected both parts beside an image encoder, or a whole Sam alone, got None")
    if prompt_encoder is not None:
        for name, part, wanted in (("prompt_encoder", prompt_encoder, True), ("mask_decoder", mask_decoder, False)):
            if hasattr(part, "get_dense_pe") != wanted:  # which prompt encoders have, and decoders have not
                raise TypeError(f"{name}: expected that part of a Sam, got {type(part).__name__}")
        if hasattr(sam, "postprocess_masks"):
            raise TypeError(
                f"sam: expected an image encoder beside the two other parts, got {type(sam).__name__}, a whole"
                " model; give it alone"
            )
    elif pixels:
        raise TypeError(f"{next(iter(pixels))}: expected only beside an image encoder and the two other parts")
    elif not hasattr(sam, "postprocess_masks"):
        raise TypeError(
            f"sam: expected Meta's Sam, got {type(sam).__name__}; beside an image encoder give prompt_encoder and"
            " mask_decoder"
        )
    encoder = sam if prompt_encoder is not None else sam.image_encoder
    if not hasattr(encoder, "img_size"):
        raise TypeError(
            "sam: expected an image encoder with the attribute img_size, its images' side in pixels, got"
            f" {type(encoder).__name__}"
        )
    if prompt_encoder is not None:
        sam = modeling().Sam(sam, prompt_encoder, mask_decoder, **pixels)
    load_with("utils.transforms", {"torchvision.transforms.functional": _torchvision_functional()})
    return load_with("predictor", {"segment_anything.modeling": modeling()}).SamPredictor(sam.eval())


def _torchvision_functional() -> Any:
    """torchvision's functional transforms where they can be imported, else replacements for those needed here."""
    before = set(sys.modules)
    try:
        return importlib.import_module("torchvision.transforms.functional")
    except (ImportError, RuntimeError, OSError):  # absent, or its compiled operators do not fit this torch
        for name in set(sys.modules) - before:
            if name.partition(".")[0] == "torchvision":
                del sys.modules[name]
        return _PillowFunctional


class _PillowFunctional:
    """What `ResizeLongestSide.apply_image` needs of `torchvision.transforms.functional`."""

    @staticmethod
    def to_pil_image(image: Any) -> Any:
        """An array (height, width, 3) of bytes as a Pillow image."""
        from PIL import Image  # only a predictor needs it

        return Image.fromarray(image)

    @staticmethod
    def resize(image: Any, size: tuple[int, int]) -> Any:
        """Resize a Pillow image to `size`, (height, width), bilinear with antialiasing as torchvision does."""
        from PIL import Image

        height, width = size
        return image.resize((width, height), Image.Resampling.BILINEAR)
