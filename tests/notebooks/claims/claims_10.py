"""Notebook 10, make it fast: what it states about the trained model."""

from claims.claim import Predicate
from claims.evidence import Evidence
from sam_edu.ablation import HalfPrecision


def flipped(e: Evidence, way: str) -> float:
    """The share of the pixels of masks 1 to 3 that change sides."""
    return HalfPrecision(e.arrays).mean(way, "flipped").mean


CLAIMS: dict[str, dict[str, Predicate]] = {
    "r11-fix": {
        "without mask token 0 the masks are not the same": lambda e: (
            e.printed("10", "r11-code", r"#% of the pixels change")[0] > 0.2
        ),
    },
    "half-after": {
        "about two pixels in ten thousand change sides": lambda e: (
            1e-4 < flipped(e, "autocast") < 3e-4 and 1e-4 < flipped(e, "bfloat16") < 3e-4
        ),
        "now and then another mask is predicted best": lambda e: (
            0 < HalfPrecision(e.arrays).mean("bfloat16", "other").mean < 0.05
        ),
        "the roundings of float32 change no pixel": lambda e: flipped(e, "fast") < 1e-6 < flipped(e, "bfloat16"),
    },
}
