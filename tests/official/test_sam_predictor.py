"""Our decoder and prompt encoder in Meta's own Sam, under Meta's own SamPredictor, with nothing else changed."""

import numpy as np
import pytest
import torch
from parity import TINY, assert_close, assert_parity_points, make_pair, perturb, randoms

from sam_edu import official

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


def picture(height, width):
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
        predictor.set_image(picture(*size))
    masks = assert_parity_predictions(ours, theirs, **PROMPTS[name], multimask_output=multimask_output)
    assert masks.shape == (3 if multimask_output else 1, *size)
    assert 0 < masks.float().mean() < 1


def test_logits_go_back_in_as_mask_prompt():
    ours, theirs = map(official.sam_predictor, build_sams())
    for predictor in (ours, theirs):
        predictor.set_image(picture(40, 60))
    _, iou, low_res = theirs.predict(**PROMPTS["a click"])
    best = low_res[[int(iou.argmax())]]
    assert_parity_predictions(ours, theirs, **CLICKS, mask_input=best, multimask_output=False)


@pytest.mark.parametrize("multimask_output", [True, False])
def test_predict_torch_with_several_prompt_sets(multimask_output):
    ours, theirs = map(official.sam_predictor, build_sams())
    boxes = torch.tensor([[3, 4, 20, 30], [10, 11, 50, 40], [0, 0, 63, 47]])
    results = []
    for predictor in (ours, theirs):
        predictor.set_image(picture(48, 64))
        boxes_in = predictor.transform.apply_boxes_torch(boxes, (48, 64))
        results.append(predictor.predict_torch(None, None, boxes_in, None, multimask_output, return_logits=True))
    for name, a, b in zip(("masks", "IoU predictions", "low-resolution logits"), *results, strict=True):
        assert_close(name, a, b)
        assert len(a) == 3


def test_forward_of_meta_sam():
    ours, theirs = build_sams()
    batched_input = [
        {
            "image": torch.as_tensor(picture(48, 64)).permute(2, 0, 1),
            "original_size": (24, 32),
            "point_coords": torch.tensor([[[10.0, 20.0]], [[40.0, 20.0]]]),
            "point_labels": torch.tensor([[1], [0]]),
        },
        {
            "image": torch.as_tensor(picture(64, 30)).permute(2, 0, 1),
            "original_size": (128, 60),
            "boxes": torch.tensor([[3.0, 4.0, 20.0, 30.0]]),
            "mask_inputs": randoms(0)(1, 1, 16, 16),
        },
    ]
    comparison = assert_parity_points(ours, theirs, {"batched_input": batched_input, "multimask_output": True})
    assert comparison["output[0]['low_res_logits']"].shape == (2, 3, 16, 16)
    assert comparison["output[1]['masks']"].shape == (1, 3, 128, 60)


def test_state_dict_of_the_whole_model_is_meta_s():
    ours, theirs = build_sams()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict(), strict=True)
    theirs.load_state_dict(ours.state_dict(), strict=True)
