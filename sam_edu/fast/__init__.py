"""FastMaskDecoder: the same mask decoder with less work. CapturedDecoder: one decode of it as a CUDA graph."""

from sam_edu.fast.capture import CapturedDecoder
from sam_edu.fast.fast_mask_decoder import FastMaskDecoder

__all__ = ["CapturedDecoder", "FastMaskDecoder"]
