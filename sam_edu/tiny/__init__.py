"""The embedded model: a small image encoder, and the trained weights beside it."""

from sam_edu.tiny.image_encoder import TinyImageEncoder

__all__ = ["TinyImageEncoder"]
