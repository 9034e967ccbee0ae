"""Prompts in other forms: against the predictor and Meta's prompt encoder, and how they are stored."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from sam_edu import ablation, official
from sam_edu.ablation import BOX_FORMS, CLICK_FORMS, FIRST_SCENE, FORM_MEASURES, MOVED, PromptChanges
from sam_edu.ablation.prompt_changes import (
    _DEFINITIONS,
    ARRAYS,
    AS_IT_IS,
    Form,
    _Decode,
    box_forms,
    cell_means,
    click_forms,
    inside,
    moved_forms,
    other_click,
    prompt_changes_of_scene,
)
from sam_edu.ablation.prompts import Prompt, scene_and_prompts
from sam_edu.predictor import Predictor
from sam_edu.sam import Sam, load
from sam_edu.scenes.boxes import tight_box

NUMBER = FIRST_SCENE + 5


@pytest.fixture(scope="module")
def model() -> Sam:
    return load().requires_grad_(False)


@pytest.fixture(scope="module")
def predictor(model: Sam) -> Predictor:
    predictor = Predictor(model)
    predictor.set_image(scene_and_prompts(NUMBER)[0].image)
    return predictor


PROMPT = scene_and_prompts(NUMBER)[1][0]
TARGET = scene_and_prompts(NUMBER)[0].masks[PROMPT.mask]
BOX = torch.from_numpy(tight_box(TARGET)).float()
AT = [[float(PROMPT.x), float(PROMPT.y)]]


@pytest.fixture(scope="module")
def given(predictor: Predictor) -> Tensor:
    return torch.from_numpy(predictor.predict(AT, [1])[2][1])


@pytest.fixture(scope="module")
def clicks(model: Sam, given: Tensor) -> dict[str, Form]:
    return click_forms(model.prompt_encoder, PROMPT, TARGET, given)


@pytest.fixture(scope="module")
def boxes(model: Sam) -> dict[str, Form]:
    return box_forms(model.prompt_encoder, PROMPT, BOX)


# --- The forms ---


def test_every_form_is_made_and_none_is_the_unchanged_one(clicks: dict[str, Form], boxes: dict[str, Form]) -> None:
    for forms, names in ((clicks, CLICK_FORMS), (boxes, BOX_FORMS)):
        assert list(forms) == [AS_IT_IS, *names]
        usual = forms[AS_IT_IS]
        for name in names:
            same = forms[name].sparse.shape == usual.sparse.shape and torch.equal(forms[name].sparse, usual.sparse)
            assert not same or forms[name].dense is not None, name


def metas_tokens(model: Sam, labels: list[int], box: Tensor | None = None, at: list[list[float]] = AT) -> Tensor:
    metas = official.to_official(model.prompt_encoder)
    points = (torch.tensor([at]), torch.tensor([labels])) if labels else None
    tokens: Tensor = metas(points, None if box is None else box[None], None)[0]
    return tokens


def test_tokens_are_those_of_metas_encoder(model: Sam, clicks: dict[str, Form], boxes: dict[str, Form]) -> None:
    half_less = [[AT[0][0] - 0.5, AT[0][1] - 0.5]]
    expected = {
        AS_IT_IS: metas_tokens(model, [1]),
        "label 0": metas_tokens(model, [0]),
        "no click": metas_tokens(model, [-1]),
        "no label": metas_tokens(model, [2]),
        "two padding tokens": metas_tokens(model, [1, -1], at=[*AT, [7.0, 9.0]]),
        "half a pixel": metas_tokens(model, [1], at=half_less),
    }
    for name, tokens in expected.items():
        torch.testing.assert_close(clicks[name].sparse, tokens, atol=1e-5, rtol=1e-5)
    corners = BOX.view(2, 2).tolist()
    of_boxes = {
        AS_IT_IS: metas_tokens(model, [], BOX),
        "swapped corners": metas_tokens(model, [], BOX[[2, 3, 0, 1]]),
        "mirrored corners": metas_tokens(model, [], BOX[[2, 1, 0, 3]]),
        "no labels": metas_tokens(model, [2, 3], at=corners),
        "no prompt": metas_tokens(model, [-1]),
    }
    for name, tokens in of_boxes.items():
        torch.testing.assert_close(boxes[name].sparse, tokens, atol=1e-5, rtol=1e-5)
    padded = torch.cat([of_boxes[AS_IT_IS], model.prompt_encoder.not_a_point_embed.weight[None]], dim=1)
    torch.testing.assert_close(boxes["padding after the box"].sparse, padded)


def test_random_vectors_are_as_long_as_what_they_replace(model: Sam, clicks: dict[str, Form]) -> None:
    encoder = model.prompt_encoder
    padding = encoder.not_a_point_embed.weight
    torch.testing.assert_close(clicks["random token"].sparse[0, -1].norm(), padding.norm())
    where = clicks["no label"].sparse[0, 0]
    torch.testing.assert_close(
        (clicks["random label"].sparse[0, 0] - where).norm(), (clicks[AS_IT_IS].sparse[0, 0] - where).norm()
    )
    none = encoder.no_mask_embed.weight[0, :, None, None]
    zeros, far = clicks["zeros"].dense, clicks["a vector as far"].dense
    assert zeros is not None
    assert far is not None
    lengths = [(one - none)[0, :, 5, 7].norm() for one in (zeros, far, zeros - far + none)]
    torch.testing.assert_close(lengths[0], lengths[1], atol=1e-4, rtol=1e-4)
    assert lengths[2] > 0.5 * lengths[0]


def test_another_matrix_encodes_click_and_image_alike(model: Sam, clicks: dict[str, Form]) -> None:
    """The click's own encoding is most like that of the image token at the click, whatever the matrix."""
    kind = clicks[AS_IT_IS].sparse[0, 0] - clicks["no label"].sparse[0, 0]
    for name in ("another matrix", "columns in another order"):
        image_pe = clicks[name].image_pe
        assert image_pe is not None
        assert not torch.allclose(image_pe, model.prompt_encoder.get_dense_pe(), atol=0.1)
        alike = (clicks[name].sparse[0, 0] - kind) @ image_pe[0].flatten(1)
        assert divmod(int(alike.argmax()), 64) == (PROMPT.y // 4, PROMPT.x // 4)
    both = clicks["columns in another order"].image_pe, model.prompt_encoder.get_dense_pe()
    torch.testing.assert_close(*(one[0].flatten(1).sort(0).values for one in both if one is not None))


def test_cell_means(given: Tensor) -> None:
    means = cell_means(given)
    torch.testing.assert_close(means[8:12, 4:8], given[8:12, 4:8].mean().expand(4, 4))
    torch.testing.assert_close(cell_means(means), means)
    assert (means != given).float().mean() > 0.8


def test_moved_encodings_fit_the_other_click(model: Sam) -> None:
    other = PROMPT._replace(x=PROMPT.x - 20, y=PROMPT.y + 12)  # five cells to the left, three down
    image, both = moved_forms(model.prompt_encoder, PROMPT, other).values()
    usual = model.prompt_encoder.get_dense_pe()
    assert image.image_pe is not None
    # The encodings of positions further to the right by five cells, and further up by three.
    torch.testing.assert_close(image.image_pe[..., 3:, :-5], usual[..., :-3, 5:], atol=1e-3, rtol=1e-3)
    assert both.image_pe is image.image_pe
    moved = [[AT[0][0] + 20, AT[0][1] - 12]]
    torch.testing.assert_close(both.sparse, metas_tokens(model, [1], at=moved), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(image.sparse, metas_tokens(model, [1]), atol=1e-5, rtol=1e-5)


def test_decodes_are_those_of_the_predictor(
    predictor: Predictor, clicks: dict[str, Form], boxes: dict[str, Form], given: Tensor
) -> None:
    decode = _Decode(predictor)
    found = decode({name: clicks[name] for name in (AS_IT_IS, "four pixels", "logits", "logits alone")})
    expected = {
        AS_IT_IS: predictor.predict(AT, [1]),
        "four pixels": predictor.predict([[AT[0][0] - 4, AT[0][1] - 4]], [1]),
        "logits": predictor.predict(AT, [1], mask_input=given[None].numpy()),
        "logits alone": predictor.predict(mask_input=given[None].numpy()),
    }
    for name, (_, iou, low_res) in expected.items():
        np.testing.assert_allclose(found[name][0][1:], low_res, atol=2e-3, rtol=1e-4, err_msg=name)
        np.testing.assert_allclose(found[name][1][1:], iou, atol=1e-4, err_msg=name)
    _, iou, low_res = predictor.predict(box=BOX.tolist(), multimask_output=False)
    [(logits, predicted)] = decode({AS_IT_IS: boxes[AS_IT_IS]}).values()
    np.testing.assert_allclose(logits[:1], low_res, atol=2e-3, rtol=1e-4)
    np.testing.assert_allclose(predicted[:1], iou, atol=1e-4)


def test_whether_a_moved_click_stays_inside(model: Sam) -> None:
    click = PROMPT._replace(x=100, y=200)
    expected = {
        (50, 190): True,
        (50, 145): True,
        (50, 144): False,
        (201, 190): False,
        (0, 200): True,
        (250, 200): False,
    }
    for (x, y), found in expected.items():
        assert inside(model.prompt_encoder, click, click._replace(x=x, y=y)) is found, (x, y)


def test_another_click_is_on_a_mask_apart() -> None:
    masks = np.zeros((3, 4, 4), bool)
    masks[0, :2], masks[1, 0], masks[2, 3] = True, True, True
    prompts = [PROMPT._replace(mask=i) for i in range(3)]
    assert [other_click(masks, one, prompts) for one in prompts] == [2, 2, 0]
    assert other_click(masks, prompts[0], prompts[:2]) is None


# --- What is stored ---


@pytest.fixture(scope="module")
def rows(model: Sam) -> list[dict[str, np.ndarray]]:
    return prompt_changes_of_scene(model, NUMBER)


def test_a_scene(rows: list[dict[str, np.ndarray]]) -> None:
    stats, prompts = ablation.load(), scene_and_prompts(NUMBER)[1]
    assert [Prompt(*row["prompt"]) for row in rows] == prompts
    numbers = [i for i, prompt in enumerate(stats.prompts) if prompt.scene == NUMBER]
    for number, row in zip(numbers, rows, strict=True):
        assert row["clicks"].shape == (1 + len(CLICK_FORMS), len(FORM_MEASURES))
        assert row["boxes"].shape == (1 + len(BOX_FORMS), len(FORM_MEASURES))
        assert row["clicks"][0, 2] == row["boxes"][0, 2] == 1
        # The same unchanged decode as that of the stored effects, and the same ablation in two ways.
        np.testing.assert_allclose(row["clicks"][0, 0], stats.baseline()[number], atol=2e-3)
        np.testing.assert_allclose(row["boxes"][0, 0], stats.prompts.boxes_iou[number], atol=2e-3)
        for name, stored in (("five padding tokens", "five padding tokens"), ("no padding token", "no padding token")):
            chosen = 1 + list(CLICK_FORMS).index(name)
            np.testing.assert_allclose(row["clicks"][chosen, 0], stats.scores(stored)[number], atol=4e-3)


def stored() -> dict[str, np.ndarray]:
    """The package's file with made-up numbers."""
    data, numbers = ablation.read(), np.random.default_rng(0)
    n = len(data["prompts"])
    moved = numbers.random((n, 2, 2))
    moved[::3] = np.nan
    return data | {
        "prompt_changes.definitions": np.array(_DEFINITIONS),
        "prompt_changes.clicks": numbers.random((n, 1 + len(CLICK_FORMS), 4)),
        "prompt_changes.boxes": numbers.random((n, 1 + len(BOX_FORMS), 4)),
        "prompt_changes.moved": moved,
        "prompt_changes.inside": np.where(np.isnan(moved[:, 0, 0]), -1, np.arange(n) % 2),
    }


def test_stored_numbers_are_read() -> None:
    data = stored()
    forms = PromptChanges(data)
    np.testing.assert_array_equal(forms.values("label 0"), data["prompt_changes.clicks"][:, 1, 0])
    np.testing.assert_array_equal(forms.values("logits alone", "own"), data["prompt_changes.clicks"][:, -1, 2])
    np.testing.assert_array_equal(
        forms.values("no prompt", "predicted", "boxes"), data["prompt_changes.boxes"][:, -1, 3]
    )
    change = data["prompt_changes.clicks"][:, 1, 1] - data["prompt_changes.clicks"][:, 2, 1]
    assert forms.effect("label 0", "single", against="no click").mean == pytest.approx(change.mean())
    assert forms.effect("label 0").mean == pytest.approx(
        (data["prompt_changes.clicks"][:, 1, 0] - data["prompt_changes.clicks"][:, 0, 0]).mean()
    )
    parts = np.array([prompt.level for prompt in ablation.load().prompts]) == 1
    change = data["prompt_changes.boxes"][:, 1, 0] - data["prompt_changes.boxes"][:, 0, 0]
    of_parts = forms.effect("padding after the box", prompts="boxes", level="part")
    assert (of_parts.mean, of_parts.prompts) == (pytest.approx(change[parts].mean()), parts.sum())
    there = data["prompt_changes.moved"][:, 1, 1]
    found = forms.moved("image and click", "there")
    assert (found.mean, found.prompts) == (pytest.approx(np.nanmean(there)), np.isfinite(there).sum())
    assert found.low < found.mean < found.high
    chosen = data["prompt_changes.inside"] == 1
    within = forms.moved("image", "own", inside=True)
    assert (within.mean, within.prompts) == (
        pytest.approx(data["prompt_changes.moved"][chosen, 0, 0].mean()),
        chosen.sum(),
    )


UNKNOWN: dict[str, tuple[Callable[[PromptChanges], object], str]] = {
    "form": (lambda forms: forms.values("label 7"), "form: expected one of as it is, label 0, .*got 'label 7'"),
    "form of boxes": (lambda forms: forms.values("label 0", prompts="boxes"), "form: .*got 'label 0'"),
    "measure": (lambda forms: forms.mean("label 0", "worst"), "measure: .*got 'worst'"),  # type: ignore[arg-type]
    "prompts": (lambda forms: forms.effect("label 0", prompts="lines"), "prompts: .*got 'lines'"),  # type: ignore[arg-type]
    "moved": (lambda forms: forms.moved("click", "own"), "what: expected one of image, image and click"),
    "masks": (lambda forms: forms.moved(MOVED[0], "theirs"), "masks: expected one of own, there"),
}


@pytest.mark.no_shape_check
@pytest.mark.parametrize(("call", "words"), UNKNOWN.values(), ids=UNKNOWN)
def test_what_is_unknown_is_refused(call: Callable[[PromptChanges], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        call(PromptChanges(stored()))


@pytest.mark.parametrize("name", ARRAYS)
def test_what_was_not_measured_is_refused(name: str) -> None:
    data = stored()
    del data[f"prompt_changes.{name}"]
    with pytest.raises(ValueError, match=r"lacks the forms of prompts as they are now: .*--only forms"):
        PromptChanges(data)


def test_other_definitions_are_refused() -> None:
    with pytest.raises(ValueError, match="--only forms"):
        PromptChanges(stored() | {"prompt_changes.definitions": np.array("{}")})
