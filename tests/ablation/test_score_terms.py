"""The four terms of attention scores: their sum, their shares, what is removed, and how it is stored."""

from contextlib import ExitStack

import numpy as np
import pytest
import torch
from ablation_cases import decode_of_scene
from torch import Tensor

from sam_edu import ablation
from sam_edu.ablation import (
    FIRST_SCENE,
    SCORE_TERMS,
    TOKEN_TO_IMAGE,
    References,
    ScoreTerms,
    four_terms,
    score_terms,
)
from sam_edu.ablation.controls import untrained
from sam_edu.ablation.measuring import Row
from sam_edu.ablation.quick_decoder import AblatedDecoder
from sam_edu.ablation.references import decoder_inputs
from sam_edu.ablation.score_terms import (
    ARRAYS,
    measure_score_terms,
    overlaps_without,
    score_terms_of_scene,
    terms_of_decode,
    variance_shares,
    without_term,
)
from sam_edu.ablation.scoring import Scorer
from sam_edu.modules import Attention
from sam_edu.predictor import Predictor
from sam_edu.sam import Sam, tiny_weights

NUMBER = FIRST_SCENE + 3


@pytest.fixture(scope="module")
def decode(model: Sam) -> AblatedDecoder:
    return decode_of_scene(model, NUMBER)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# --- The terms ---


def test_each_term_is_the_product_of_two_parts() -> None:
    content_q, position_q, content_k, position_k = (drawn(2, n, 16, seed=i) for i, n in enumerate((3, 3, 9, 9)))
    terms = four_terms(content_q + position_q, content_k + position_k, position_q, position_k)
    assert SCORE_TERMS == ("content . content", "content . position", "position . content", "position . position")
    for term, q, k in zip(
        terms, (content_q, content_q, position_q, position_q), (content_k, position_k) * 2, strict=True
    ):
        torch.testing.assert_close(term, q @ k.mT / 4)


@pytest.mark.parametrize("name", TOKEN_TO_IMAGE)
def test_the_terms_of_a_decode_sum_to_its_scores(model: Sam, decode: AblatedDecoder, name: str) -> None:
    terms = terms_of_decode(model.mask_decoder, decode.t, name)
    torch.testing.assert_close(terms.sum(0), decode.t[f"{name}.scores"], atol=1e-4, rtol=1e-4)
    assert all(term.abs().max() > 0.01 for term in terms)
    # What the query holds beside its encoding is content.
    other = terms_of_decode(model.mask_decoder, {**decode.t, f"{name}.q": decode.t[f"{name}.q"] + 1}, name)
    torch.testing.assert_close(other[2:], terms[2:])


@pytest.mark.parametrize("name", TOKEN_TO_IMAGE)
def test_the_positions_of_a_decode_are_those_of_tokens_and_grid(model: Sam, decode: AblatedDecoder, name: str) -> None:
    """The encodings of the tokens are what the decoder began with; those of the image tokens are the grid's."""
    attention: Attention = model.mask_decoder.get_submodule(name)  # type: ignore[assignment]
    grid = model.prompt_encoder.get_dense_pe().flatten(2).mT
    q, k = (
        (linear(x) - linear(torch.zeros_like(x))).unflatten(2, (8, -1)).transpose(1, 2)
        for linear, x in ((attention.q_proj, decode.t["tokens"]), (attention.k_proj, grid))
    )
    found = terms_of_decode(model.mask_decoder, decode.t, name)[SCORE_TERMS.index("position . position")]
    torch.testing.assert_close(found, q @ k.mT / 4, atol=1e-3, rtol=1e-3)


def test_another_attention_is_refused(model: Sam, decode: AblatedDecoder) -> None:
    with pytest.raises(ValueError, match="expected one of transformer"):
        terms_of_decode(model.mask_decoder, decode.t, "transformer.layers.0.self_attn")


@pytest.mark.no_shape_check
def test_another_term_is_refused(model: Sam, decode: AblatedDecoder) -> None:
    with pytest.raises(ValueError, match=r"term: expected one of content \. content, .*, got 'content'"):
        without_term(model.mask_decoder, decode.t, "content")  # type: ignore[arg-type]


# --- Shares and overlaps of known terms ---


def test_shares_of_independent_terms_are_their_variances() -> None:
    terms = torch.tensor([1.0, 2.0, 0.0, 3.0]).double()[:, None, None] * drawn(4, 1, 100_000)
    shares = variance_shares(terms + 7)  # what is the same for all keys does not count
    torch.testing.assert_close(shares.sum(0), torch.ones(1).double())
    torch.testing.assert_close(shares[:, 0], torch.tensor([1.0, 4.0, 0.0, 9.0]).double() / 14, atol=0.02, rtol=0)


def test_a_term_that_works_against_the_others_has_a_share_below_zero() -> None:
    one = drawn(1, 50)
    shares = variance_shares(torch.stack([3 * one, -one, 0 * one, 0 * one]))
    torch.testing.assert_close(shares[:, 0], torch.tensor([1.5, -0.5, 0.0, 0.0]).double())


def test_overlaps_of_a_map_that_one_term_makes() -> None:
    zero = torch.zeros(1, 4).double()
    peak = torch.tensor([[20.0, 0.0, 0.0, 0.0]]).double()
    overlaps = overlaps_without(torch.stack([peak, zero, zero, zero]))[:, 0]
    torch.testing.assert_close(overlaps, torch.tensor([0.25, 1.0, 1.0, 1.0, 0.25]).double(), atol=1e-6, rtol=0)


# --- Removing ---


@pytest.mark.parametrize("term", SCORE_TERMS)
def test_removing_a_term_subtracts_it_in_all_three_attentions(
    model: Sam, decode: AblatedDecoder, term: ablation.Term
) -> None:
    seen: dict[str, Tensor] = {}
    one = without_term(model.mask_decoder, decode.t, term).of(model.mask_decoder)
    with_memory = [change for change in one if not change.point.endswith("scores")]
    assert [change.point for change in one if change.point.endswith("scores")] == [
        f"{n}.scores" for n in TOKEN_TO_IMAGE
    ]
    for change in with_memory:
        change.how(decode.t[change.point])  # type: ignore[operator]
    for change in one:
        if change.point.endswith("scores"):
            seen[change.point] = change.how(decode.t[change.point])  # type: ignore[operator]
    for name in TOKEN_TO_IMAGE:
        removed = terms_of_decode(model.mask_decoder, decode.t, name)[SCORE_TERMS.index(term)]
        torch.testing.assert_close(decode.t[f"{name}.scores"] - seen[f"{name}.scores"], removed, atol=1e-4, rtol=1e-4)
    masks, _ = decode.run(without_term(model.mask_decoder, decode.t, term))
    assert (masks - decode.masks).abs().max() > 1e-3


# --- What is stored ---


@pytest.fixture(scope="module")
def rows(model: Sam) -> list[Row]:
    return score_terms_of_scene(model, NUMBER)


def test_a_scene(rows: list[Row]) -> None:
    assert [tuple(row["prompt"]) for row in rows] == ablation.prompts.prompts_of(NUMBER)[2]
    for row in rows:
        assert row["share"].shape == row["untrained_share"].shape == (3, 2, 8, 4)
        assert row["overlap"].shape == (3, 2, 8, 5)
        assert row["changes"].shape == (4, 4)
        np.testing.assert_allclose(row["share"].sum(-1), 1, atol=1e-4)
        np.testing.assert_allclose(row["untrained_share"].sum(-1), 1, atol=1e-4)
        assert ((row["overlap"] >= 0) & (row["overlap"] <= 1 + 1e-5)).all()
    assert np.abs(rows[0]["share"] - rows[0]["untrained_share"]).max() > 0.1


def test_a_scenes_numbers_are_those_of_the_click_token_and_of_the_mask_tokens(
    model: Sam, decode: AblatedDecoder, rows: list[Row]
) -> None:
    """Tokens: the IoU token, four mask tokens, the click's token, the padding token."""
    row, *_ = rows
    for number, name in enumerate(TOKEN_TO_IMAGE):
        terms = terms_of_decode(model.mask_decoder, decode.t, name)[:, 0]
        for stored, measured in ((row["share"], variance_shares(terms)), (row["overlap"], overlaps_without(terms))):
            assert measured.shape[-1] == 7
            np.testing.assert_allclose(stored[number, 0], measured[..., 5].T, atol=1e-4)
            np.testing.assert_allclose(stored[number, 1], measured[..., [1, 2, 3, 4]].mean(-1).T, atol=1e-4)


def test_untrained_shares_are_those_of_fresh_weights_behind_the_trained_image_encoder(
    model: Sam, rows: list[Row]
) -> None:
    generator = torch.Generator().manual_seed(NUMBER)
    fresh = untrained(model, generator=generator, parts=("prompt_encoder", "mask_decoder"))
    control = decode_of_scene(fresh, NUMBER)
    for number, name in enumerate(TOKEN_TO_IMAGE):
        shares = variance_shares(terms_of_decode(fresh.mask_decoder, control.t, name)[:, 0])
        np.testing.assert_allclose(rows[0]["untrained_share"][number, 0], shares[..., 5].T, atol=1e-3)


def test_a_scenes_effects_are_those_of_the_plain_decoder(model: Sam, decode: AblatedDecoder, rows: list[Row]) -> None:
    image, masks, [prompt, *_] = ablation.prompts.prompts_of(NUMBER)
    predictor = Predictor(model)
    predictor.set_image(image)
    score = Scorer(decode.masks[0], decode.iou[0], masks[prompt.mask])
    before = score(decode.masks[0], decode.iou[0])
    for term, change in zip(SCORE_TERMS, rows[0]["changes"], strict=True):
        with torch.no_grad(), ExitStack() as stack:
            for one in without_term(model.mask_decoder, decode.t, term).of(model.mask_decoder):
                stack.enter_context(one.carry_out(model.mask_decoder, References()))
            logits, iou = model.mask_decoder.predict_masks(**decoder_inputs(predictor, prompt))
        np.testing.assert_allclose(change, np.subtract(score(logits[0], iou[0]), before), atol=2e-3)
    assert np.abs(rows[0]["changes"]).max() > 0.1


def test_the_file_holds_the_rows_of_all_clicks(rows: list[Row], monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(of_scene: object, *_: object) -> list[Row]:
        assert of_scene is score_terms_of_scene
        return rows

    monkeypatch.setattr(score_terms, "rows_of_scenes", measured)
    data = measure_score_terms(tiny_weights(), scenes=1)
    assert set(data) == {"weights", "prompts", *(f"score_terms.{name}" for name in ARRAYS)}
    assert str(data["weights"]) == ablation.sha256(tiny_weights())
    np.testing.assert_array_equal(data["prompts"], [row["prompt"] for row in rows])
    for name in ARRAYS:
        assert data[f"score_terms.{name}"].dtype == np.float16
        np.testing.assert_allclose(data[f"score_terms.{name}"], [row[name] for row in rows], rtol=1e-3, atol=1e-6)


def stored() -> dict[str, np.ndarray]:
    """The package's file with made-up numbers: each entry says where it stands."""
    data = ablation.read()
    n = len(data["prompts"])
    shapes = {"share": (3, 2, 8, 4), "overlap": (3, 2, 8, 5), "untrained_share": (3, 2, 8, 4), "changes": (4, 4)}
    numbers = np.random.default_rng(0)
    return data | {f"score_terms.{name}": numbers.normal(size=(n, *shapes[name])) for name in ARRAYS}


def test_stored_numbers_are_read() -> None:
    data = stored()
    terms = ScoreTerms(data)
    last = TOKEN_TO_IMAGE[2]
    np.testing.assert_array_equal(terms.share(last), data["score_terms.share"][:, 2, 0])
    np.testing.assert_array_equal(terms.share(last, "masks"), data["score_terms.share"][:, 2, 1])
    np.testing.assert_array_equal(terms.share(last, untrained=True), data["score_terms.untrained_share"][:, 2, 0])
    np.testing.assert_array_equal(terms.overlap(TOKEN_TO_IMAGE[0], "masks"), data["score_terms.overlap"][:, 0, 1])
    effect = terms.effect("position . content", "margin")
    assert effect.mean == pytest.approx(data["score_terms.changes"][:, 2, 2].mean())
    assert effect.low < effect.mean < effect.high


def test_what_is_missing_or_unknown_is_refused() -> None:
    data = stored()
    with pytest.raises(ValueError, match=r"lacks the terms' overlap: .*--only terms"):
        ScoreTerms({name: array for name, array in data.items() if name != "score_terms.overlap"})
    terms = ScoreTerms(data)
    with pytest.raises(ValueError, match="tokens: expected one of click, masks, got 'padding'"):
        terms.share(TOKEN_TO_IMAGE[0], "padding")
    with pytest.raises(ValueError, match="term: expected one of content"):
        terms.effect("content")
