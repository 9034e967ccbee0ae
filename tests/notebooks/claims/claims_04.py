"""Notebook 04, the two-way block: what it states about the trained model."""

import numpy as np

from claims.claim import Predicate
from claims.click import Click
from claims.evidence import Evidence
from sam_edu.ablation import BlockWays, Effect, way_to_b

WHERE = ("", " in block 0", " in block 1")
PUT_BACK = tuple(f"{part} in the first step" for part in ("residual", "encoding", "both"))
LEFT_OUT = tuple(f"{part} in (1) of block 1" for part in ("no residual", "no encoding", "neither"))
LEVELS = (0, 1, 2)


def ways(e: Evidence) -> BlockWays:
    return BlockWays(e.arrays)


def effect(e: Evidence, way: str, level: int | None = None) -> Effect:
    return ways(e).effect(way, level=level)


def more_costly(e: Evidence, one: str, other: str) -> bool:
    """Whether a way costs clearly more than another, click by click."""
    return e.mean_of(ways(e).changes(one) - ways(e).changes(other)).high < 0


def step(e: Evidence, number: int, mode: str, level: int | None = None) -> Effect:
    return e.effect(f"step ({number}) {mode}", level)


def shares_of_mixture(click: Click) -> dict[str, float]:
    """How far the logits go from our click's to the opposite one's with that one's encodings, or stream."""
    opposite = (255 - click.example.click[0]).tolist()
    return way_to_b(click.decoder, click.t, click.trace_at([opposite]))
