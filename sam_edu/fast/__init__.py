"""FastMaskDecoder: the same mask decoder with less work."""

from sam_edu.fast.fast_mask_decoder import FastMaskDecoder

__all__ = ["FastMaskDecoder"]
