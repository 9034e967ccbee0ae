"""What no figure can draw: every argument of every public function, wrong in all the ways of its kind.

A wrong argument ends in a TypeError or a ValueError whose first word is the argument's name; nothing is ignored, drawn
askew, or left to matplotlib.
"""

import inspect
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from examples import CLICK, IMAGE, LOGITS, MAPS, MASKS, NAMES, SELF, SHARES, SQUARE, STATES, WEIGHTS, decode

from sam_edu import figures

pytestmark = pytest.mark.no_shape_check

AB = ["a", "b"]
TEXT = {
    "title",
    "label",
    "xlabel",
    "ylabel",
    "row_label",
    "column_label",
    "unit",
    "note",
    "along",
    "limit_name",
    "null_name",
    "reference_name",
}
"""Arguments that are written as they are, whatever they are."""

CLICKS = {"points": CLICK, "labels": [1]}
SIZES = {"height": 4, "width": 6, "dim": 16}
TWO = np.array([[0.0, 1.0], [2.0, 3.0]])
ROUNDS = {"ways": {"a": MASKS[:2]}, "clicks": {"a": TWO}, "labels": {"a": [1, 0]}, "numbers": {"a": [0, 3]}}
GRID = np.stack([SELF[0] - 1, SELF[0] - 2, SELF[0]], -1)
CASE = figures.Case(IMAGE, MASKS[0], MASKS[1], np.array([3.0, 4.0]), "a case")
EFFECTS = {"a": (0.1, 0.0, 0.2), "b": (0.1, 0.0, 0.2)}
SHOWN = {"image": IMAGE, **CLICKS, "outlines": MASKS, "title": "A title"}

# Per function a call that is right, with every argument.
CALLS: dict[str, dict[str, Any]] = {
    "attention_diagram": {
        "queries": 3,
        "keys": 4,
        "dim": 8,
        "internal": 8,
        "heads": 2,
        "inputs": ["x", "y", "z"],
        "lit": ["softmax"],
    },
    "attention_grid": {
        **SHOWN,
        "weights": WEIGHTS[:6].reshape(2, 3, 256),
        "rows": AB,
        "columns": ["x", "y", "z"],
        "per_panel": True,
    },
    "attention_maps": {
        **SHOWN,
        "weights": WEIGHTS,
        "titles": list("abcdefgh"),
        "columns": 3,
        "limit": 0.5,
        "per_panel": False,
    },
    "attention_to_tokens": {
        "weights": SHARES,
        "names": NAMES,
        "outlines": MASKS,
        "points": CLICK,
        "limit": 1.0,
    },
    "block_diagram": {"tokens": 3, "image_tokens": 4, "dim": 8, "mlp_dim": 16, "first": True},
    "calibration": {"pairs": {"a": ([0.1, 0.2], [0.3, 0.4])}, "bins": 2, "limits": (0.0, 1.0)},
    "cases": {"panels": [CASE], "columns": 2},
    "change_over_image": {
        "maps": WEIGHTS[:2],
        "image": IMAGE,
        "titles": AB,
        "points": CLICK,
        "outlines": MASKS,
    },
    "channel_scatter": {
        "across": STATES[0, :4],
        "upward": STATES[1, :4],
        "groups": {"a": [0, 1]},
        "xlabel": "x",
        "ylabel": "y",
    },
    "channels": {
        "maps": MAPS[:4],
        "order": [1, 0],
        "names": AB,
        "columns": 2,
        "per_channel": True,
        "image": SQUARE,
        "cell": 4,
    },
    "compared_shares": {
        "left": [1.0, 2.0],
        "right": [3.0, 4.0],
        "names": AB,
        "labels": ["x", "y"],
        "kinds": ["tokens", "image"],
    },
    "corrections": {**ROUNDS, "image": IMAGE, "truth": MASKS[0], "first": 1, "columns": 2, "zoom": False},
    "curves_along": {
        "positions": [0.0, 1.0],
        "curves": {"a": [1.0, 2.0]},
        "dashed": {"a": [1.0, 2.0]},
        "band": {"a": ([0.0, 1.0], [2.0, 3.0])},
        "xlabel": "x",
        "ylabel": "y",
    },
    "curves_over": {
        "positions": [2.0, 4.0],
        "curves": {"a": [1.0, 2.0]},
        "limit": 1.0,
        "xlabel": "x",
        "ylabel": "y",
    },
    "decoder_to_scale": {"tensors": decode(0)},
    "decoder_map": {"lit": ["2", "(6-1)"]},
    "distributions": {"rows": {"a": SELF[0]}, "columns": NAMES},
    "effect_dots": {
        "values": EFFECTS,
        "null": (0.4, 0.5),
        "null_name": "chance",
        "replicas": {"a": [0.1, 0.2]},
        "groups": {"x": ["b"], "y": ["a"]},
        "order": "lowest",
        "digits": 2,
    },
    "effects": {"values": EFFECTS, "sort": True, "digits": 2, "replicas": {"another": EFFECTS}},
    "embedding_basis": {"embedding": MAPS},
    "embeddings": {"maps": MAPS[None], "names": ["a"], "image": SQUARE, "basis": figures.embedding_basis(MAPS)},
    "firing_units": {"hidden": STATES, "names": NAMES},
    "folding_diagram": {"tokens": 3, "image_tokens": 4, "dim": 8, "internal": 8, "heads": 2},
    "gained_and_lost": {
        "image": IMAGE,
        "before": MASKS[0],
        "after": MASKS[:2],
        "names": AB,
        **CLICKS,
    },
    "head_distributions": {
        "values": {"a": SELF[0]},
        "reference": {"a": SELF[0, 0]},
        "limits": (0.0, 1.0),
        "ylabel": "y",
    },
    "head_grid": {"values": GRID[:, ::-1][..., [0, 1, 2]], "rows": NAMES, "limit": 1.0, "digits": 2},
    "head_split": {"vectors": STATES[:2, :4], "heads": 2},
    "hypernetwork_diagram": {"masks": 4, **SIZES},
    "images": {"images": [IMAGE, SQUARE], "names": AB},
    "line_panels": {
        "x": [0.0, 1.0],
        "panels": {"a": {"f": [1.0, 2.0]}},
        "points": ([0.5], [1.0]),
        "kinks": [0.5],
        "columns": 2,
    },
    "layer_matrices": {"matrices": {"a": TWO}, "xlabel": "in", "ylabel": "out", "digits": 1},
    "logit_waterfall": {"contributions": {"a": [1.0, -2.0]}},
    "logits_and_mask": {
        "logits": LOGITS[:2],
        "image": IMAGE,
        "names": AB,
        **CLICKS,
        "numbers": [0, 1],
        "limit": 6.0,
    },
    "many_masks": {"image": IMAGE, "groups": {"a": MASKS}, "points": CLICK},
    "map_sequence": {
        "frames": MAPS[:2],
        "names": AB,
        "image": SQUARE,
        "final": MASKS[0, :16, :16],
        "columns": 2,
        "line": True,
        "block": 4,
    },
    "mask_decoder_diagram": {"prompt_tokens": 2, "masks": 4, **SIZES},
    "mask_grid": {
        "image": IMAGE,
        "masks": MASKS[:2, None],
        "rows": AB,
        "columns": ["x"],
        "notes": [["n"], ["m"]],
        "clicks": {"w": [3.0, 4.0]},
        "numbers": [2],
        "size": 100.0,
    },
    "masks_by_prompt": {
        "image": IMAGE,
        "masks": MASKS[:2],
        "names": AB,
        "clicks": [CLICK, None],
        "labels": [[1], None],
        "boxes": [None, [1, 2, 3, 4]],
        "numbers": [0, 1],
        "corners": True,
    },
    "masks_by_way": {
        "image": IMAGE,
        "ways": {"a": MASKS[:2]},
        "reference": MASKS[:2],
        "names": AB,
        "numbers": [1, 2],
        "points": CLICK,
    },
    "masks_row": {
        "image": IMAGE,
        "masks": MASKS[:2],
        "names": AB,
        "predicted": [0.5, 0.6],
        "true": [0.4, 0.3],
        "truth": MASKS[:2],
        **CLICKS,
        "box": [1, 2, 3, 4],
        "numbers": [1, 2],
    },
    "matrix_product": {"left": TWO, "right": TWO, "names": ["x", "y", "z"], "digits": 1},
    "means_with_intervals": {"series": {"s": {"a": (0.5, 0.4, 0.6)}}},
    "mlp_diagram": {"tokens": 3, "dim": 8, "inner": 16, "masks": 4, "channels": 2},
    "one_query": {"query": TWO[0], "keys": TWO, "values": TWO, "weights": [0.25, 0.75]},
    "pixel_centres": {"pixels": 8, "cell": 4},
    "position_maps": {"maps": MAPS[:2], "names": AB, "points": TWO / 3, "columns": 2, "limit": 1.0},
    "postprocessing_diagram": {"height": 3, "width": 4, "side": 8, "low": 2},
    "prompt_diagram": {"side": 8, "grid": 2, "dim": 8, "inner": 4},
    "prompts_and_masks": {
        "image": IMAGE,
        "masks": MASKS[:2],
        **CLICKS,
        "box": [1, 2, 3, 4],
        "names": AB,
        "truth": MASKS[:1],
        "numbers": [1, 2],
    },
    "resampled_line": {"values": [1.0, 2.0], "ways": {"a": ([0.5, 1.0], [1.0, 1.5])}},
    "roofline": {"points": {"a": (1.0, 2.0)}, "peak": 10.0, "memory": 5.0},
    "signed_matrix": {"values": TWO, "rows": AB, "columns": ["x", "y"], "digits": 1},
    "similarity_by_depth": {
        "queries": STATES[:5, None, :8].expand(5, 2, 8),
        "keys": MAPS[:2, :, :8],
        "names": AB,
        "outlines": MASKS,
    },
    "sized_maps": {"maps": {"a": LOGITS[0]}, "image": IMAGE, "frame": (8, 9), "number": 1, "limit": 6.0},
    "step_times": {"ways": {"a": {"x": 1.0}, "b": {"x": 0.5}}, "ends": {"a": (0.9, 1.1)}, "least": 0.03},
    "target_and_yours": {"target": TWO, "yours": TWO},
    "token_matrix": {
        "values": SELF[:2],
        "rows": NAMES,
        "columns": NAMES,
        "titles": AB,
        "digits": 1,
        "middle": 0.1,
    },
    "token_names": {"labels": [1, 0], "box": False, "masks": 4},
    "token_strip": {"vectors": STATES[:2, :3], "names": AB, "order": [2, 1, 0], "per_row": True},
    "tokens_before_and_after": {
        "before": STATES[:2, :3],
        "after": STATES[:2, :3],
        "names": AB,
        "moved": [1.0, 2.0],
        "order": [2, 1, 0],
        "limit": 90.0,
    },
    "training_curves": {"losses": {"a": ([1, 2], [0.5, 0.4])}, "scores": {"b": ([1, 2], [0.5, 0.6])}},
    "two_decodes": {
        "one": decode(0),
        "other": decode(1),
        "image": IMAGE,
        "points": (CLICK, [[3, 4]]),
        "mask": 2,
        "basis": figures.embedding_basis(decode(0)["src"][0]),
        "names": AB,
    },
    "two_and_difference": {
        "one": WEIGHTS[:2],
        "other": WEIGHTS[2:4],
        "names": ["click A", "click B"],
        "rows": AB,
        "image": IMAGE,
        "points": (CLICK, [[20, 9]]),
        "outlines": MASKS,
    },
    "two_way_transformer_diagram": {"tokens": 3, **SIZES},
    "upscaling_diagram": {"grid": 4, "dim": 16},
    "vector_bars": {"values": [1.0, 2.0], "names": AB, "digits": 1},
    "vectors_before_and_after": {"panels": {"a": (TWO, TWO, TWO)}, "names": ["x", "y"]},
    "wave_and_circle": {"angles": [0.0, 1.0], "positions": [0.0, 1.0], "marked": [0, 1]},
}

ANYTHING = object()
NOT_A_NUMBER = float("nan")
WRONG: dict[str, list[Any]] = {
    "flag": ["no", 2, [True], ANYTHING],
    "count": [-1, 1.5, True, "3", NOT_A_NUMBER, [2, 3], 1j, ANYTHING],
    "number": [NOT_A_NUMBER, float("inf"), "1", [1.0, 2.0], ANYTHING],
    "dictionary": [{}, [], "text", 3, ANYTHING],
    "names": ["text", [], 3, list("abcdefghijkl"), ANYTHING],
    "things": ["text", [], 3, [ANYTHING] * 12, ANYTHING],
    "numbers": ["text", {}, 1j, ANYTHING, ["a", "b"], [[1], [1, 2]], np.zeros((1, 1, 1, 1, 1, 1, 1)), [NOT_A_NUMBER]],
}
BEYOND: dict[tuple[str, str], list[Any]] = {
    ("attention_diagram", "heads"): [3, 0],
    ("attention_diagram", "lit"): [["sum"]],
    ("attention_grid", "weights"): [torch.log(WEIGHTS[:6].reshape(2, 3, 256))],
    ("attention_maps", "weights"): [torch.log(WEIGHTS), WEIGHTS[:, :250]],
    ("attention_maps", "outlines"): [MASKS * 255, MASKS[0], LOGITS[:3]],
    ("attention_maps", "labels"): [[2], [-1], [0.5]],
    ("attention_maps", "points"): [None],
    ("attention_maps", "columns"): [0],
    ("attention_maps", "limit"): [0, -1],
    ("attention_maps", "per_panel"): [True],
    ("attention_to_tokens", "weights"): [torch.log(SHARES)],
    ("attention_to_tokens", "limit"): [0, -1],
    ("calibration", "bins"): [3],
    ("calibration", "limits"): [(1.0, 0.0), (0.0, 0.0), (0.0,)],
    ("change_over_image", "maps"): [-WEIGHTS[:2]],
    ("channel_scatter", "groups"): [{"a": [4]}, {"a": [0.5]}, {"a": [True]}, {c: [0] for c in "abcd"}],
    ("channels", "order"): [[4, 0], [-5, 0]],
    ("compared_shares", "left"): [[-1.0, 2.0], [0.0, 0.0]],
    ("compared_shares", "kinds"): [["tokens", "other"]],
    ("corrections", "first"): [0, 3],
    ("corrections", "labels"): [{"a": [1, 2]}, {"b": [1, 0]}],
    ("corrections", "truth"): [LOGITS[0], MASKS[0] * 255],
    ("curves_along", "positions"): [[1.0, 0.0], [0.0, 0.0]],
    ("curves_along", "dashed"): [{"b": [1.0, 2.0]}],
    ("curves_along", "curves"): [{c: [1.0, 2.0] for c in "abcde"}],
    ("curves_over", "positions"): [[0.0, 4.0], [-2.0, 4.0], [4.0, 2.0]],
    ("curves_over", "curves"): [{c: [1.0, 2.0] for c in "abcde"}],
    ("decoder_map", "lit"): [["9"], "21"],
    ("distributions", "rows"): [{"a": SELF[0] * 7}, {"a": -SELF[0]}, {str(i): SELF[0] for i in range(9)}],
    ("effect_dots", "digits"): [-2],
    ("effect_dots", "groups"): [{"x": ["a"]}, {"x": ["a", "a"]}, {"x": ["a", "b", "c"]}, {"x": ["ab"]}, {"x": "ab"}],
    ("effect_dots", "null"): [
        NOT_A_NUMBER,
        float("inf"),
        (1.0, 0.0),
        (0.0, 1.0, 2.0),
        {"a": 0},
        {"a": 0, "b": "0"},
        {"a": 0, "b": (1, 0)},
    ],
    ("effect_dots", "order"): ["highest", None, 0],
    ("effect_dots", "replicas"): [{"c": [0.1]}, {"a": []}, {"a": 0.1}, {"a": [float("inf")]}],
    ("effects", "replicas"): [
        {"another": {"a": (0.1, 0.0, 0.2)}},
        {"another": {"a": (0.1,) * 3, "b": (0.3, 0.0, 0.2)}},
    ],
    ("effects", "values"): [{"a": (0.3, 0.0, 0.2)}, {"a": (0.1, 0.0)}, {"a": (NOT_A_NUMBER,) * 3}],
    ("embedding_basis", "embedding"): [MAPS[:2], MAPS[None]],
    ("embeddings", "basis"): [figures.embedding_basis(MAPS[:3])],
    ("folding_diagram", "heads"): [3],
    ("gained_and_lost", "before"): [LOGITS[0], MASKS[0] * 255, MASKS, MASKS[0, :8], np.abs(LOGITS[:2])],
    ("gained_and_lost", "after"): [LOGITS[:2], MASKS[:2] * 255, MASKS[0], MASKS[:2, :8]],
    ("gained_and_lost", "labels"): [[2], [-1]],
    ("head_distributions", "limits"): [(1.0, 0.0)],
    ("head_distributions", "reference"): [{"b": SELF[0, 0]}],
    ("head_grid", "values"): [GRID[..., [2, 1, 0]]],
    ("head_grid", "limit"): [0, -1],
    ("head_split", "heads"): [0, 3],
    ("hypernetwork_diagram", "dim"): [12],
    ("line_panels", "x"): [[1.0, 0.0]],
    ("line_panels", "points"): [([0.5], [1.0, 2.0]), ([0.5],)],
    ("logits_and_mask", "limit"): [0, -6],
    ("logits_and_mask", "logits"): [LOGITS[:2] > 0],
    ("logits_and_mask", "numbers"): [[0, 4], [0, -1]],
    ("many_masks", "groups"): [{"a": LOGITS[:3]}],
    ("map_sequence", "columns"): [0],
    ("mask_decoder_diagram", "dim"): [12],
    ("mask_grid", "size"): [0, -1],
    ("masks_by_prompt", "clicks"): [[CLICK], [None, None]],
    ("masks_by_prompt", "labels"): [[[0.5], None]],
    ("masks_by_way", "reference"): [LOGITS[:2], MASKS[:2] * 255],
    ("masks_by_way", "ways"): [{"a": LOGITS[:2]}],
    ("masks_row", "masks"): [LOGITS[:2], np.abs(LOGITS[:2])],
    ("masks_row", "labels"): [[-1]],
    ("means_with_intervals", "series"): [{"s": {"a": (-0.5, -0.6, 0.4)}}, {"s": {"a": (0.5, 0.6, 0.4)}}],
    ("one_query", "weights"): [[1.0, 1.0], [-1.0, 2.0]],
    ("pixel_centres", "pixels"): [9],
    ("position_maps", "points"): [TWO],
    ("position_maps", "limit"): [0],
    ("prompt_diagram", "dim"): [7],
    ("prompt_diagram", "inner"): [6],
    ("prompts_and_masks", "image"): [IMAGE * 1.0, IMAGE[..., 0], IMAGE.transpose(2, 0, 1), IMAGE[None], IMAGE > 9],
    ("prompts_and_masks", "points"): [[1, 2], None],
    ("roofline", "points"): [{"a": (0.0, 1.0)}, {"a": (1.0,)}],
    ("roofline", "peak"): [0, -1],
    ("similarity_by_depth", "keys"): [MAPS[:1, :, :8]],
    ("sized_maps", "frame"): [(0, 1), (1,), (1.5, 2.0)],
    ("sized_maps", "number"): [4],
    ("step_times", "ways"): [{"a": {}}, {"a": {"x": -1.0}}, {"a": {"x": 0.0}}, {"a": {"x": NOT_A_NUMBER}}],
    ("token_matrix", "values"): [-SELF[:2]],
    ("token_matrix", "middle"): [0, -0.1],
    ("token_names", "labels"): [[2], [-1], 1],
    ("token_strip", "order"): [[0, 1], [0, 0, 1]],
    ("tokens_before_and_after", "moved"): [[-1.0, 2.0]],
    ("training_curves", "scores"): [{"b": ([1], [1.5])}, {str(i): ([1], [0.5]) for i in range(7)}],
    ("training_curves", "losses"): [{"a": ([1, 2], [0.5])}, {"a": ([], [])}, {"a": ([1], [-0.5])}],
    ("two_and_difference", "image"): [None],
    ("two_and_difference", "names"): [["a"], ["a", "b", "c"], "ab"],
    ("two_and_difference", "one"): [-WEIGHTS[:2], WEIGHTS[:2, :250]],
    ("two_and_difference", "other"): [-WEIGHTS[:2], WEIGHTS[:3]],
    ("two_and_difference", "outlines"): [LOGITS, MASKS[0], MASKS * 255],
    ("two_and_difference", "points"): [(CLICK,), CLICK, (CLICK, "text"), "ab"],
    ("upscaling_diagram", "dim"): [12],
    ("wave_and_circle", "positions"): [[1.0, 0.0], [0.0, 2.0]],
    ("wave_and_circle", "marked"): [[2], list(range(2)) * 5],
}
"""Values of the right type and shape that are wrong nevertheless."""

# Right values of some arguments, among those that are wrong for others of their kind.
ALLOWED: dict[tuple[str, str], list[Any]] = {
    ("attention_diagram", "lit"): ["empty"],
    ("decoder_map", "lit"): ["empty"],
    ("effects", "replicas"): ["empty"],
    ("prompts_and_masks", "masks"): [],
    ("training_curves", "losses"): ["empty"],
    ("training_curves", "scores"): ["empty"],
    ("token_names", "labels"): ["empty"],
    ("target_and_yours", "yours"): ["nan"],
    ("wave_and_circle", "marked"): ["empty"],
}

# Where two arguments do not fit together, the message may name the other one.
NAMED_INSTEAD = {
    ("attention_grid", "rows"): "weights",
    ("attention_grid", "columns"): "weights",
    ("attention_maps", "per_panel"): "limit",
    ("compared_shares", "names"): "left",
    ("mask_grid", "rows"): "masks",
    ("mask_grid", "columns"): "masks",
    ("signed_matrix", "rows"): "values",
    ("signed_matrix", "columns"): "values",
    ("target_and_yours", "target"): "yours",
    ("token_matrix", "rows"): "values",
    ("token_matrix", "columns"): "values",
    ("two_and_difference", "image"): "points",
    ("two_and_difference", "one"): "other",
    ("vector_bars", "names"): "values",
}


def kind_of(value: Any) -> str:
    if isinstance(value, bool):
        return "flag"
    if isinstance(value, int):
        return "count"
    if isinstance(value, float):
        return "number"
    if isinstance(value, dict):
        return "dictionary"
    if isinstance(value, list) and value and isinstance(value[0], str):
        return "names"
    if isinstance(value, list) and any(isinstance(one, figures.Case | list | np.ndarray | None) for one in value):
        return "things" if not all(isinstance(one, list) and np.ndim(one[0]) == 0 for one in value) else "numbers"
    return "numbers"


def is_allowed(name: str, argument: str, value: Any) -> bool:
    allowed = ALLOWED.get((name, argument), [])
    if "empty" in allowed and isinstance(value, list | dict | tuple) and not value:
        return True
    return "nan" in allowed and isinstance(value, list) and len(value) == 1 and value[0] is NOT_A_NUMBER


def wrong_values(name: str, argument: str) -> Iterator[Any]:
    right = CALLS[name][argument]
    yield from (value for value in WRONG[kind_of(right)] if not is_allowed(name, argument, value))
    yield from BEYOND.get((name, argument), [])
    if isinstance(right, dict):  # the same for what stands in a dictionary
        first = next(iter(right))
        inner = WRONG[kind_of(right[first])]
        yield from ({**right, first: value} for value in inner if not isinstance(value, str) or "text" in value)


PAIRS = [(name, argument) for name in CALLS for argument in CALLS[name] if argument not in TEXT]


@pytest.mark.parametrize("name", CALLS)
def test_the_right_call_is_drawn_and_has_every_argument(name: str) -> None:
    function = getattr(figures, name)
    assert set(CALLS[name]) | TEXT >= set(inspect.signature(function).parameters)
    assert function(**CALLS[name])


def test_every_public_function_is_tried() -> None:
    assert set(CALLS) == set(figures.__all__) - {"Figure", "STEPS", "Case", "poster"}


@pytest.mark.parametrize(("name", "argument"), PAIRS, ids=["-".join(pair) for pair in PAIRS])
def test_a_wrong_argument_is_refused_by_its_name(name: str, argument: str) -> None:
    passed = []
    first = f"({argument}|{NAMED_INSTEAD.get((name, argument), argument)})"
    message = rf"{first}\b.*\b(expected|must|there is no|holds|are no|got)\b"
    for value in wrong_values(name, argument):
        try:
            getattr(figures, name)(**{**CALLS[name], argument: value})
        except (TypeError, ValueError) as error:
            if not re.match(message, str(error), re.DOTALL):
                passed.append(f"{value!r:.60}: {type(error).__name__}: {error}")
        except Exception as error:
            passed.append(f"{value!r:.60}: {type(error).__name__}: {error}")
        else:
            passed.append(f"{value!r:.60}: drawn")
    assert not passed, "\n".join(passed)


HINTS = {
    "prompts_and_masks": [
        ({"image": IMAGE * 1.0}, "divide it by 255"),
        ({"image": IMAGE.astype(np.uint16) * 257}, "divide 16 bits by 257"),
        ({"image": IMAGE[None]}, "image[0] leaves the first axis out"),
        ({"masks": LOGITS[:2]}, "of logits take > 0"),
        ({"labels": [-1]}, "1 (positive) or 0 (negative), got -1"),
    ],
    "token_matrix": [({"values": -SELF[:2]}, "signed_matrix draws both signs")],
    "attention_maps": [
        ({"weights": torch.log(WEIGHTS)}, "of scores take .softmax(-1)"),
        ({"weights": WEIGHTS[:, :250]}, "250 image tokens are no square grid; give (maps, height, width)"),
    ],
    "means_with_intervals": [({"series": {"s": {"a": (-0.5, -0.6, 0.4)}}}, "`effects` draws others")],
    "curves_along": [
        ({"positions": [1.0, 0.0]}, "got 1 before 0; sort them first"),
        ({"dashed": {"b": [1.0]}}, "there is no curve 'b'; there are 'a'"),
    ],
    "masks_row": [({"predicted": [0.5, NOT_A_NUMBER]}, "not finite: 1 of 2, the first at (1,): nan")],
}


@pytest.mark.parametrize("name", HINTS)
def test_the_message_says_the_way_out(name: str) -> None:
    for wrong, words in HINTS[name]:
        with pytest.raises(ValueError, match=re.escape(words)):
            getattr(figures, name)(**{**CALLS[name], **wrong})
