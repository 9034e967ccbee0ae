"""sam_edu.official: reaching Meta's package, converting, comparing, predicting."""

import math
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from parity import (
    TINY,
    assert_parity,
    assert_parity_points,
    assert_parity_state_dict,
    decoder_inputs,
    make_pair,
    perturb,
    randoms,
)
from PIL import Image
from torch import nn

from sam_edu import modules, official


def run_python(code, *path):
    """What a fresh interpreter prints; `path` comes first in its search path."""
    code = f"import sys; sys.path[:0] = {list(path)!r}\n{textwrap.dedent(code)}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


USE = """
    from sam_edu import modules, official
    official.to_official(modules.Attention(8, 2))
    encoder = official.build_image_encoder(img_size=32, embed_dim=8, depth=1, num_heads=2, out_chans=8)
    decoder = modules.MaskDecoder(transformer_dim=8, transformer=modules.TwoWayTransformer(1, 8, 2, 8))
    official.sam_predictor(encoder, modules.PromptEncoder(8, (2, 2), (32, 32), 4), decoder)
"""
IMPORT = """
    try:
        import segment_anything
        print("imported", sorted(name for name in vars(segment_anything) if not name.startswith("_")))
    except Exception as error:
        print(type(error).__name__, error)
"""


# --- Reaching the package ---


def test_real_import_stays_what_it_was():
    """Here with torchvision, or without it: in either case as if official had never been used."""
    before, used, after = run_python(
        f"""
        import subprocess
        clean = {textwrap.dedent(IMPORT)!r}
        print(subprocess.run([sys.executable, "-c", clean], capture_output=True, text=True).stdout.strip())
        """
        + textwrap.indent(textwrap.dedent(USE), " " * 8)
        + """
        print([name for name in sys.modules if name.partition(".")[0] == "segment_anything"])
        """
        + textwrap.indent(textwrap.dedent(IMPORT), " " * 8)
    )
    assert used == "[]"
    assert after == before


TORCHVISION = {
    "__init__.py": "",
    "transforms/__init__.py": "",
    "transforms/functional.py": "def resize(image, size): ...\ndef to_pil_image(picture): ...\n",
    "ops/__init__.py": "",
    "ops/boxes.py": "def batched_nms(): ...\ndef box_area(): ...\n",
}


def write_torchvision(folder, files):
    for name, text in files.items():
        path = folder / "torchvision" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def test_real_import_works_afterwards_where_torchvision_is(tmp_path):
    write_torchvision(tmp_path, TORCHVISION)
    used, imported, separate, converted = run_python(
        textwrap.dedent(USE)
        + textwrap.dedent("""
        print([name for name in sys.modules if name.partition(".")[0] == "segment_anything"])
        import segment_anything, torchvision.transforms.functional as functional
        print(sorted(segment_anything.sam_model_registry))
        real = segment_anything.modeling.transformer.Attention
        print(real is not official.official_class("Attention"), functional.resize.__module__)
        print(type(official.from_official(real(8, 2))).__module__)
        """),
        str(tmp_path),
    )
    assert used == "[]"
    assert imported == "['default', 'vit_b', 'vit_h', 'vit_l']"
    assert separate == "True torchvision.transforms.functional"
    assert converted == "sam_edu.modules.attention"


@pytest.mark.parametrize(
    ("files", "transforms_from"),
    [
        (TORCHVISION, "torchvision.transforms.functional"),
        # Compiled operators that do not fit this torch show like this, after some parts were imported.
        (
            {**TORCHVISION, "__init__.py": "import torchvision.ops\nraise RuntimeError('no operator nms')"},
            "sam_edu.official",
        ),
        ({"__init__.py": "raise ImportError('not here')"}, "sam_edu.official"),
    ],
    ids=["whole", "broken", "absent"],
)
def test_predictor_takes_torchvision_only_where_it_works(tmp_path, files, transforms_from):
    write_torchvision(tmp_path, files)
    source, left = run_python(
        textwrap.dedent(USE)
        + textwrap.dedent("""
        transforms = sys.modules["_segment_anything_of_sam_edu.utils.transforms"]
        print(transforms.resize.__module__)
        print(any(name.partition(".")[0] == "torchvision" for name in sys.modules))
        """),
        str(tmp_path),
    )
    assert source == transforms_from
    assert left == str(transforms_from != "sam_edu.official")


def test_a_file_that_failed_to_load_is_not_left_half_loaded(monkeypatch):
    alias = "_segment_anything_of_sam_edu"
    sam = official.modeling().Sam(*small_parts())
    for name in [f"{alias}.utils.transforms", f"{alias}.predictor"]:
        monkeypatch.delitem(sys.modules, name, raising=False)
    with monkeypatch.context() as broken:
        broken.setattr(official, "_torchvision_functional", object)  # has neither of the two functions
        with pytest.raises(ImportError, match="resize"):
            official.sam_predictor(sam)
    assert f"{alias}.utils.transforms" not in sys.modules
    predictor = official.sam_predictor(sam)
    assert predictor.transform.apply_image(np.zeros((20, 30, 3), np.uint8)).shape == (21, 32, 3)
    # What was loaded once is what is found.
    assert type(official.sam_predictor(sam)) is type(predictor)


def test_a_package_without_the_file_is_told():
    official.modeling()  # which makes the package that the file is looked for in
    with pytest.raises(official.OfficialPackageMissingError, match=r"no file for .*\.none; version 1\.0 does"):
        official._load_with("none", {})


def test_package_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "segment_anything", None)  # as if there were none
    for name in [name for name in sys.modules if name.startswith("_segment_anything_of_sam_edu")]:
        monkeypatch.delitem(sys.modules, name)
    for call in (official.package_folder, official.modeling, official.build_image_encoder):
        with pytest.raises(official.OfficialPackageMissingError, match="pip install segment-anything"):
            call()
    assert issubclass(official.OfficialPackageMissingError, ImportError)


def test_package_folder_is_found_without_importing():
    assert (official.package_folder() / "modeling" / "mask_decoder.py").is_file()
    assert official.modeling() is official.modeling()
    assert official.official_class("MaskDecoder") is official.modeling().MaskDecoder
    with pytest.raises(ValueError, match="expected one of MLP, "):
        official.official_class("Decoder")


# --- Converting ---

CONFIGURATIONS = {
    "MLP": {"input_dim": 3, "hidden_dim": 5, "output_dim": 2, "num_layers": 3, "sigmoid_output": True},
    "MLPBlock": {"embedding_dim": 4, "mlp_dim": 7, "act": nn.SiLU},
    "LayerNorm2d": {"num_channels": 5, "eps": 1e-3},
    "Attention": {"embedding_dim": 9, "num_heads": 2, "downsample_rate": 2},
    "TwoWayAttentionBlock": {
        "embedding_dim": 12,
        "num_heads": 2,
        "mlp_dim": 5,
        "activation": nn.GELU,
        "attention_downsample_rate": 3,
        "skip_first_layer_pe": True,
    },
    "TwoWayTransformer": {"depth": 3, "embedding_dim": 8, "num_heads": 2, "mlp_dim": 5, "activation": nn.GELU},
    "MaskDecoder": {**TINY, "num_multimask_outputs": 2, "activation": nn.ReLU, "iou_head_depth": 2},
    "PositionEmbeddingRandom": {"num_pos_feats": 3, "scale": 2.0},
    "PromptEncoder": {
        "embed_dim": 8,
        "image_embedding_size": (2, 3),
        "input_image_size": (20, 30),
        "mask_in_chans": 12,
        "activation": nn.ReLU,
    },
}


def structure(module):
    """Everything that a constructor decides: the parts, their kinds and settings."""
    return [
        (path, type(part).__name__, part.extra_repr(), getattr(part, "eps", None), getattr(part, "num_heads", None))
        for path, part in module.named_modules()
        if not isinstance(part, modules.Point)
    ]


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_there_and_back(name):
    ours, theirs = make_pair(name, 1, torch.float64, **CONFIGURATIONS[name])
    ours.requires_grad_(False).eval()
    there = official.to_official(ours)
    back = official.from_official(there)
    assert type(there) is official.official_class(name)
    assert type(back) is type(ours)
    assert structure(there) == structure(theirs)
    assert structure(back) == structure(ours)
    for made in (there, back):
        assert_parity_state_dict(made, theirs)
        assert not made.training
        assert not any(p.requires_grad for p in made.parameters())
        for key, value in made.state_dict().items():
            assert torch.equal(value, ours.state_dict()[key])
            assert value.data_ptr() != ours.state_dict()[key].data_ptr()


def test_converted_decoder_is_the_same_decoder():
    ours, _ = make_pair("MaskDecoder", **CONFIGURATIONS["MaskDecoder"])
    assert_parity(ours, official.to_official(ours), decoder_inputs())


def test_converting_draws_no_random_numbers():
    ours = modules.Attention(4, 2)
    state = torch.get_rng_state()
    official.from_official(official.to_official(ours))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_converted_modules_stay_on_their_device(name):
    """PyTorch's meta device stands for any other."""
    ours, _ = make_pair(name, **CONFIGURATIONS[name])
    there = official.to_official(ours.to("meta"))
    for made in (there, official.from_official(there)):
        state = made.state_dict()
        assert state
        assert all(value.is_meta for value in state.values())


def test_what_cannot_be_converted():
    with pytest.raises(TypeError, match="cannot convert a Linear"):
        official.to_official(nn.Linear(2, 2))
    with pytest.raises(TypeError, match="cannot convert a Identity"):
        official.to_official(modules.MaskDecoder(transformer_dim=8, transformer=nn.Identity()))


# --- Comparing ---

# One weight of Meta's side, and the first of the named tensors that it changes.
BREAKS = {
    "iou_token.weight": "tokens",
    "mask_tokens.weight": "tokens",
    "transformer.layers.0.self_attn.q_proj.weight": "transformer.layers.0.self_attn.q",
    "transformer.layers.0.self_attn.k_proj.bias": "transformer.layers.0.self_attn.k",
    "transformer.layers.0.self_attn.v_proj.weight": "transformer.layers.0.self_attn.v",
    "transformer.layers.0.self_attn.out_proj.bias": "transformer.layers.0.self_attn.out",
    "transformer.layers.0.norm1.weight": "transformer.layers.0.queries_1",
    "transformer.layers.0.cross_attn_token_to_image.k_proj.weight": (
        "transformer.layers.0.cross_attn_token_to_image.k"
    ),
    "transformer.layers.0.norm2.bias": "transformer.layers.0.queries_2",
    "transformer.layers.0.mlp.lin1.weight": "transformer.layers.0.mlp.hidden",
    "transformer.layers.0.mlp.lin2.weight": "transformer.layers.0.queries_3",
    "transformer.layers.0.norm3.weight": "transformer.layers.0.queries_3",
    "transformer.layers.0.cross_attn_image_to_token.out_proj.weight": (
        "transformer.layers.0.cross_attn_image_to_token.out"
    ),
    "transformer.layers.0.norm4.weight": "transformer.layers.0.keys_4",
    "transformer.layers.1.self_attn.q_proj.bias": "transformer.layers.1.self_attn.q",
    "transformer.final_attn_token_to_image.v_proj.weight": "transformer.final_attn_token_to_image.v",
    "transformer.norm_final_attn.bias": "hs",
    "output_upscaling.0.weight": "output_upscaling.doubled_once",
    "output_upscaling.1.bias": "output_upscaling.normed",
    "output_upscaling.3.bias": "output_upscaling.doubled_twice",
    "output_hypernetworks_mlps.2.layers.2.bias": "hyper_in",
    "iou_prediction_head.layers.0.weight": "iou_pred",
}


@pytest.mark.parametrize("key", BREAKS)
def test_first_divergence_is_where_a_weight_was_broken(key):
    ours, theirs = make_pair("MaskDecoder", **TINY)
    before = assert_parity_points(ours, theirs, decoder_inputs())
    assert before.first_divergence is None
    with torch.no_grad():
        theirs.get_parameter(key).view(-1)[0] += 0.5
    after = official.compare(ours, theirs, decoder_inputs())
    assert after.first_divergence == BREAKS[key]
    assert after.max_difference > 1e-3
    names = [row.name for row in after]
    assert all(row.within for row in after.rows[: names.index(BREAKS[key])])
    assert f"First to differ: {BREAKS[key]}" in str(after)
    with pytest.raises(AssertionError, match=f"first to differ: {BREAKS[key]}"):
        assert_parity_points(ours, theirs, decoder_inputs())


def test_first_divergence_where_only_the_code_differs():
    ours, theirs = make_pair("MaskDecoder", **TINY)
    theirs.transformer.layers[0].skip_first_layer_pe = False
    assert official.compare(ours, theirs, decoder_inputs()).first_divergence == "transformer.layers.0.self_attn.q"


def test_rows_are_all_points_in_the_order_of_computation():
    ours, theirs = make_pair("MaskDecoder", **TINY)
    comparison = assert_parity_points(ours, theirs, decoder_inputs())
    names = [row.name for row in comparison]
    points = {name for name, module in ours.named_modules() if isinstance(module, modules.Point)}
    assert set(names) == points | {"output[0]", "output[1]"}
    assert len(names) == len(set(names)) == len(comparison) == 74
    order = [
        "tokens",
        "transformer.layers.0.self_attn.scores",
        "transformer.layers.0.self_attn.weights",
        "transformer.layers.1.keys_4",
        "hs",
        "output_upscaling.normed",
        "hyper_in",
        "masks",
        "iou_pred",
        "output[0]",
    ]
    assert [name for name in names if name in order] == order
    # Meta repeats the grid's code for each prompt set; ours is broadcast.
    assert comparison["pos_src"].shape == (1, 16, 3, 4)
    assert comparison["pos_src"].reference_shape == (2, 16, 3, 4)
    with pytest.raises(KeyError, match="no row 'weights'"):
        comparison["weights"]


def test_smaller_modules():
    random = randoms(0)
    cases = {
        "Attention": {"q": random(2, 3, 9), "k": random(2, 4, 9), "v": random(2, 4, 9)},
        "MLPBlock": {"x": random(2, 3, 4)},
        "MLP": {"x": random(2, 3)},
        "LayerNorm2d": {"x": random(2, 5, 3, 3)},
        "PositionEmbeddingRandom": {"size": (2, 3)},
        "PromptEncoder": {"points": (random(2, 3, 2), torch.ones(2, 3)), "boxes": None, "masks": None},
    }
    sizes = {"Attention": 8, "MLPBlock": 2, "MLP": 1, "LayerNorm2d": 1, "PositionEmbeddingRandom": 1}
    for name, inputs in cases.items():
        comparison = assert_parity_points(*make_pair(name, **CONFIGURATIONS[name]), inputs)
        assert len(comparison) == sizes.get(name, 4)


def test_no_hook_is_left_also_after_an_error():
    ours, theirs = make_pair("MaskDecoder", **TINY)
    official.compare(ours, theirs, decoder_inputs())
    with pytest.raises((ValueError, RuntimeError, TypeError)):
        official.compare(ours, theirs, {**decoder_inputs(), "sparse_prompt_embeddings": torch.zeros(2, 3, 5)})
    theirs_alone = {**decoder_inputs(images=2), "multimask_output": True}  # fails in Meta's, not in ours
    with pytest.raises(RuntimeError):
        official.compare(ours, theirs, theirs_alone)
    for module in (*ours.modules(), *theirs.modules()):
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
        assert "predict_masks" not in vars(module)
    assert not torch.overrides._get_current_function_mode_stack()


def test_other_shapes_are_a_divergence():
    ours, _ = make_pair("MaskDecoder", **TINY)
    _, theirs = make_pair("MaskDecoder", **{**TINY, "num_multimask_outputs": 2})
    comparison = official.compare(ours, theirs, decoder_inputs())
    assert comparison.first_divergence == "tokens"
    assert comparison["tokens"].max_difference == math.inf


class Given(nn.Module):
    """Returns the tensor that it was made with."""

    def __init__(self, output):
        super().__init__()
        self.output = output

    def forward(self):
        return self.output


@pytest.mark.parametrize(
    ("ours", "theirs", "fits"),
    [((2, 3), (2, 3), True), ((1, 3), (2, 3), False), ((2, 3), (1, 3), False), ((2, 1), (2, 3), False)],
)
def test_what_is_returned_is_not_broadcast(ours, theirs, fits):
    comparison = official.compare(Given(torch.ones(ours)), Given(torch.ones(theirs)), {})
    assert [row.name for row in comparison] == ["output"]
    assert comparison["output"].within == fits
    assert comparison.max_difference == (0.0 if fits else math.inf)


@pytest.mark.parametrize(
    ("ours", "theirs", "fits"),
    [
        ((1, 3), (4, 3), True),
        ((4, 3), (1, 3), True),
        ((2, 3), (4, 3), False),
        ((1, 1), (4, 3), False),
        ((1, 3), (4, 1), False),
    ],
)
def test_a_named_tensor_of_batch_1_stands_for_any_number(ours, theirs, fits):
    row = official._row("x", torch.ones(ours), torch.ones(theirs), broadcast=True)
    assert (row.shape, row.reference_shape, row.within) == (ours, theirs, fits)


def test_tensors_that_require_grad_are_compared():
    ours, theirs = make_pair("MLP", **CONFIGURATIONS["MLP"])
    x = torch.ones(2, 3, requires_grad=True)
    assert official.compare(ours, theirs, {"x": x}).first_divergence is None
    assert official.tolerance(2 * x) == 4e-6
    assert official._row("x", 2 * x, 2 * x, broadcast=False).max_difference == 0
    assert x.grad is None


def test_a_tensor_without_counterpart():
    class Extended(modules.MLPBlock):
        def __init__(self, *args):
            super().__init__(*args)
            self.own = modules.Point("batch tokens dim")

        def forward(self, x):
            return self.own(super().forward(x))

    ours = Extended(4, 8)
    comparison = official.compare(ours, official.to_official(ours), {"x": torch.ones(2, 4)})
    assert comparison.missing == ("own",)
    assert comparison.first_divergence is None
    assert "no reference" in str(comparison)
    assert "2 tensors compared" in str(comparison)


def test_nan_never_is_the_same():
    ours, theirs = make_pair("MLP", **CONFIGURATIONS["MLP"])
    comparison = official.compare(ours, theirs, {"x": torch.full((1, 3), math.nan)})
    assert comparison.first_divergence == "output"
    assert math.isnan(comparison.max_difference)


def test_tolerance():
    assert official.tolerance(torch.tensor([0.5])) == 2e-6
    assert official.tolerance(torch.tensor([-3.0])) == 6e-6
    assert official.tolerance(torch.tensor([10.0], dtype=torch.float64)) == 1e-11
    assert official.tolerance(torch.tensor([math.inf])) == 0
    assert official.tolerance(torch.tensor([True])) == 0
    assert official.tolerance(torch.zeros(0)) == 2e-6


def test_table_as_text_and_html():
    ours, theirs = make_pair("Attention", **CONFIGURATIONS["Attention"])
    inputs = {key: randoms(0)(1, 3, 9) for key in "qkv"}
    same = official.compare(ours, theirs, inputs)
    lines = str(same).splitlines()
    assert repr(same) == str(same)
    assert len(lines) == len(same) + 3
    assert lines[0].split()[:3] == ["tensor", "sam_edu", "Meta"]
    assert lines[2].split()[:3] == ["q", "1x2x3x2", "1x2x3x2"]
    assert lines[-1].endswith("all within tolerance.")
    with torch.no_grad():
        theirs.v_proj.bias += 1
    page = official.compare(ours, theirs, inputs)._repr_html_()
    assert page.count("<tr") == len(same) + 1
    assert page.count("font-weight: bold") == 1
    assert "First to differ: v" in page
    assert "http" not in page


# --- Predicting ---


@pytest.mark.parametrize(
    ("name", "parameters"), [("vit_b", 93_735_472), ("vit_l", 312_342_832), ("vit_h", 641_090_608)]
)
def test_image_encoders_have_their_official_size(name, parameters):
    with torch.device("meta"):
        encoder = official.build_image_encoder(name)
    assert encoder.img_size == 1024
    # The whole model's parameters less the decoder's and the prompt encoder's.
    assert sum(p.numel() for p in encoder.parameters()) == parameters - 4_058_340 - 6_220


def test_image_encoder_of_another_size():
    encoder = official.build_image_encoder(img_size=32, embed_dim=8, depth=1, num_heads=2, out_chans=16)
    assert encoder(torch.zeros(1, 3, 32, 32)).shape == (1, 16, 2, 2)
    assert encoder.blocks[0].norm1.eps == 1e-6
    with pytest.raises(ValueError, match="expected one of vit_b, vit_l, vit_h, got 'vit_x'"):
        official.build_image_encoder("vit_x")


def small_parts():
    encoder = official.build_image_encoder(img_size=32, embed_dim=8, depth=1, num_heads=2, out_chans=16)
    prompts = {"embed_dim": 16, "image_embedding_size": (2, 2), "input_image_size": (32, 32), "mask_in_chans": 4}
    return perturb(encoder, 0), modules.PromptEncoder(**prompts), make_pair("MaskDecoder", **TINY)[0]


def test_sam_predictor_from_parts_or_whole():
    parts = small_parts()
    picture = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    predictors = [official.sam_predictor(*parts), official.sam_predictor(official.modeling().Sam(*parts))]
    results = []
    for predictor in predictors:
        assert not predictor.model.training
        predictor.set_image(picture)
        results.append(predictor.predict(np.array([[3, 4]]), np.array([1]), return_logits=True))
    for a, b in zip(*results, strict=True):
        assert np.array_equal(a, b)
    other = official.sam_predictor(*parts, pixel_mean=[0.0, 0.0, 0.0], pixel_std=[1.0, 1.0, 1.0])
    assert other.model.pixel_mean.abs().sum() == 0


def test_sam_predictor_from_something_else():
    encoder, prompt_encoder, decoder = small_parts()
    with pytest.raises(TypeError, match="expected a whole Sam, or"):
        official.sam_predictor(encoder, prompt_encoder)
    with pytest.raises(TypeError, match="expected Meta's Sam alone, or"):
        official.sam_predictor(encoder)
    sam = official.modeling().Sam(encoder, prompt_encoder, decoder)
    with pytest.raises(TypeError, match="expected Meta's Sam alone, or"):
        official.sam_predictor(sam, pixel_mean=[0.0, 0.0, 0.0])


@pytest.mark.parametrize("size", [(32, 20), (7, 32), (24, 24), (40, 48)])
def test_stand_in_for_torchvision_resizes_as_pillow_does(size):
    picture = np.random.default_rng(1).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    stand_in = official._PillowFunctional
    got = np.array(stand_in.resize(stand_in.to_pil_image(picture), size))
    assert got.shape == (*size, 3)
    assert np.array_equal(got, np.array(Image.fromarray(picture).resize(size[::-1], Image.Resampling.BILINEAR)))
    # torch's own, with the same antialiasing, differs by the rounding to bytes alone: once per axis.
    reference = nn.functional.interpolate(
        torch.as_tensor(picture).permute(2, 0, 1)[None].double(), size, mode="bilinear", antialias=True
    )
    assert (reference[0].permute(1, 2, 0) - torch.as_tensor(got)).abs().max() <= 1.5
