"""Notebook 08: what its prose builds on stands in its outputs (the form of all notebooks: `test_form.py`)."""

import re
from typing import Any

import pytest
import torch
from notebook_cells import FOLDER, Notebook
from torch import nn
from transformers.models.sam2.configuration_sam2 import Sam2MaskDecoderConfig
from transformers.models.sam2.modeling_sam2 import Sam2MaskDecoder

import sam_edu
from sam_edu.modules import MLP, MaskDecoder
from sam_edu.official.layouts import to_metas_names
from sam_edu.sam import build_mask_decoder

NOTEBOOK = Notebook("08_mask_decoder")


def test_the_ladder_computes_with_torch_alone() -> None:
    names = list(NOTEBOOK.code)
    for name in names[names.index("r1") : names.index("same-load")]:
        assert not re.search(r"sam_edu|official\.|ablation\.|MultiheadAttention|model\b", NOTEBOOK.sources[name]), name


def test_the_whole_decoder_has_fewer_than_sixty_lines() -> None:
    lines = int(NOTEBOOK.printed("r8-code").split()[0])
    assert lines < 60
    readme = (FOLDER.parent / "README.md").read_text(encoding="utf-8")
    for text in (NOTEBOOK.sources["title"], NOTEBOOK.sources["same-picture"], readme):
        assert f"{lines} lines" in text
    names = list(NOTEBOOK.code)
    ladder = {name: NOTEBOOK.code[name] for name in names[: names.index("same-load")]}
    classes = [name for name, source in ladder.items() if re.search(r"^class ", source, re.MULTILINE)]
    assert classes == ["r3-code", "r4-code", "r5-code", "r7-code"]
    written = [line for name in classes for line in NOTEBOOK.sources[name].splitlines() if line.strip()]
    assert len(written) == lines  # nothing stands beside the classes that is not counted


def test_it_is_compared_with_ours_and_with_metas() -> None:
    assert "strict=True" in NOTEBOOK.sources["same-load"]
    assert "All keys matched" in NOTEBOOK.printed("same-load")
    assert "4,058,340 numbers in 120 tensors" in NOTEBOOK.printed("same-load")
    assert "model.mask_decoder = yours" in NOTEBOOK.sources["same-click"]
    assert NOTEBOOK.printed("same-compare").count("the same as Meta's") == 2
    assert "74 tensors compared" in NOTEBOOK.printed("same-compare-ours")
    assert NOTEBOOK.printed("same-compare-ours").count("all within tolerance") == 2


def test_the_parity_table_names_every_tensor() -> None:
    assert NOTEBOOK.printed("all-equal").startswith("120 tensors")
    rows = [line.split() for line in NOTEBOOK.printed("all-table").splitlines()]
    named = {row[0]: len(row) - 2 for row in rows}  # a path, its shapes, the difference
    expected: dict[str, int] = {}
    for name in build_mask_decoder().state_dict():
        path = name.rpartition(".")[0]
        expected[path] = expected.get(path, 0) + 1
    assert named == expected
    assert sum(named.values()) == 120
    assert all(float(row[-1]) < 1e-9 for row in rows)


def test_what_the_gradients_cannot_prove_is_printed() -> None:
    first, *lines = NOTEBOOK.printed("all-silent").splitlines()
    assert first == "7 tensors without a gradient:"
    assert sum(line.endswith("k_proj.bias") for line in lines) == 7
    zeros, numbers = (int(x.replace(",", "")) for x in re.findall(r"[\d,]*\d", lines[-1]))
    assert 0 < zeros < numbers < 4_058_340


def test_every_fault_is_found_where_it_is() -> None:
    first = dict(re.findall(r"^(\w+) +first: ([\w.]+)", NOTEBOOK.printed("diverge-table"), re.MULTILINE))
    assert first == {
        "gelu_in_the_blocks": "transformer.layers.0.mlp.hidden",
        "eps_of_the_blocks": "transformer.layers.0.queries_1",
        "block_0_as_block_1": "transformer.layers.0.self_attn.q",
        "gelu_by_tanh": "output_upscaling.activated_twice",
        "two_mlps_exchanged": "hyper_in",
    }
    verdicts = re.findall(r"(same|DIFFERS)$", NOTEBOOK.printed("diverge-rows"), re.MULTILINE)
    assert verdicts == ["same", "same", "DIFFERS", "DIFFERS", "same"]


def test_new_norms_hide_an_exchange_and_trained_ones_do_not() -> None:
    new, trained = NOTEBOOK.printed("diverge-blind-code").splitlines()
    assert new.endswith("None")
    assert trained.endswith("transformer.layers.0.queries_1")


def test_three_models_have_one_decoder() -> None:
    shares = re.findall(r"decoder 4,058,340 \(([\d.]+)% of ([\d,]+)\)", NOTEBOOK.printed("config-count"))
    assert shares == [("4.33", "93,735,472"), ("1.30", "312,342,832"), ("0.63", "641,090,608")]
    assert re.search(r"num_heads .* \+0 parameters", NOTEBOOK.printed("config-change"))


def test_two_images_pass_silently_or_fail_in_metas_and_are_refused_or_right_in_ours() -> None:
    metas, ours = (NOTEBOOK.printed(name).splitlines() for name in ("batch-meta", "batch-ours"))
    assert ["masks" in line for line in metas] == [True, True, True, False, False]
    assert ["masks" in line for line in ours] == [True, True, False, False]
    assert "image_of_each_prompt_set" in ours[-1]


def test_bytes_are_counted_from_the_storage() -> None:
    assert "untyped_storage" in NOTEBOOK.sources["memory-forward-code"]
    lines = [line.split() for line in NOTEBOOK.printed("memory-forward-code").splitlines()]
    assert [(line[0], line[2], line[5]) for line in lines] == [("src", "16", "16"), ("pos_src", "16", "4")]


def test_both_budgets_add_up() -> None:
    assert "4,058,340 parameters, 3,622,604,800 FLOP" in NOTEBOOK.printed("budget-sum")
    assert [line.split(": ")[1].split()[0] for line in NOTEBOOK.printed("budget-image").splitlines()] == ["74%", "22%"]


def test_one_output_learns_a_vote() -> None:
    """Cross-entropy and dice the part, which two of three targets hold; the focal loss, which weighs, the sub-part."""
    found = re.findall(r"^(\S+)\b.*: the mask is (.*)$", NOTEBOOK.printed("why-toy"), re.MULTILINE)
    assert found == [("cross-entropy", "the part"), ("focal", "the sub-part"), ("dice", "the part")]


def test_clear_prompts_train_one_of_three() -> None:
    shared, clear = (
        list(map(int, found)) for found in re.findall(r"trained \[(\d+), (\d+), (\d+)\]", NOTEBOOK.printed("why-clear"))
    )
    assert min(shared) > 50
    assert sorted(clear) == [0, 0, 300]


def test_focal_of_the_mean_is_cross_entropy() -> None:
    shares = dict(re.findall(r"^  (.+?) +([\d.]+)%$", NOTEBOOK.printed("tune-pitfalls-code"), re.MULTILINE))
    assert shares["cross-entropy"] == shares["focal of the mean"] != shares["focal"]
    assert "predict_torch: False   through the decoder: True" in NOTEBOOK.printed("tune-pitfalls-code")


# --- SAM 2 ---


def changes_of_sam2() -> type[MaskDecoder]:
    """The class of the notebook's cell."""
    names: dict[str, Any] = {"sam_edu": sam_edu, "torch": torch}
    exec(NOTEBOOK.sources["sam2-code"], names)
    return names["WithChangesOfSam2"]


def port_of_sam2() -> Any:
    """SAM 2's decoder in `transformers`, with random weights in every parameter, and Meta's eps in its blocks."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        port = Sam2MaskDecoder(Sam2MaskDecoderConfig()).eval().requires_grad_(False)
        for parameter in port.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    for name, child in port.named_modules():
        if isinstance(child, nn.LayerNorm) and name.startswith("transformer"):
            child.eps = 1e-5
    return port


def _metas_name(name: str) -> str:
    """What the port of SAM 2 calls otherwise than the port of SAM."""
    score = "pred_obj_score_head"  # an MLP that SAM does not have
    pairs = {"o_proj": "out_proj", "mlp.proj_in": "mlp.lin1", "mlp.proj_out": "mlp.lin2"}
    pairs |= {f"{score}.layers.0": f"{score}.layers.1", f"{score}.proj_in": f"{score}.layers.0"}
    for theirs, metas in {**pairs, f"{score}.proj_out": f"{score}.layers.2"}.items():
        name = name.replace(theirs, metas)
    return name


def with_weights_of(port: Any) -> MaskDecoder:
    """The notebook's class with all four changes on, and the port's weights, by Meta's names."""
    changed = changes_of_sam2()(transformer_dim=256, transformer=build_mask_decoder().transformer).requires_grad_(False)
    changed.obj_score_token, changed.pred_obj_score_head = nn.Embedding(1, 256), MLP(256, 256, 1, 3)
    state = {f"mask_decoder.{_metas_name(name)}": value for name, value in port.state_dict().items()}
    named = {name.removeprefix("mask_decoder."): value for name, value in to_metas_names(state).items()}
    wanted = changed.state_dict()
    changed.load_state_dict({name: named[name] for name in wanted}, strict=True)
    # The two convolutions of the skips stand outside the decoder's forward.
    assert {name.partition(".")[0] for name in named if name not in wanted} == {"conv_s0", "conv_s1"}
    changed.object_score = changed.skips = changed.sigmoid = changed.dynamic = True  # type: ignore[assignment]
    return changed


@pytest.mark.parametrize("multimask_output", [True, False])
@pytest.mark.parametrize("stable", [True, False])
def test_all_four_changes_are_sam_2s(multimask_output: bool, stable: bool) -> None:
    """Masks, predicted IoU and object score of three prompt sets, on a grid that is not square."""
    port = port_of_sam2()
    if stable:  # large logits: the threshold moves no pixel
        port.output_hypernetworks_mlps[0].proj_out.weight *= 1e4
        port.output_hypernetworks_mlps[0].proj_out.bias *= 1e4
    changed = with_weights_of(port)
    generator = torch.Generator().manual_seed(1)
    image, pe, dense = (torch.randn(1, 256, 6, 8, generator=generator) for _ in range(3))
    sparse = torch.randn(3, 2, 256, generator=generator)
    finer, finest = (torch.randn(1, c, h, w, generator=generator) for c, h, w in ((64, 12, 16), (32, 24, 32)))
    theirs = port(image, pe, sparse[None], dense, multimask_output, [finest, finer])
    changed.high_resolution = [finer, finest]  # type: ignore[assignment]
    ours = changed(image, pe, sparse, dense.expand(3, -1, -1, -1), multimask_output)
    assert not isinstance(changed.object_logit, nn.Module)
    for a, b in ((ours[0], theirs[0][0]), (ours[1], theirs[1][0]), (changed.object_logit, theirs[3][0])):
        assert a.shape == b.shape
        assert (a - b).abs().max() <= 2e-6 * max(1.0, float(b.abs().max()))
    if not multimask_output:
        plain, _ = changed.predict_masks(image, pe, sparse, dense.expand(3, -1, -1, -1))
        assert torch.equal(plain[:, :1], ours[0]) == stable  # both branches of the choice are reached


def test_off_it_is_sams_decoder() -> None:
    assert "All keys matched" in NOTEBOOK.printed("sam2-off")
    assert "assert_close(a, b)" in NOTEBOOK.sources["sam2-off"]


def test_a_sample_of_the_statistics_is_recomputed() -> None:
    assert "ablation.recompute_prompts(" in NOTEBOOK.sources["head-sample"]
    assert NOTEBOOK.printed("head-sample").count("computed now: as stored") == 3


def test_a_message_names_what_is_wrong_with_a_file() -> None:
    messages = NOTEBOOK.printed("load-errors-code").strip().split("\n\n")
    expected = ("Meta publishes", "there is no file", "is a web page", "does not fit the model vit_b")
    assert len(messages) == len(expected)
    assert all(part in message for part, message in zip(expected, messages, strict=True))


def test_no_prose_states_a_number_of_the_trained_model() -> None:
    prose = NOTEBOOK.prose(NOTEBOOK.between("trained", "load"))
    assert not re.search(r"\d\.\d\d|\d+ ?%", prose)
