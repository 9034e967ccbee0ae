"""Which decoder trains and validates: the faster one of the device."""

import torch

from sam_edu.fast.fast_mask_decoder import FastMaskDecoder
from sam_edu.modules import MaskDecoder

FAST_OVER_PLAIN = {"cpu": 0.54, "cuda": 0.65}
"""Time of the decoder's training step with `FastMaskDecoder`, over the time with the plain one, by type of device.

Measured by the benchmark (`docs/benchmarks`): on one thread of an x86 processor with 6 images x 8 prompt sets at grid
16, and on one NVIDIA H200 with 8 x 8 at grid 64. There the fast decoder hands smaller steps over to the plain one.
"""


def fast_pays(device_type: str) -> bool:
    """Whether `FastMaskDecoder` was measured to be faster on this type of device; False where nobody measured."""
    return FAST_OVER_PLAIN.get(device_type, 1.0) < 1.0


def fastest_decoder(decoder: MaskDecoder, device: torch.device) -> MaskDecoder | FastMaskDecoder:
    """The decoder to train or to validate with: `FastMaskDecoder` where that pays, else the plain one.

    Both have the same parameters, outputs and gradients, up to rounding.
    """
    return FastMaskDecoder(decoder) if fast_pays(device.type) else decoder
