"""Notebook 08: what its prose builds on stands in its outputs (the form of all notebooks: `test_form.py`)."""

import re
from typing import Any

import pytest
import torch
from notebook_cells import FOLDER, Notebook
from torch import nn
from transformers.models.sam2.configuration_sam2 import Sam2MaskDecoderConfig
from transformers.models.sam2.modeling_sam2 import Sam2MaskDecoder

from sam_edu.official import tolerance
from sam_edu.sam import build_mask_decoder

NOTEBOOK = Notebook("08_mask_decoder")
CLASSES = ("r3-code", "r4-code", "r5-code", "r7-code")


def test_the_ladder_computes_with_torch_alone() -> None:
    names = list(NOTEBOOK.code)
    for name in names[names.index("r1") : names.index("same-load")]:
        assert not re.search(r"sam_edu|official\.|ablation\.|MultiheadAttention|model\b", NOTEBOOK.sources[name]), name


def test_the_whole_decoder_has_fewer_than_sixty_lines() -> None:
    lines = int(NOTEBOOK.printed("r9-code").split()[0])
    assert lines < 60
    readme = (FOLDER.parent / "README.md").read_text(encoding="utf-8")
    for text in (NOTEBOOK.sources["title"], NOTEBOOK.sources["same-picture"], readme):
        assert f"{lines} lines" in text
    classes = [name for name, source in NOTEBOOK.code.items() if re.search(r"^class ", source, re.MULTILINE)]
    assert classes == [*CLASSES, "sam2-class"]
    written = [line for name in CLASSES for line in NOTEBOOK.sources[name].splitlines() if line.strip()]
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
    assert "untyped_storage" in NOTEBOOK.sources["memory-storage"]
    assert re.search(r"64 prompt sets:.* stores 4 MiB .* stores 256 MiB", NOTEBOOK.printed("memory-storage"))
    lines = [line.split() for line in NOTEBOOK.printed("memory-forward-code").splitlines()]
    assert [(line[0], line[2], line[5]) for line in lines] == [("src", "16", "16"), ("pos_src", "16", "4")]


def test_both_budgets_add_up() -> None:
    assert "4,058,340 parameters, 3,622,604,800 FLOP" in NOTEBOOK.printed("budget-sum")
    assert [line.split(": ")[1].split()[0] for line in NOTEBOOK.printed("budget-image").splitlines()] == ["74%", "22%"]


def test_one_output_draws_one_of_the_levels() -> None:
    drawn = dict(
        re.findall(r"^equal .* ([a-z-]+(?:, 0.25)?) +p .* -> the ([a-z-]+)$", NOTEBOOK.printed("vote-code"), re.M)
    )
    assert drawn == {"cross-entropy": "part", "focal, 0.25": "sub-part"}
    for line, least in zip(NOTEBOOK.printed("vote-dice").splitlines(), ("part", "sub-part", "object"), strict=True):
        losses = {name: float(loss) for name, loss in re.findall(r"'the ([a-z-]+)': ([\d.]+)", line)}
        assert min(losses, key=lambda name: losses[name]) == least


def test_masks_are_renumbered_by_all_three_and_not_by_the_tokens_alone() -> None:
    assert [line.split()[-1] for line in NOTEBOOK.printed("order-code").splitlines()] == ["yes", "no"]


def test_focal_loss_of_the_mean_is_cross_entropy() -> None:
    entropy, of_mean, focal = re.findall(r"right +([\d.]+)%; .* ([\d.]+)$", NOTEBOOK.printed("pit-focal"), re.MULTILINE)
    assert entropy == of_mean
    assert of_mean[1] == "1.00"
    assert float(focal[0]) < float(entropy[0]) / 2
    assert float(focal[1]) < 0.9


def test_the_convenient_ways_give_no_gradient() -> None:
    *begins, last = NOTEBOOK.printed("pit-grad").splitlines()
    assert [line.split()[-1] for line in begins] == ["@torch.no_grad()"] * 2
    assert re.findall("True|False", last) == ["False", "True"]


# --- SAM 2's decoder ---


def sam2_names() -> dict[str, Any]:
    """What the cells of the ladder's classes and of SAM 2's decoder define."""
    names: dict[str, Any] = {"torch": torch, "nn": nn}
    for cell in (*CLASSES, "sam2-class", "sam2-forward"):
        exec(NOTEBOOK.sources[cell], names)
    return names


def as_the_port_names(name: str) -> str:
    """Meta's name of a parameter in the port."""
    name = re.sub(r"\.out_proj\.", ".o_proj.", name)
    name = re.sub(r"\.norm(\d)\.", r".layer_norm\1.", name).replace("norm_final_attn", "layer_norm_final_attn")
    name = name.replace("mlp.lin1", "mlp.proj_in").replace("mlp.lin2", "mlp.proj_out")
    for number, part in ((0, "conv1"), (1, "layer_norm"), (3, "conv2")):
        name = name.replace(f"output_upscaling.{number}.", f"upscale_{part}.")
    if not name.startswith("transformer"):
        for number, part in ((0, "proj_in"), (1, "layers.0"), (2, "proj_out")):
            name = re.sub(rf"(head|mlps\.\d)\.layers\.{number}\.", rf"\1.{part}.", name)
    return name


@pytest.fixture(scope="module")
def both_decoders() -> tuple[Any, Sam2MaskDecoder]:
    """The cells' decoder with all four changes, and the port with the same random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = Sam2MaskDecoderConfig()
        config._attn_implementation = "eager"
        port = Sam2MaskDecoder(config).eval().requires_grad_(False)
        for parameter in port.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    decoder = sam2_names()["Decoder2"](score=True, skips=True, fallback=True, sigmoid=True).eval().requires_grad_(False)
    theirs, expected = port.state_dict(), decoder.state_dict()
    names = {name: as_the_port_names(name) for name in expected}
    assert set(names.values()) == set(theirs)
    decoder.load_state_dict({name: theirs[other] for name, other in names.items()})
    return decoder, port


def check_like_the_port(decoder: Any, port: Sam2MaskDecoder, multimask_output: bool) -> torch.Tensor:
    """Three prompt sets on one image. Returns masks."""
    generator = torch.Generator().manual_seed(1)
    shapes = ((1, 256, 3, 5), (1, 256, 3, 5), (3, 2, 256), (1, 256, 3, 5), (1, 256, 12, 20), (1, 256, 6, 10))
    image, image_pe, sparse, dense, s0, s1 = (torch.randn(shape, generator=generator) for shape in shapes)
    masks, iou, score = decoder(image, image_pe, sparse, dense, multimask_output, (s0, s1))
    reduced = [port.conv_s0(s0), port.conv_s1(s1)]
    theirs = port(image, image_pe, sparse[None], dense, multimask_output, reduced)
    for ours, other in zip((masks, iou, score), (theirs[0][0], theirs[1][0], theirs[3][0]), strict=True):
        assert ours.shape == other.shape
        assert (ours - other).abs().max() <= tolerance(other)
    return masks


@pytest.mark.parametrize("multimask_output", [True, False])
def test_sam2s_decoder_is_that_of_the_port(both_decoders: tuple[Any, Sam2MaskDecoder], multimask_output: bool) -> None:
    masks = check_like_the_port(*both_decoders, multimask_output)
    assert masks.shape == (3, 3 if multimask_output else 1, 12, 20)


@pytest.mark.parametrize(("factor", "falls_back"), [(1e4, False), (1e-4, True), (0.0, True)])
def test_sam2s_fallback_is_that_of_the_port(
    both_decoders: tuple[Any, Sam2MaskDecoder], factor: float, falls_back: bool
) -> None:
    decoder, port = both_decoders
    last, theirs = decoder.output_hypernetworks_mlps[0].layers[2], port.output_hypernetworks_mlps[0].proj_out
    before = [x.clone() for x in (last.weight, last.bias)]
    try:
        for layer in (last, theirs):  # mask 0 with logits that are large, faint, or all zero
            layer.weight *= factor
            layer.bias *= factor
        masks = check_like_the_port(decoder, port, False)
        decoder.fallback = False
        port.dynamic_multimask_via_stability = False
        single = check_like_the_port(decoder, port, False)
    finally:
        decoder.fallback = port.dynamic_multimask_via_stability = True
        for layer in (last, theirs):
            layer.weight.copy_(before[0])
            layer.bias.copy_(before[1])
    assert torch.equal(masks, single) != falls_back


def test_an_empty_mask_counts_as_stable() -> None:
    masks, iou = torch.ones(2, 4, 3, 5), torch.tensor([[0.1, 0.2, 0.9, 0.3], [0.1, 0.8, 0.2, 0.3]])
    masks *= torch.tensor([0.0, 1, 2, 3])[:, None, None]
    masks[0, 0] = -1.0  # no logit is above -0.05; in the second prompt set all are, and none above +0.05
    single, predicted = sam2_names()["stable_or_best"](masks, iou)
    assert torch.equal(single[:, 0], torch.stack([masks[0, 0], masks[1, 1]]))
    assert torch.equal(predicted[:, 0], torch.tensor([0.1, 0.8]))


def test_each_change_of_sam2_acts_where_it_should() -> None:
    rows = re.findall(
        r"^(\w+) +([\d,]+) parameters; masks 1 to 3: (\w+) *; their predictions: (\w+) *; the single mask: (\w+)",
        NOTEBOOK.printed("sam2-each"),
        re.MULTILINE,
    )
    assert rows == [
        ("score", "132,097", "other", "other", "other"),
        ("skips", "24,672", "other", "same", "other"),
        ("fallback", "0", "same", "same", "same"),
        ("sigmoid", "0", "same", "other", "same"),
    ]
    assert "4,215,109" in NOTEBOOK.printed("sam2-all")
    as_it_is, faint = (line.split()[-1] for line in NOTEBOOK.printed("sam2-stable").splitlines())
    assert as_it_is == "0"
    assert faint != "0"


def test_clear_prompts_train_one_of_three() -> None:
    assert "three outputs: [0.1, 0.4, 0.9]" in NOTEBOOK.printed("why-toy")
    steps = re.search(r"\[(\d+), (\d+), (\d+)\]", NOTEBOOK.printed("why-clear"))
    assert steps
    assert sorted(map(int, steps.groups())) == [0, 0, 200]


def test_a_sample_of_the_statistics_is_recomputed() -> None:
    assert "ablation.recompute_prompts(" in NOTEBOOK.sources["head-sample"]
    assert NOTEBOOK.printed("head-sample").count("computed now: as stored") == 3


def test_the_head_cannot_change_a_mask() -> None:
    source = NOTEBOOK.sources["r6-code"]
    assert source.index("masks.append(") < source.index("head(hs[0])")


def test_a_message_names_what_is_wrong_with_a_file() -> None:
    messages = NOTEBOOK.printed("load-errors-code").strip().split("\n\n")
    expected = ("Meta publishes", "there is no file", "is a web page", "does not fit the model vit_b")
    assert len(messages) == len(expected)
    assert all(part in message for part, message in zip(expected, messages, strict=True))


def test_no_prose_states_a_number_of_the_trained_model() -> None:
    prose = NOTEBOOK.prose(NOTEBOOK.between("trained", "load"))
    assert not re.search(r"\d\.\d\d|\d+ ?%", prose)
