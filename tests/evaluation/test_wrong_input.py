"""What cannot be evaluated: arguments of the public functions, wrong in the ways of their kind, refused by name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sam_edu.evaluation.attention_share import attention_shares, share_table
from sam_edu.evaluation.baselines import discs, ellipse, filled_box, flood_fills, iou, tune
from sam_edu.evaluation.failures import worst_clicks
from sam_edu.evaluation.intervals import SceneBootstrap, multinomial_draws, single_draws
from sam_edu.evaluation.photograph_scores import photo_table
from sam_edu.evaluation.photographs import Outline, outlines, photographs, rasterise, read_image
from sam_edu.evaluation.scores import (
    Target,
    area_table,
    calibration_table,
    evaluate,
    evaluate_scene,
    head_table,
    interval,
    table,
)
from sam_edu.sam import build_tiny, tiny_weights
from sam_edu.scenes.scene import draw_scene

pytestmark = pytest.mark.no_shape_check

MODEL: Any = build_tiny().eval()
SCENE: Any = draw_scene(0, size=64)
IMAGE = np.zeros((6, 8, 3), np.uint8)
MASKS = np.zeros((2, 4, 6), bool)
TARGET = np.ones((4, 6), bool)
OUTLINE = Outline("a thing", [(0, 0), (3, 0), (3, 3)], [])
BOOTSTRAP = SceneBootstrap([0, 0, 1])
NAN, INF = float("nan"), float("inf")

numbers: dict[str, Any] = dict.fromkeys(Target.__dataclass_fields__, 0.5)
several: dict[str, Any] = {"predicted": (0.1, 0.2, 0.3), "true": (0.1, 0.2, 0.3)}
five: dict[str, Any] = dict.fromkeys(("corrected", "corrected_at_random"), (0.5,) * 5)
ROW = Target(
    **numbers | several | five | {"scene": 0, "mask": 0, "level": 0, "area": 9, "pick": 0, "click_position": (1.0, 2.0)}
)

Refused = tuple[Callable[[], object], type[Exception], str]
WRONG: dict[str, Refused] = {
    # baselines
    "no click": (lambda: discs(None, (4, 6)), TypeError, "click: expected numbers"),
    "three numbers as a click": (
        lambda: discs([1, 2, 3], (4, 6)),
        ValueError,
        r"click: expected \(x, y\), got \[1, 2, 3",
    ),
    "several clicks": (lambda: discs([[1, 2]], (4, 6)), ValueError, r"click: expected \(x, y\)"),
    "NaN as a click": (lambda: discs([NAN, 1], (4, 6)), ValueError, r"click: expected \(x, y\), got \[nan, 1\]"),
    "one number as a shape": (lambda: discs([1, 2], 4), ValueError, r"shape: expected \(height, width\).* got 4"),
    "an empty shape": (lambda: discs([1, 2], (0, 6)), ValueError, r"shape: .* got \(0, 6\)"),
    "a shape of floats": (lambda: discs([1, 2], (4.0, 6.0)), TypeError, "shape: .*whole numbers"),
    "no radius": (lambda: discs([1, 2], (4, 6), ()), ValueError, "radii: expected a list of numbers.*at least one"),
    "a negative radius": (lambda: discs([1, 2], (4, 6), (-3,)), ValueError, r"radii: .*got \(-3,\)"),
    "one radius": (lambda: discs([1, 2], (4, 6), 3), ValueError, "radii: expected a list"),
    "swapped corners": (lambda: filled_box([3, 0, 1, 2], (4, 6)), ValueError, "box: .*x0 <= x1 and y0 <= y1, got"),
    "swapped corners of an ellipse": (lambda: ellipse([0, 3, 2, 1], (4, 6)), ValueError, "box: .*x0 <= x1"),
    "a box of three": (lambda: filled_box([0, 1, 2], (4, 6)), ValueError, r"box: expected \(x0, y0, x1, y1\)"),
    "infinity in a box": (lambda: ellipse([0, 0, INF, 1], (4, 6)), ValueError, "box: expected"),
    "text as a box": (lambda: filled_box("box", (4, 6)), TypeError, "box: expected numbers"),
    "a click right of the image": (
        lambda: flood_fills(IMAGE, [8, 0]),
        ValueError,
        r"click: .*8 x 6 pixels, got \[8, 0",
    ),
    "a click left of it": (lambda: flood_fills(IMAGE, [-0.5, 0]), ValueError, "click: expected .* inside the image"),
    "a click below it": (lambda: flood_fills(IMAGE, [0, 6]), ValueError, "click: expected .* inside the image"),
    "(y, x) as a click": (lambda: flood_fills(IMAGE, [5, 7]), ValueError, "click: expected .* inside the image"),
    "no image": (lambda: flood_fills(None, [0, 0]), TypeError, "image: expected a numpy array"),
    "a negative tolerance": (lambda: flood_fills(IMAGE, [0, 0], (-1,)), ValueError, "tolerances: expected"),
    "no tolerance": (lambda: flood_fills(IMAGE, [0, 0], ()), ValueError, "tolerances: expected"),
    "one mask for several": (lambda: iou(TARGET, TARGET), ValueError, r"masks: .*masks\[None\] makes one mask a list"),
    "masks of another size": (lambda: iou(MASKS[:, :3], TARGET), ValueError, r"masks: expected shape \(n, 4, 6\)"),
    "a row as a target": (lambda: iou(MASKS, TARGET[0]), ValueError, r"target: expected shape \(height, width\)"),
    "logits": (lambda: iou(MASKS - 0.5, TARGET), ValueError, r"masks: expected masks of 0 and 1.*logits > 0"),
    "no scene to tune on": (lambda: tune(0), ValueError, "scenes: expected a whole number of 1 or more, got 0"),
    "a part of a scene": (lambda: tune(1.5), TypeError, "scenes: expected a whole number, got 1.5"),
    # intervals
    "no scene": (lambda: SceneBootstrap([]), ValueError, "scenes: expected the number of the scene of each value"),
    "scenes in rows": (lambda: SceneBootstrap([[0, 1]]), ValueError, "scenes: expected"),
    "names of scenes": (lambda: SceneBootstrap(["a", "b"]), TypeError, "scenes: expected numbers"),
    "draws of other scenes": (
        lambda: SceneBootstrap([0, 1], multinomial_draws(3, 4)),
        ValueError,
        r"drawn: expected shape \(draws, 2\), a column for each scene, got \(4, 3\)",
    ),
    "no draws": (lambda: SceneBootstrap([0, 1], np.zeros((0, 2))), ValueError, "drawn: expected"),
    "too few values": (lambda: BOOTSTRAP.interval([1, 2]), ValueError, r"values: expected 3, one .*got shape \(2,\)"),
    "a table of values": (lambda: BOOTSTRAP.interval([[1, 2, 3]]), ValueError, "values: expected 3"),
    "NaN among values": (lambda: BOOTSTRAP.interval([1, NAN, 3]), ValueError, "values: .*in 1 of 3; leave these cases"),
    "text as values": (lambda: BOOTSTRAP.interval("abc"), TypeError, "values: expected numbers"),
    "draws of no scene": (lambda: multinomial_draws(0), ValueError, "scenes: expected a whole number of 1 or more"),
    "no draw": (lambda: multinomial_draws(3, 0), ValueError, "draws: expected a whole number of 1 or more"),
    "draws of a float": (lambda: single_draws(3.0), TypeError, "scenes: expected a whole number, got 3.0"),
    "a negative number of draws": (lambda: single_draws(3, -1), ValueError, "draws: expected"),
    # attention shares
    "no model": (lambda: attention_shares("tiny", 1, 3), TypeError, r"model: expected a Sam.*sam_edu\.load\('tiny'\)"),
    "shares of no scene": (lambda: attention_shares(MODEL, 0, 3), ValueError, "scenes: expected a whole number of 1"),
    "a negative stream": (lambda: attention_shares(MODEL, 1, -3), ValueError, "stream: expected a whole number of 0"),
    "an unknown kind": (
        lambda: attention_shares(MODEL, 1, 3, "odd"),
        ValueError,
        "kind: expected one of ordinary, slender, unseen, got 'odd'",
    ),
    "a number as a kind": (lambda: attention_shares(MODEL, 1, 3, 3), TypeError, "kind: expected one of 'ordinary'"),
    "no shares": (lambda: share_table({}), ValueError, "shares: expected what attention_shares gives, got {}"),
    "a list of shares": (lambda: share_table([1]), ValueError, "shares: expected what attention_shares gives"),
    "shares of another shape": (lambda: share_table({"a": np.ones(3)}), ValueError, r"shares: .* of a, got \(3,\)"),
    # scores
    "a decoder as a model": (
        lambda: evaluate_scene(MODEL.mask_decoder, SCENE, 0, 3),
        TypeError,
        "model: expected a Sam, .*MaskDecoder",
    ),
    "an image as a scene": (lambda: evaluate_scene(MODEL, IMAGE, 0, 3), TypeError, "scene: expected a Scene.*ndarray"),
    "a negative number": (lambda: evaluate_scene(MODEL, SCENE, -1, 3), ValueError, "number: expected a whole number"),
    "a seed of text": (lambda: evaluate_scene(MODEL, SCENE, 0, "3"), TypeError, "seed: expected numbers, got str"),
    "no weights": (lambda: evaluate(None, 1), TypeError, "weights: expected the path of a file, got NoneType"),
    "a missing file": (lambda: evaluate(Path("none.pt"), 1), FileNotFoundError, "weights: there is no file none.pt"),
    "a file of text": (lambda: evaluate(Path(__file__), 1), ValueError, "weights: .*is a text file"),
    "no scenes": (lambda: evaluate(tiny_weights(), 0), ValueError, "scenes: expected a whole number of 1 or more"),
    "an unknown kind of scenes": (
        lambda: evaluate(tiny_weights(), 1, "odd"),
        ValueError,
        "kind: expected one of ordinary, unseen, slender",
    ),
    "no process": (lambda: evaluate(tiny_weights(), 1, processes=0), ValueError, "processes: expected a whole number"),
    **{
        f"{function.__name__} of nothing": (
            lambda function=function: function([]),  # type: ignore[misc]
            ValueError,
            "rows: expected at least one measured mask, got none",
        )
        for function in (table, area_table, head_table, calibration_table)
    },
    "a table of other rows": (
        lambda: table([1, 2]),
        TypeError,
        r"rows: expected the rows that evaluate gives, got \[1",
    ),
    "a table of no list": (lambda: head_table(ROW), TypeError, "rows: expected the rows"),
    "an interval of nothing": (lambda: interval([], lambda row: row.click), ValueError, "rows: expected at least one"),
    "an interval of NaN": (lambda: interval([ROW], lambda row: NAN), ValueError, "values: expected finite numbers"),
    "an interval without draws": (lambda: interval([ROW], lambda row: 1.0, 0), ValueError, "draws: expected"),
    "the worst of nothing": (lambda: worst_clicks(MODEL, []), ValueError, "rows: expected at least one"),
    "none of the worst": (lambda: worst_clicks(MODEL, [ROW], 0), ValueError, "per_level: expected a whole number of 1"),
    "the worst of no model": (lambda: worst_clicks(None, [ROW]), TypeError, "model: expected a Sam"),
    # photographs
    "a number as a folder": (lambda: photographs(3), TypeError, "folder: expected a path, got 3"),
    "an empty folder name": (lambda: outlines(""), ValueError, "folder: expected a path, got an empty one"),
    "no such folder": (lambda: outlines("none"), FileNotFoundError, "none.*photograph_outlines.json: there is no such"),
    "a number as an image's path": (lambda: read_image(3), TypeError, "path: expected a path, got 3"),
    "no outline": (lambda: rasterise([(0, 0)], 4, 6), TypeError, "outline: expected an Outline.* got list"),
    "no height": (lambda: rasterise(OUTLINE, 0, 6), ValueError, "height: expected a whole number of 1 or more, got 0"),
    "half a pixel": (lambda: rasterise(OUTLINE, 4, 6.5), TypeError, "width: expected a whole number, got 6.5"),
    "a table of no folder": (lambda: photo_table(MODEL, 3), TypeError, "folder: expected a path"),
    "a table of no model": (lambda: photo_table(None, "."), TypeError, "model: expected a Sam"),
}


@pytest.mark.parametrize(("call", "error", "words"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_meant_is_refused_by_name(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()


def test_a_folder_without_outlines_has_no_table(tmp_path: Path) -> None:
    (tmp_path / "photograph_outlines.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match=r"folder: expected at least one outlined object in .*, got none"):
        photo_table(MODEL, tmp_path)


def test_weights_of_another_model_are_refused_before_a_process_starts(tmp_path: Path) -> None:
    torch.save({"model": {"a.weight": torch.ones(2)}}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match=r"weights: .*does not fit the model tiny"):
        evaluate(tmp_path / "other.pt", 1, processes=4)


def test_the_baselines_take_every_form_of_numbers() -> None:
    click, box = torch.tensor([2.5, 1.0], dtype=torch.bfloat16), np.array([1, 0, 3, 1], np.uint8)
    assert np.array_equal(discs(click, torch.Size((4, 6))), discs([2.5, 1.0], [4, 6]))
    assert np.array_equal(ellipse(box, (4, 6)), ellipse([1.0, 0.0, 3.0, 1.0], (4, 6)))
    assert np.array_equal(filled_box(torch.tensor([1, 0, 3, 1]), (4, 6)), filled_box(box, (4, 6)))
    assert BOOTSTRAP.interval(torch.ones(3)) == BOOTSTRAP.interval([1, 1, 1]) == (1.0, 1.0, 1.0)
