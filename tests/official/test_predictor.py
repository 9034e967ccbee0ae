"""Our decoder and prompt encoder in Meta's own Sam, under Meta's own SamPredictor, with nothing else changed."""

import sys
import textwrap

import numpy as np
import pytest
import torch
from official_cases import TORCHVISION, USE, run_python, small_parts, write_torchvision
from parity import TINY, assert_close, assert_parity_trace_points, make_pair, perturb, randoms
from PIL import Image
from torch import nn

from sam_edu import official
from sam_edu.official import predictor as official_predictor

PROMPT_ENCODER = {"embed_dim": 16, "image_embedding_size": (4, 4), "input_image_size": (64, 64), "mask_in_chans": 8}


def build_sams():
    """Two of Meta's Sam around one small image encoder of Meta's: with our two modules, and with Meta's."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        image_encoder = official.build_image_encoder(
            "vit_b",
            img_size=64,
            embed_dim=16,
            depth=2,
            num_heads=2,
            window_size=3,
            global_attn_indexes=(1,),
            out_chans=16,
        )
    perturb(image_encoder, 0)
    decoders = make_pair("MaskDecoder", 1, **TINY)
    for decoder in decoders:
        # So that the logits are large, and of both signs.
        decoder.load_state_dict({key: 2 * value for key, value in decoder.state_dict().items()})
    prompt_encoders = make_pair("PromptEncoder", 2, **PROMPT_ENCODER)
    sam = official.modeling().Sam
    return [sam(image_encoder, *parts).eval() for parts in zip(prompt_encoders, decoders, strict=True)]


def make_image(height, width):
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)


def assert_parity_predictions(ours, theirs, **prompts):
    """The same logits and scores within the tolerance, hence the same masks off the threshold."""
    logits, iou, low_res = map(torch.as_tensor, ours.predict(**prompts, return_logits=True))
    expected_logits, expected_iou, expected_low_res = map(
        torch.as_tensor, theirs.predict(**prompts, return_logits=True)
    )
    assert_close("logits", logits, expected_logits)
    assert_close("IoU predictions", iou, expected_iou)
    assert_close("low-resolution logits", low_res, expected_low_res)
    masks, expected_masks = (torch.as_tensor(p.predict(**prompts)[0]) for p in (ours, theirs))
    assert masks.dtype == expected_masks.dtype == torch.bool
    clear = expected_logits.abs() > 1e-4
    assert clear.float().mean() > 0.99
    assert torch.equal(masks[clear], expected_masks[clear])
    return masks


CLICKS = {"point_coords": np.array([[10.0, 20.0], [30.0, 5.0]]), "point_labels": np.array([1, 0])}
BOX = {"box": np.array([5, 6, 30, 25])}
PROMPTS = {
    "a click": {"point_coords": np.array([[10, 20]]), "point_labels": np.array([1])},
    "clicks": CLICKS,
    "box": BOX,
    "box with clicks": {**BOX, **CLICKS},
    "mask": {"mask_input": 5 * randoms(0)(1, 16, 16).numpy()},
    "mask with clicks": {"mask_input": 5 * randoms(0)(1, 16, 16).numpy(), **CLICKS},
    "nothing": {},
}


@pytest.mark.parametrize("multimask_output", [True, False])
@pytest.mark.parametrize("size", [(64, 64), (48, 64), (90, 41), (23, 37)])
@pytest.mark.parametrize("name", PROMPTS)
def test_predict(name, size, multimask_output):
    ours, theirs = map(official.sam_predictor, build_sams())
    for predictor in (ours, theirs):
        predictor.set_image(make_image(*size))
    masks = assert_parity_predictions(ours, theirs, **PROMPTS[name], multimask_output=multimask_output)
    assert masks.shape == (3 if multimask_output else 1, *size)
    assert 0 < masks.float().mean() < 1


def test_logits_as_the_mask_prompt_of_a_second_decode():
    ours, theirs = map(official.sam_predictor, build_sams())
    for predictor in (ours, theirs):
        predictor.set_image(make_image(40, 60))
    _, iou, low_res = theirs.predict(**PROMPTS["a click"])
    best = low_res[[int(iou.argmax())]]
    assert_parity_predictions(ours, theirs, **CLICKS, mask_input=best, multimask_output=False)


@pytest.mark.parametrize("multimask_output", [True, False])
def test_predict_torch_with_several_prompt_sets(multimask_output):
    ours, theirs = map(official.sam_predictor, build_sams())
    boxes = torch.tensor([[3, 4, 20, 30], [10, 11, 50, 40], [0, 0, 63, 47]])
    results = []
    for predictor in (ours, theirs):
        predictor.set_image(make_image(48, 64))
        boxes_in = predictor.transform.apply_boxes_torch(boxes, (48, 64))
        results.append(predictor.predict_torch(None, None, boxes_in, None, multimask_output, return_logits=True))
    for name, a, b in zip(("masks", "IoU predictions", "low-resolution logits"), *results, strict=True):
        assert_close(name, a, b)
        assert len(a) == 3


def test_forward_of_meta_sam():
    ours, theirs = build_sams()
    batched_input = [
        {
            "image": torch.as_tensor(make_image(48, 64)).permute(2, 0, 1),
            "original_size": (24, 32),
            "point_coords": torch.tensor([[[10.0, 20.0]], [[40.0, 20.0]]]),
            "point_labels": torch.tensor([[1], [0]]),
        },
        {
            "image": torch.as_tensor(make_image(64, 30)).permute(2, 0, 1),
            "original_size": (128, 60),
            "boxes": torch.tensor([[3.0, 4.0, 20.0, 30.0]]),
            "mask_inputs": randoms(0)(1, 1, 16, 16),
        },
    ]
    comparison = assert_parity_trace_points(ours, theirs, {"batched_input": batched_input, "multimask_output": True})
    assert comparison["output[0]['low_res_logits']"].shape == (2, 3, 16, 16)
    assert comparison["output[1]['masks']"].shape == (1, 3, 128, 60)


def test_state_dict_of_the_whole_model_is_meta_s():
    ours, theirs = build_sams()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict(), strict=True)
    theirs.load_state_dict(ours.state_dict(), strict=True)


# --- The image encoder, the parts of a predictor, and the replacement for torchvision ---


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


def test_sam_predictor_from_parts_or_whole():
    parts = small_parts()
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    predictors = [official.sam_predictor(*parts), official.sam_predictor(official.modeling().Sam(*parts))]
    results = []
    for predictor in predictors:
        assert not predictor.model.training
        predictor.set_image(image)
        results.append(predictor.predict(np.array([[3, 4]]), np.array([1]), return_logits=True))
    for a, b in zip(*results, strict=True):
        assert np.array_equal(a, b)
    other = official.sam_predictor(*parts, pixel_mean=[0.0, 0.0, 0.0], pixel_std=[1.0, 1.0, 1.0])
    assert other.model.pixel_mean.abs().sum() == 0


def test_sam_predictor_from_something_else():
    encoder, prompt_encoder, decoder = small_parts()
    with pytest.raises(TypeError, match="mask_decoder: expected both parts beside an image encoder"):
        official.sam_predictor(encoder, prompt_encoder)
    with pytest.raises(TypeError, match=r"sam: expected Meta's Sam, got .*; beside an image encoder give"):
        official.sam_predictor(encoder)
    sam = official.modeling().Sam(encoder, prompt_encoder, decoder)
    with pytest.raises(TypeError, match="pixel_mean: expected only beside an image encoder"):
        official.sam_predictor(sam, pixel_mean=[0.0, 0.0, 0.0])
    with pytest.raises(TypeError, match="prompt_encoder: expected that part of a Sam, got MaskDecoder"):
        official.sam_predictor(encoder, decoder, prompt_encoder)
    with pytest.raises(TypeError, match="mask_decoder: expected that part of a Sam, got PromptEncoder"):
        official.sam_predictor(encoder, prompt_encoder, prompt_encoder)
    with pytest.raises(TypeError, match="sam: expected an image encoder beside the two other parts, got Sam, a whole"):
        official.sam_predictor(sam, prompt_encoder, decoder)
    with pytest.raises(TypeError, match=r"sam: expected an image encoder with the attribute img_size.* got Conv2d"):
        official.sam_predictor(torch.nn.Conv2d(3, 16, 16), prompt_encoder, decoder)


@pytest.mark.parametrize("size", [(32, 20), (7, 32), (24, 24), (40, 48)])
def test_replacement_for_torchvision_resizes_as_pillow_does(size):
    image = np.random.default_rng(1).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    functions = official_predictor._PillowFunctional
    got = np.array(functions.resize(functions.to_pil_image(image), size))
    assert got.shape == (*size, 3)
    assert np.array_equal(got, np.array(Image.fromarray(image).resize(size[::-1], Image.Resampling.BILINEAR)))
    # torch's own, with the same antialiasing, differs by the rounding to bytes alone: once per axis.
    reference = nn.functional.interpolate(
        torch.as_tensor(image).permute(2, 0, 1)[None].double(), size, mode="bilinear", antialias=True
    )
    assert (reference[0].permute(1, 2, 0) - torch.as_tensor(got)).abs().max() <= 1.5


@pytest.mark.parametrize(
    ("files", "transforms_from"),
    [
        (TORCHVISION, "torchvision.transforms.functional"),
        # Compiled operators that do not fit this torch show like this, after some parts were imported.
        (
            {**TORCHVISION, "__init__.py": "import torchvision.ops\nraise RuntimeError('no operator nms')"},
            "sam_edu.official.predictor",
        ),
        ({"__init__.py": "raise ImportError('not here')"}, "sam_edu.official.predictor"),
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
    assert left == str(transforms_from != "sam_edu.official.predictor")


def test_a_file_that_failed_to_load_is_loaded_again(monkeypatch):
    alias = "_segment_anything_of_sam_edu"
    sam = official.modeling().Sam(*small_parts())
    for name in [f"{alias}.utils.transforms", f"{alias}.predictor"]:
        monkeypatch.delitem(sys.modules, name, raising=False)
    with monkeypatch.context() as broken:
        broken.setattr(official_predictor, "_torchvision_functional", object)  # has neither of the two functions
        with pytest.raises(ImportError, match="resize"):
            official.sam_predictor(sam)
    assert f"{alias}.utils.transforms" not in sys.modules
    predictor = official.sam_predictor(sam)
    assert predictor.transform.apply_image(np.zeros((20, 30, 3), np.uint8)).shape == (21, 32, 3)
    # Both predictors come from the file that was loaded once.
    assert type(official.sam_predictor(sam)) is type(predictor)
