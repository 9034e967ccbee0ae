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


def test_rules_are_compared_over_all_held_out_clicks() -> None:
    for rule in ("by predicted IoU", "by stability", "always mask 0", "at random"):
        assert f'"{rule}"' in NOTEBOOK.sources["pick-rules"]
    assert 'assert np.array_equal(by_onnx, rules["by predicted IoU"])' in NOTEBOOK.sources["pick-onnx"]
    assert "stats.interval" in NOTEBOOK.sources["pick-picture"]
    assert "ablation.recompute_prompts(model, again)" in NOTEBOOK.sources["worth-live-code"]


def test_what_is_shown_is_chosen_by_rule_beside_one_at_random() -> None:
    assert "steps[:, 1:].argmin()" in NOTEBOOK.sources["worse-case"]
    assert '"at random": (random.Random(4)' in NOTEBOOK.sources["worse-case"]
    assert "next((t for t in levels if" in NOTEBOOK.sources["everything-table"]


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
