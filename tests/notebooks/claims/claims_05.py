"""Notebook 05, the two-way transformer: what it states about the trained model."""

from torch.nn import functional as F

from claims.claim import Predicate
from claims.click import LOOKS, Click


def kept_from_start_to_end(click: Click) -> tuple[float, float]:
    """The mean cosine of start and end, of the tokens and of the image tokens."""
    tokens = F.cosine_similarity(click.t["hs"][0], click.t["tokens"][0], dim=-1)
    image = F.cosine_similarity(click.t["keys"][0], click.t["src"][0].flatten(1).T, dim=-1)
    return float(tokens.mean()), float(image.mean())


CLAIMS: dict[str, dict[str, Predicate]] = {
    "stream-after": {
        "the first turn of the tokens is the largest": lambda e: (
            e.click.turns[:, 0].mean() > 20 + e.click.turns[:, 1:].mean(0).max()
        ),
        "the image tokens keep a part of their start, the tokens none": lambda e: (
            0.25 < kept_from_start_to_end(e.click)[1] < 0.6 and abs(kept_from_start_to_end(e.click)[0]) < 0.2
        ),
    },
    "part-after": {
        "the mask tokens come closer in block 0": lambda e: (
            e.click.mask_tokens_apart("tokens") > 20 + e.click.mask_tokens_apart("transformer.layers.0.queries_3")
        ),
        "and part in the last look": lambda e: (
            e.click.mask_tokens_apart("hs") > 10 + e.click.mask_tokens_apart("transformer.layers.1.queries_3")
        ),
    },
    "stats-alike-after": {
        "the mask tokens' maps of block 0 differ on this click": lambda e: e.click.maps_apart(LOOKS[0]) > 0.4,
        "yet equal maps there have no effect that is shown": lambda e: (
            not e.effect(f"{LOOKS[0]} mask tokens look alike").clear
        ),
        "in the last look they have one": lambda e: e.effect(f"{LOOKS[2]} mask tokens look alike").high < 0,
    },
}
