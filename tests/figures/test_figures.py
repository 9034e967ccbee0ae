"""Every public drawing function: a figure with an alt text, without a warning, the same bytes twice."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from drawings import check_drawing
from examples import CLICK, IMAGE, LOGITS, MAPS, MASKS, NAMES, SELF, SHARES, SQUARE, STATES, WEIGHTS

from sam_edu import figures
from sam_edu.figures import Figure

DRAWINGS: dict[str, Callable[[], Figure]] = {
    "decoder_map": lambda: figures.decoder_map(),
    "decoder_map lit": lambda: figures.decoder_map(lit=("2", "(6-1)")),
    "prompts_and_masks": lambda: figures.prompts_and_masks(
        IMAGE, MASKS, points=[[3, 4], [30, 20]], labels=[1, 0], box=[2, 3, 30, 25], title="An image"
    ),
    "prompts_and_masks bare": lambda: figures.prompts_and_masks(IMAGE / 255.0),
    "masks_row": lambda: figures.masks_row(
        IMAGE, MASKS, predicted=[0.5, 1.02, 0.1], true=[0.4, 0.3, 0.0], truth=MASKS, points=CLICK, numbers=[0, 0, 3]
    ),
    "masks_row single": lambda: figures.masks_row(IMAGE, MASKS[:1]),
    "logits_and_mask": lambda: figures.logits_and_mask(LOGITS, IMAGE, points=CLICK),
    "logits_and_mask zero": lambda: figures.logits_and_mask(np.zeros((2, 32, 48)), IMAGE),
    "token_strip": lambda: figures.token_strip(STATES, NAMES, title="Tokens"),
    "token_strip ordered": lambda: figures.token_strip(STATES[:4, :32], NAMES[1:5], order=range(31, -1, -1)),
    "token_strip per row": lambda: figures.token_strip(STATES[:4, :32] * 0, NAMES[1:5], per_row=True),
    "vector_bars": lambda: figures.vector_bars([0.1, -0.2], ["a", "mask 1"], label="IoU"),
    "vector_bars series": lambda: figures.vector_bars({"predicted": [0.1, 0.2], "true": [0.3, 0.4]}, NAMES[1:3]),
    "token_matrix": lambda: figures.token_matrix(SELF, NAMES),
    "token_matrix table": lambda: figures.token_matrix(SELF[:1, :, :2], NAMES, ["(1)", "(2)"], titles=[""], digits=1),
    "attention_maps": lambda: figures.attention_maps(WEIGHTS, SQUARE, points=CLICK),
    "attention_maps outlined": lambda: figures.attention_maps(
        WEIGHTS.unflatten(1, (8, 32))[:5], IMAGE, titles=NAMES[:5], outlines=MASKS
    ),
    "attention_maps per panel": lambda: figures.attention_maps(WEIGHTS[:3], SQUARE, per_panel=True),
    "token_matrix diverging": lambda: figures.token_matrix(SELF[:1], NAMES, titles=[""], digits=2, middle=1 / 7),
    "attention_to_tokens limited": lambda: figures.attention_to_tokens(SHARES, NAMES, points=CLICK, limit=1),
    "cases": lambda: figures.cases(
        [figures.Case(IMAGE, MASKS[0], MASKS[1], np.array([3.0, 4.0]), f"case {i}") for i in range(3)], columns=3
    ),
    "training_curves": lambda: figures.training_curves(
        {"mask": (range(60), [1 / (1 + step) for step in range(60)])}, {"box": ([50], [0.75])}
    ),
    "attention_to_tokens": lambda: figures.attention_to_tokens(SHARES, NAMES, outlines=MASKS, points=CLICK),
    "prompts_and_masks truth": lambda: figures.prompts_and_masks(IMAGE, truth=MASKS, points=CLICK),
    "attention_diagram": lambda: figures.attention_diagram(),
    "one_query": lambda: figures.one_query(
        [1, 0.5], STATES[:4, :2], STATES[:4, 2:4], [0.5, 0.25, 0.25, 0], title="One"
    ),
    "matrix_product": lambda: figures.matrix_product(STATES[:3, :2], STATES[:2, :4]),
    "distributions": lambda: figures.distributions({"with": SELF[0], "without": SELF[1]}, columns=NAMES),
    "curves_over": lambda: figures.curves_over([4, 8], {"a": [1, 2]}, xlabel="width", ylabel="entropy", limit=2),
    "head_split": lambda: figures.head_split(STATES[:5, :12], 3),
    "target_and_yours": lambda: figures.target_and_yours(STATES[:4, :9], STATES[:4, 1:10]),
    "effects": lambda: figures.effects({"one": (-0.2, -0.3, -0.1), "two": (0.1, -0.1, 0.2)}, title="Effects"),
    "head_grid": lambda: figures.head_grid(np.stack([SELF[0]] * 3, -1), NAMES),
    "head_distributions": lambda: figures.head_distributions({"a": SELF[0], "b": SELF[1]}, ylabel="entropy"),
    "channels": lambda: figures.channels(MAPS),
    "channels one by one": lambda: figures.channels(MAPS[:3], per_channel=True, image=SQUARE, cell=4),
    "channels chosen": lambda: figures.channels(MAPS, order=[3, 1], names=["three", "one"]),
    "embeddings": lambda: figures.embeddings(MAPS[None].expand(2, -1, -1, -1), ["a", "b"], image=SQUARE),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_gives_a_figure_with_words(name: str) -> None:
    check_drawing(DRAWINGS[name])


def test_every_public_function_is_drawn_in_a_test() -> None:
    drawn = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.rglob("test_*.py"))
    others = {"Figure", "STEPS", "Case", "token_names", "embedding_basis"}
    assert [name for name in figures.__all__ if name not in others and f"figures.{name}(" not in drawn] == []
