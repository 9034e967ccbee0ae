"""Notebook 09: what its prose builds on stands in its outputs (the form of all notebooks: `test_form.py`)."""

import re

from notebook_cells import Notebook

NOTEBOOK = Notebook("09_from_logits_to_masks")


def test_the_ladder_computes_with_torch_alone() -> None:
    names = list(NOTEBOOK.code)
    for name in names[names.index("r1") : names.index("same-meta")]:
        assert not re.search(r"sam_edu|official\.|ablation\.|stats\.|model", NOTEBOOK.sources[name]), name


def test_every_step_is_compared_with_metas() -> None:
    assert "theirs.model.postprocess_masks" in NOTEBOOK.sources["same-back"]
    assert "theirs.transform.apply_coords_torch" in NOTEBOOK.sources["same-back"]
    assert "amg.calculate_stability_score(low_res, 0.0, 1.0), equal_nan=True" in NOTEBOOK.sources["same-scores"]
    assert "wrapper.select_masks" in NOTEBOOK.sources["same-scores"]
    assert "8 tensors compared" in NOTEBOOK.printed("same-table-compare")
    assert "all within tolerance" in NOTEBOOK.printed("same-table-compare")
    assert "pixels in which the masks differ: 0" in NOTEBOOK.printed("predictor-same")


def test_the_predictor_refuses_each_mistake_that_metas_takes() -> None:
    printed = NOTEBOOK.printed("predictor-strict-run")
    assert len(re.findall(r"Meta's: +3 masks, no error", printed)) == 5
    assert len(re.findall(r"sam_edu: ValueError", printed)) == 5


def test_the_articles_snippet_fails_and_the_complete_one_runs() -> None:
    printed = NOTEBOOK.printed("read-snippet")
    assert re.search(r"no image: +RuntimeError", printed)
    assert re.search(r"lists: +AttributeError", printed)
    assert re.search(r"arrays: +3 masks", printed)
    snippet = NOTEBOOK.sources["predictor"]
    for line in ("predictor.set_image(image)", "point_coords=np.array([[171, 116]])", "point_labels=np.array([1])"):
        assert line in snippet


def test_an_empty_mask_has_no_stability_and_argmax_takes_it() -> None:
    assert "nan" in NOTEBOOK.printed("r8-check")
    assert "argmax of the scores: 2  with NaN as the worst: 0" in NOTEBOOK.printed("r8-nan")
    assert "argmax by stability takes mask 2" in NOTEBOOK.printed("empty-run")
    assert "as before: True" in NOTEBOOK.printed("empty-run")


def test_the_half_pixel_is_bounded_by_the_coarser_grid() -> None:
    printed = NOTEBOOK.printed("r6-half-code")
    of_image = dict(re.findall(r"an image +(\d+) wide: .* frame, ([\d.]+) of the image", printed))
    assert float(of_image["4000"]) == 1.45
    assert all(float(off) <= 0.5 for width, off in of_image.items() if int(width) <= 2048)


def test_stability_depends_on_the_size_as_well() -> None:
    stability = [float(one) for one in re.findall(r"stability ([\d.]+)", NOTEBOOK.printed("r8-size"))]
    assert stability == sorted(stability)
    assert stability[0] < 0.3
    assert stability[-1] > 0.9


def test_the_focal_loss_is_neutral_at_three_quarters() -> None:
    printed = NOTEBOOK.printed("threshold-focal")
    lowest = {
        pair[:2]: float(pair[2]) for pair in re.findall(r"alpha (\S+), P\(inside\) (\S+): .* ([-+][\d.]+)", printed)
    }
    assert lowest["0.5", "0.5"] == lowest["0.25", "0.75"] == 0
    assert lowest["0.25", "0.5"] < 0 < lowest["0.5", "0.75"]


def test_rules_are_compared_over_all_held_out_clicks_after_one_click_and_two() -> None:
    for rule in ("by predicted IoU", "by stability", "always mask 0", "at random"):
        assert f'"{rule}"' in NOTEBOOK.sources["pick-rules"]
    assert "corrected.two_predicted" in NOTEBOOK.sources["pick-onnx"]
    assert "assert np.array_equal(by_onnx, " in NOTEBOOK.sources["pick-onnx"]
    assert "stats.interval" in NOTEBOOK.sources["pick-picture"]
    assert "ablation.recompute_prompts(model, again)" in NOTEBOOK.sources["worth-live-code"]


def test_a_correction_stands_beside_a_round_without_a_click() -> None:
    assert '"without one"' in NOTEBOOK.sources["refine-steps"]
    assert "the change to mask 0, at the same click" in NOTEBOOK.printed("refine-second")
    assert "at most six clicks, and in nine of ten steps at most four" in NOTEBOOK.sources["trained"]


def test_the_fall_that_is_shown_is_the_one_in_the_middle() -> None:
    assert 'size, kind="stable")[len(size) // 2]' in NOTEBOOK.sources["worse-case"]


def test_thresholds_of_the_grid_are_chosen_on_one_half_and_tried_on_the_other() -> None:
    assert (
        "level = next(t for t in levels if grid.passing(t, t, half=0).iou >= 0.85)"
        in NOTEBOOK.sources["everything-table"]
    )
    assert "grid.passing(t, t, half=1)" in NOTEBOOK.sources["everything-table"]


def test_everything_takes_about_thirty_lines() -> None:
    code = "\n".join(NOTEBOOK.sources[name] for name in ("r10-suppress", "everything-code", "everything-choose"))
    lines = [line for line in code.splitlines() if line.strip()]
    assert 20 <= len(lines) <= 32


def test_a_traced_wrapper_crops_as_for_its_example() -> None:
    ious = dict(re.findall(r"image (\d+ x \d+): IoU .* ([\d.]+)", NOTEBOOK.printed("read-onnx-code")))
    assert float(ious["150 x 225"]) == 1.0
    assert float(ious["450 x 300"]) < 0.9


def test_the_shape_table_has_no_new_rows() -> None:
    assert 'assert len(t.shape_table("09")) == 0' in NOTEBOOK.sources["shape-table-code"]
