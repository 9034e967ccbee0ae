"""Which decoder trains: the faster one of the device."""

import torch

from sam_edu.fast.fast_mask_decoder import FastMaskDecoder
from sam_edu.modules import MaskDecoder

FAST_OVER_PLAIN = {"cpu": 0.5, "cuda": 0.61}
"""Time of the decoder's training step with `FastMaskDecoder`, over the time with the plain one, by type of device.

Measured with 6 images x 8 prompt sets at grid 16: on one thread of an x86 processor, and on one NVIDIA H200.
"""


def training_decoder(decoder: MaskDecoder, device: torch.device) -> MaskDecoder | FastMaskDecoder:
    """The decoder to train with: `FastMaskDecoder` where it was measured to be faster, else the plain one.

    Both have the same parameters, outputs and gradients, up to rounding.
    """
    return FastMaskDecoder(decoder) if FAST_OVER_PLAIN.get(device.type, 1.0) < 1.0 else decoder
