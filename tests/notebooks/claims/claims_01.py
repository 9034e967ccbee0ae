"""Notebook 01, the MLP: what it states about the trained model."""

from claims.claim import Predicate
from claims.click import Click
from sam_edu.exercises.solutions.mlp import without_activation


def cosines_after_the_mlp(click: Click, block: int) -> tuple[float, float]:
    """Of the tokens after step (3) with the unchanged ones: without the ReLU, and with all units silent."""
    mlp, state = click.decoder.transformer.layers[block].mlp, click.t[f"transformer.layers.{block}.queries_2"][0]
    return click.after_mlp(block, without_activation(mlp)(state)), click.after_mlp(block, mlp.lin2.bias)


CLAIMS: dict[str, dict[str, Predicate]] = {
    "r11-after": {
        "predicted IoUs lie near the range from 0 to 1": lambda e: (
            e.stats.prompts.predicted.min() > -0.1 and e.stats.prompts.predicted.max() < 1.1
        ),
    },
    "silence": {
        "most hidden units fire for no token of this click": lambda e: all(
            (e.click.hidden(block) > 0).any(0).float().mean() < 0.3 for block in (0, 1)
        ),
    },
    "silence-token-after": {
        "the token mean is not milder than zero": lambda e: (
            e.difference("mlps every unit token mean", "mlps every unit zero").high < 0
        ),
    },
    "read-13-after": {
        "the gradient ascent raises the prediction": lambda e: e.click.walk[0] > 0.1,
        "it keeps the token's length and turns its direction": lambda e: (
            0.9 < e.click.walk[1] < 1.1 and e.click.walk[2] > 20
        ),
        "predictions above 1 occur at held-out clicks": lambda e: (e.stats.prompts.predicted > 1).any(),
    },
    "ex3-explain": {
        "without the ReLU the tokens point elsewhere": lambda e: all(
            cosines_after_the_mlp(e.click, block)[0] < 0.3 for block in (0, 1)
        ),
        "silent units turn the tokens less": lambda e: all(
            cosines_after_the_mlp(e.click, block)[1] > 0.3 + cosines_after_the_mlp(e.click, block)[0]
            for block in (0, 1)
        ),
    },
}
