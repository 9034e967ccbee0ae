"""Service: the front-end's questions, answered in Python."""

import numpy as np
import pytest
import torch
from PIL import Image

import sam_edu
from sam_edu.explorer.catalogue import OTHERS
from sam_edu.explorer.service import EMBEDDED, GIVEN, Service
from sam_edu.explorer.stops import PER_IMAGE_TOKEN
from sam_edu.figures.two_decodes import UPSCALED

CLICK = {"points": [[182, 133, 1]], "box": None}


@pytest.fixture(scope="module")
def tiny():
    return sam_edu.load("tiny")


@pytest.fixture(scope="module")
def service(tiny):
    return Service(sam_edu.Predictor(tiny))


def ask(service, **question):
    answer, buffers = service.answer(question)
    assert "error" not in answer, answer
    return answer, buffers


def test_catalogue_names_images_whose_files_are_there(service):
    answer, _ = ask(service, kind="catalogue")
    assert (answer["model"], answer["frame"], answer["grid"], answer["held_out"]) == ("tiny", 256, 64, True)
    for one in answer["images"]:
        _, [png] = ask(service, kind="file", name=one["file"])
        _, [packed] = ask(service, kind="file", name=one["truth"])
        assert len(packed) == one["truths"] * one["height"] * ((one["width"] + 7) // 8)
        assert png.startswith(b"\x89PNG")
        x, y, _ = one["click"]
        assert service.images[one["id"]].shape == (one["height"], one["width"], 3)
        assert 0 <= x < one["width"]
        assert 0 <= y < one["height"]
    assert {one["image"] for one in answer["others"]} == set(OTHERS)


def test_notes_tell_what_the_model_does_at_the_click(service, tiny):
    answer, _ = ask(service, kind="catalogue")
    predictor = sam_edu.Predictor(tiny)
    stats = sam_edu.ablation.load()
    [worst] = [one for one in answer["images"] if one["id"] == "scene-1055"]
    score = stats.baseline()[list(stats.prompts.clicks).index(stats.prompts.clicks[134])]
    assert f"IoU {score:.2f}" in worst["note"]
    assert score == min(stats.baseline())
    [coins] = [one for one in answer["images"] if one["id"] == "coins"]
    predictor.set_image(sam_edu.image("coins.png"))
    masks, _, _ = predictor.predict([coins["click"][:2]], [1])
    truth = service._offered["coins"].truth[0]
    best = max((mask & truth).sum() / (mask | truth).sum() for mask in masks)
    assert f"IoU {best:.2f} with the coin" in coins["note"]


def test_decode_gives_the_tensors_of_a_trace(service, tiny):
    names = ["masks", "transformer.layers.0.self_attn.weights"]
    answer, buffers = ask(service, kind="decode", image="example", prompts=CLICK, interventions=[], outputs=names)
    predictor = sam_edu.Predictor(tiny)
    predictor.set_image(sam_edu.example().image)
    with sam_edu.trace(predictor) as t:
        predictor.predict([[182, 133]], [1])
    assert [name for name, _ in answer["tensors"]] == names
    for (name, shape), data in zip(answer["tensors"], buffers, strict=True):
        np.testing.assert_array_equal(np.frombuffer(data, "<f4").reshape(shape), t[name].numpy())
    assert torch.equal(service.trace["masks"], t["masks"])


def test_points_and_a_box_are_those_of_predict(service, tiny):
    prompts = {"points": [[100, 110, 1], [30, 30, 0]], "box": [20, 40, 125, 140]}
    predictor = sam_edu.Predictor(tiny)
    predictor.set_image(sam_edu.example().image)
    with sam_edu.trace(predictor) as t:
        predictor.predict([[100, 110], [30, 30]], [1, 0], box=[20, 40, 125, 140])
    assert torch.equal(service.decode("example", prompts)["masks"], t["masks"])


def test_own_images_replace_each_other_and_few_embeddings_are_kept(service):
    rng = np.random.default_rng(0)
    results = []
    for _ in range(2):
        image = rng.integers(0, 256, (40, 60, 3), dtype=np.uint8)
        answer, _ = service.answer({"kind": "image", "id": "own", "width": 60, "height": 40}, [image.tobytes()])
        assert answer == {}
        results.append(service.decode("own", {"points": [[20, 20, 1]], "box": None})["masks"])
    assert not torch.equal(*results)
    for name in service._offered:
        service.decode(name, {"points": [[20, 20, 1]], "box": None})
    assert len(service._predictors) == EMBEDDED


def test_values_go_to_one_mask(service):
    values = [0.5] * 32
    change = {"point": "hyper_in", "how": "values", "values": values, "select": {"masks": [2]}}
    before, after = service.decode("example", CLICK), service.decode("example", CLICK, [change])
    assert torch.equal(after["hyper_in"][0, 2], torch.tensor(values))
    for mask in (0, 1, 3):
        assert torch.equal(after["masks"][0, mask], before["masks"][0, mask])


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ({"kind": "sing"}, "kind: expected one of catalogue"),
        ({"kind": "file", "name": "../../etc/passwd"}, "the catalogue names no such file"),
        ({"kind": "image", "id": "own", "width": 4, "height": 4}, "expected 48 bytes"),
        ({"kind": "decode", "image": "nowhere", "prompts": CLICK, "outputs": []}, "expected one of example"),
        ({"kind": "decode", "image": "example", "prompts": {"points": [[900, 9, 1]]}, "outputs": []}, "900"),
        ({"kind": "decode", "image": "example", "prompts": CLICK, "outputs": ["nothing"]}, "nothing"),
        (
            {
                "kind": "decode",
                "image": "example",
                "prompts": CLICK,
                "outputs": [],
                "interventions": [{"point": "hs", "how": "double"}],
            },
            "how: expected zero",
        ),
        (
            {
                "kind": "decode",
                "image": "example",
                "prompts": CLICK,
                "outputs": [],
                "interventions": [{"point": "hs", "how": "mean"}],
            },
            "none is stored for hs",
        ),
        (
            {
                "kind": "decode",
                "image": "example",
                "prompts": CLICK,
                "outputs": [],
                "interventions": [{"point": "transformer.layers.0.mlp.out", "how": "mean"}],
            },
            "can be zero as a whole",
        ),
    ],
)
def test_senseless_questions_are_answered_with_words(service, question, words):
    answer, buffers = service.answer(question)
    assert words in answer["error"]
    assert buffers == []
    assert service.decode("example", CLICK)["masks"].shape == (1, 4, 256, 256)  # no hook is left


@pytest.mark.no_shape_check
def test_mean_is_that_of_single_clicks(service):
    change = {"point": "transformer.layers.0.self_attn.heads", "how": "mean"}
    prompts = {"points": [[182, 133, 1], [127, 134, 0]], "box": None}
    with pytest.raises(ValueError, match="these runs have 7 queries"):
        service.decode("example", prompts, [change])


def test_given_image_comes_first_and_is_turned_upright(tiny):
    turned = Image.new("RGB", (30, 20))
    turned.getexif()[0x0112] = 6
    one = Service(sam_edu.Predictor(tiny), notes=False, image=turned)
    answer, _ = ask(one, kind="catalogue")
    first = answer["images"][0]
    assert (first["id"], first["width"], first["height"]) == (GIVEN, 20, 30)
    assert (first["click"], first["truth"], first["note"]) == ([10, 15, 1], "", "")


def test_other_weights_have_no_held_out_means(tiny):
    import copy

    other = copy.deepcopy(tiny)
    with torch.no_grad():
        other.mask_decoder.iou_token.weight += 1
    one = Service(sam_edu.Predictor(other), notes=False)
    answer, _ = ask(one, kind="catalogue")
    assert (answer["model"], answer["held_out"]) == ("", False)
    change = [{"point": "transformer.layers.0.self_attn.heads", "how": "mean"}]
    with pytest.raises(ValueError, match="held-out statistics are stored for the tiny model alone"):
        one.decode("example", CLICK, change)


def test_decoders_of_other_sizes_are_refused(predictor):
    with pytest.raises(ValueError, match="4 heads instead of 8, 4 channels instead of 32"):
        Service(predictor)


def test_works_with_the_architecture_of_metas_models():
    from sam_edu.modules import MaskDecoder, PromptEncoder, TwoWayTransformer
    from sam_edu.sam import Sam

    class Encoder(torch.nn.Conv2d):
        img_size = 1024

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        transformer = TwoWayTransformer(depth=2, embedding_dim=256, num_heads=8, mlp_dim=2048)
        decoder = MaskDecoder(transformer_dim=256, transformer=transformer)
        prompts = PromptEncoder(256, (64, 64), (1024, 1024), 16)
        model = Sam(Encoder(3, 256, 16, stride=16), prompts, decoder, image_size=1024).eval()
    one = Service(sam_edu.Predictor(model), notes=False)
    t = one.decode("coffee", {"points": [[248, 96, 1]], "box": None})
    assert one.enlarged("coffee", t["masks"]).shape == (1, 4, 341, 512)


def test_channels_as_means_over_each_image_token(service):
    names = [PER_IMAGE_TOKEN, UPSCALED]
    answer, buffers = ask(service, kind="decode", image="example", prompts=CLICK, interventions=[], outputs=names)
    means, channels = (
        np.frombuffer(data, "<f4").reshape(shape) for (_, shape), data in zip(answer["tensors"], buffers, strict=True)
    )
    assert means.shape == (1, 32, 64, 64)
    np.testing.assert_allclose(means, channels.reshape(1, 32, 64, 4, 64, 4).mean(axis=(3, 5)), atol=1e-5)
