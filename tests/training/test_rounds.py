"""Rounds: prompts become the tokens and masks that the plain modules give, and corrections go where they should."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sam_edu.fast.fast_mask_decoder import FastMaskDecoder
from sam_edu.modules import MaskDecoder, PromptEncoder, TwoWayTransformer
from sam_edu.sam import Sam
from sam_edu.training import rounds
from sam_edu.training.batches import Batch, draw_batch
from sam_edu.training.corrections import DRAWS, Choose, by_draws
from sam_edu.training.losses import best_assignment, pairwise_iou, pairwise_mask_loss
from sam_edu.training.rounds import (
    LaterRound,
    Prompts,
    decode,
    embed_image,
    first_round_loss,
    later_round_loss,
    next_prompts,
    plan_later_rounds,
    set_grid,
    sparse_tokens,
    training_losses,
)
from sam_edu.training.sources import Sources

GRID, SETS = 16, 6


def randoms(*sizes: int, seed: int = 0) -> Tensor:
    return torch.randn(*sizes, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def model() -> Sam:
    """A narrow model with the tiny model's image size."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        decoder = MaskDecoder(transformer_dim=16, transformer=TwoWayTransformer(2, 16, 2, 24), iou_head_hidden_dim=8)
        encoder = PromptEncoder(16, (64, 64), (256, 256), 16)
        return Sam(nn.Conv2d(3, 16, 4, stride=4), encoder, decoder, image_size=256)


@pytest.fixture
def prompts() -> Prompts:
    """Six rows of three clicks each, half of them begun with a box."""
    corners = 100 * torch.rand(SETS, 2, 2, generator=torch.Generator().manual_seed(1))
    return Prompts(
        clicks=255 * torch.rand(SETS, 3, 2, generator=torch.Generator().manual_seed(0)),
        labels=torch.tensor([[1.0, 0.0, 1.0], [1.0, 1.0, 0.0]] * 3),
        boxes=torch.cat([corners[:, 0], corners[:, 1] + 120], dim=1),
        is_box=torch.tensor([False, True, True, False, True, False]),
    )


def tokens_in_metas_manner(encoder: PromptEncoder, prompts: Prompts, row: int) -> Tensor:
    """The tokens of one row, as a call with this prompt alone gives them."""
    one = slice(row, row + 1)
    if prompts.is_box[row]:
        later = (prompts.clicks[one, 1:], prompts.labels[one, 1:]) if prompts.clicks.shape[1] > 1 else None
        return encoder(later, prompts.boxes[one], None)[0]
    return encoder((prompts.clicks[one], prompts.labels[one]), None, None)[0]


@pytest.mark.parametrize("clicks", [1, 2, 3])
@pytest.mark.parametrize("kind", ["clicks", "boxes", "both"])
def test_sparse_tokens_equal_a_call_per_row(model: Sam, prompts: Prompts, clicks: int, kind: str) -> None:
    is_box = {"clicks": torch.zeros(SETS).bool(), "boxes": torch.ones(SETS).bool(), "both": prompts.is_box}[kind]
    prompts = replace(prompts, clicks=prompts.clicks[:, :clicks], labels=prompts.labels[:, :clicks], is_box=is_box)
    got = sparse_tokens(model.prompt_encoder, prompts)
    assert got.shape == (SETS, clicks + 1, 16)
    for row in range(SETS):
        torch.testing.assert_close(got[row : row + 1], tokens_in_metas_manner(model.prompt_encoder, prompts, row))


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("with_mask", [False, True])
@pytest.mark.parametrize("images", [1, 2])
def test_decode_equals_the_decoder_row_by_row(
    model: Sam, prompts: Prompts, images: int, with_mask: bool, fast: bool
) -> None:
    set_grid(model, GRID)
    embedding = randoms(images, 16, GRID, GRID)
    if with_mask:
        prompts = replace(prompts, mask=3 * randoms(SETS, 1, 4 * GRID, 4 * GRID, seed=2))
    decoder = FastMaskDecoder(model.mask_decoder) if fast else model.mask_decoder
    masks, iou = decode(model, decoder, embedding, prompts)
    assert masks.shape == (SETS, 4, 4 * GRID, 4 * GRID)
    assert iou.shape == (SETS, 4)
    encoder = model.prompt_encoder
    for row in range(SETS):
        image = row // (SETS // images)
        dense = encoder(None, None, None if prompts.mask is None else prompts.mask[row : row + 1])[1]
        sparse = tokens_in_metas_manner(encoder, prompts, row)
        expected = model.mask_decoder.predict_masks(embedding[image][None], encoder.get_dense_pe(), sparse, dense)
        for got, reference in zip((masks[row : row + 1], iou[row : row + 1]), expected, strict=True):
            assert (got - reference).abs().max() <= 2e-6 * max(1.0, reference.abs().max().item())


def test_decode_gives_float32_under_autocast_near_what_it_gives_without(model: Sam, prompts: Prompts) -> None:
    set_grid(model, GRID)
    embedding = randoms(1, 16, GRID, GRID)
    fast = FastMaskDecoder(model.mask_decoder)
    expected = decode(model, fast, embedding, prompts)[0]
    with torch.autocast("cpu", torch.bfloat16):
        got = decode(model, fast, embedding.bfloat16(), prompts)[0]
    assert got.dtype == torch.float32
    assert 0 < (got - expected).norm() < 0.1 * expected.norm()


def test_set_grid_changes_the_size_that_the_prompt_encoder_works_for(model: Sam) -> None:
    state = {key: value.clone() for key, value in model.state_dict().items()}
    for grid in (8, 64):
        set_grid(model, grid)
        assert model.prompt_encoder.get_dense_pe().shape == (1, 16, grid, grid)
        assert model.prompt_encoder(None, None, torch.zeros(2, 1, 4 * grid, 4 * grid))[1].shape == (2, 16, grid, grid)
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())


def test_embed_image_averages_down_to_the_grid(model: Sam) -> None:
    image = (255 * torch.rand(2, 3, 256, 256, generator=torch.Generator().manual_seed(3))).to(torch.uint8)
    fine = embed_image(model, image, 64)
    torch.testing.assert_close(fine, model.image_encoder(model.preprocess(image)))
    coarse = embed_image(model, image, 16)
    assert coarse.shape == (2, 16, 16, 16)
    torch.testing.assert_close(coarse[1, 5, 2, 3], fine[1, 5, 8:12, 12:16].mean())


# --- The next prompts ---


def first_prompts(is_box: list[bool], clicks: int = 1) -> Prompts:
    n = len(is_box)
    return Prompts(torch.full((n, clicks, 2), 5.0), torch.ones(n, clicks), torch.zeros(n, 4), torch.tensor(is_box))


def toy_round() -> tuple[Tensor, Tensor, Tensor, Choose]:
    """Masks that are empty but for a quarter each, of which mask 2 has the best predicted IoU of three; and targets."""
    masks = -randoms(2, 4, 8, 8).abs() - 1
    for i, (y, x) in enumerate([(0, 0), (0, 4), (4, 0), (4, 4)]):
        masks[:, i, y : y + 4, x : x + 4] *= -1
    iou = torch.tensor([[0.9, 0.1, 0.7, 0.3]] * 2)
    targets = torch.zeros(2, 32, 32, dtype=torch.bool)
    targets[:, 16:] = True  # the lower half: masks 2 and 3 together
    return masks, iou, targets, by_draws(torch.tensor([DRAWS // 3, DRAWS // 2]))


def test_next_prompts_correct_the_mask_that_the_model_would_return() -> None:
    """Row 0 began with a click and gets mask 2, row 1 with a box and gets mask 0."""
    for seed in range(20):
        masks, iou, targets, _ = toy_round()
        prompts = first_prompts([False, True])
        draws = torch.from_numpy(np.random.default_rng(seed).integers(DRAWS, size=2))
        after = next_prompts(prompts, masks, iou, targets, by_draws(draws))
        assert after.mask is not None
        assert torch.equal(after.mask[0, 0], masks[0, 2])
        assert torch.equal(after.mask[1, 0], masks[1, 0])
        assert torch.equal(after.clicks[:, :1], prompts.clicks)
        assert torch.equal(after.labels[:, :1], prompts.labels)
        assert torch.equal(after.boxes, prompts.boxes)
        assert torch.equal(after.is_box, prompts.is_box)
        (x, y), label = after.clicks[0, 1].tolist(), after.labels[0, 1]
        assert (label, x >= 16, y >= 16) == (1, True, True)  # the quarter of the target that mask 2 misses
        (x, y), label = after.clicks[1, 1].tolist(), after.labels[1, 1]
        assert (y >= 16) if label == 1 else (x < 16 and y < 16)


def test_next_prompts_without_chance_click_into_the_middle_of_the_error() -> None:
    masks, iou, targets, _ = toy_round()
    after = next_prompts(first_prompts([False, False]), masks, iou, targets, None)
    # Mask 2 is the lower left quarter; the lower right one is missed: 16 x 16 pixels from (16, 16) on.
    assert after.labels[:, 1].tolist() == [1, 1]
    assert ((after.clicks[:, 1] - 23.5).abs() <= 1).all()


def test_after_a_second_click_mask_0_is_corrected() -> None:
    masks, iou, targets, choose = toy_round()
    after = next_prompts(first_prompts([False, False], clicks=2), masks, iou, targets, choose)
    assert after.mask is not None
    assert torch.equal(after.mask[:, 0], masks[:, 0])
    assert after.clicks.shape == (2, 3, 2)


def test_a_still_round_brings_the_logits_and_no_click() -> None:
    masks, iou, targets, choose = toy_round()
    prompts = first_prompts([False, True])
    after = next_prompts(prompts, 100 * masks, iou, targets, choose, still=True)
    assert torch.equal(after.clicks, prompts.clicks)
    assert torch.equal(after.labels, prompts.labels)
    assert after.mask is not None
    torch.testing.assert_close(after.mask[0, 0], (100 * masks[0, 2]).clamp(-32, 32))


def test_next_prompts_pass_no_gradient() -> None:
    masks, iou, targets, choose = toy_round()
    after = next_prompts(first_prompts([False, True]), masks.requires_grad_(), iou, targets, choose)
    assert after.mask is not None
    assert not after.mask.requires_grad


# --- The losses of a round ---


def test_first_round_loss_row_by_row() -> None:
    masks, iou = 3 * randoms(2, 4, 6, 6), randoms(2, 4, seed=1)
    targets = (randoms(2, 3, 6, 6, seed=2) > 0).float()
    valid, is_box = torch.tensor([[True, True, False], [True, False, False]]), torch.tensor([False, True])
    mask_loss, iou_loss = first_round_loss(masks, iou, targets, valid, is_box, 0.5)
    loss = pairwise_mask_loss(masks, targets, 0.5)
    click = best_assignment(loss[:1, 1:], valid[:1])[0] + 0.25 * loss[0, 0, 0]
    box = loss[1, 0, 0] + 0.5 * loss[1, 1:, 0].min()
    torch.testing.assert_close(mask_loss, (click + box) / 2)
    true = pairwise_iou(masks > 0, targets)
    best = torch.stack([true[0, :, :2].amax(-1), true[1, :, 0]])
    torch.testing.assert_close(iou_loss, (iou - best).square().mean())


def test_later_round_loss_has_one_target() -> None:
    masks, iou = 3 * randoms(2, 4, 6, 6), randoms(2, 4, seed=1)
    targets = (randoms(2, 3, 6, 6, seed=2) > 0).float()
    mask_loss, iou_loss = later_round_loss(masks, iou, targets, 0.0)
    loss = pairwise_mask_loss(masks, targets, 0.0)[..., 0]
    torch.testing.assert_close(mask_loss, (loss[:, 0] + 0.5 * loss[:, 1:].amin(1)).mean())
    torch.testing.assert_close(iou_loss, (iou - pairwise_iou(masks > 0, targets)[..., 0]).square().mean())


@pytest.fixture(scope="module")
def batch() -> Batch:
    return draw_batch(0, 0, range(2), 3, 0.4, Sources())


@pytest.mark.parametrize("later", [0, 1, 3])
def test_training_losses_train_every_part_of_the_model(model: Sam, batch: Batch, later: int) -> None:
    set_grid(model, GRID)
    model.zero_grad()
    embedding = embed_image(model, batch.image, GRID)
    fast = FastMaskDecoder(model.mask_decoder)
    losses = training_losses(model, fast, batch, embedding, balanced=0.5, followed=2, plan=[LaterRound()] * later)
    names = {"mask", "iou"} | ({"later_mask", "later_iou"} if later else set())
    assert set(losses) == names
    assert all(torch.isfinite(loss) and loss.requires_grad for loss in losses.values())
    torch.stack(list(losses.values())).sum().backward()
    trained = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert "image_encoder.weight" in trained
    assert "mask_decoder.iou_prediction_head.layers.2.weight" in trained
    assert ("prompt_encoder.mask_downscaling.0.weight" in trained) == bool(later)


def test_only_the_first_and_the_last_later_round_have_gradients(
    model: Sam, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def watched(model: Sam, fast: FastMaskDecoder, embedding: Tensor, prompts: Prompts) -> tuple[Tensor, Tensor]:
        masks, iou = decode(model, fast, embedding, prompts)
        seen.append((masks.requires_grad, len(masks), prompts.mask is not None))
        return masks, iou

    monkeypatch.setattr(rounds, "decode", watched)
    set_grid(model, GRID)
    embedding = embed_image(model, batch.image, GRID)
    fast = FastMaskDecoder(model.mask_decoder)
    training_losses(model, fast, batch, embedding, balanced=0.0, followed=1, plan=[LaterRound()] * 4)
    assert seen == [(True, 6, False), (True, 2, True), (False, 2, True), (False, 2, True), (True, 2, True)]
    seen.clear()
    plan = [LaterRound(bare=True), LaterRound(still=True)]
    training_losses(model, fast, batch, embedding, balanced=0.0, followed=1, plan=plan)
    assert seen == [(True, 6, False), (True, 2, False), (True, 2, True)]


def test_plans_begin_with_a_click_and_bring_the_logits_where_there_is_none() -> None:
    plans = [plan_later_rounds(np.random.default_rng(seed)) for seed in range(400)]
    assert {len(plan) for plan in plans} == {1, 2, 3, 5}
    assert not any(plan[0].still for plan in plans)
    later = [later_round for plan in plans for later_round in plan]
    assert not any(later_round.still and later_round.bare for later_round in later)


def test_plans_are_drawn_as_often_as_they_say() -> None:
    """Within four standard deviations of chance."""
    plans = [plan_later_rounds(np.random.default_rng((1, seed))) for seed in range(4000)]
    after_the_first = [later_round for plan in plans for later_round in plan[1:]]
    later = [later_round for plan in plans for later_round in plan]
    with_click = [later_round.bare for later_round in later if not later_round.still]
    counts = np.bincount([len(plan) for plan in plans], minlength=6) / len(plans)
    np.testing.assert_allclose(counts, [0, 0.4, 0.3, 0.2, 0, 0.1], atol=0.03)
    for drawn, share in (
        ([later_round.still for later_round in after_the_first], 0.15),
        (with_click, 0.3),
        ([later_round.deepest for later_round in later], 0.5),
    ):
        assert np.mean(drawn) == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / len(drawn)))


def test_clicks_of_a_round_go_to_the_deepest_position_where_the_plan_says_so(
    model: Sam, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[list[int] | None, bool]] = []
    rows = [0, 1, 3, 4]  # the first two of each image's three prompt sets

    def watched(
        prompts: Prompts, masks: Tensor, iou: Tensor, targets: Tensor, choose: Choose | None, still: bool
    ) -> Prompts:
        pixels = torch.full((4,), DRAWS)  # of so many pixels each draw chooses its own number
        asked.append((None if choose is None else choose(pixels).tolist(), still))
        assert torch.equal(targets, batch.targets[rows, 0].bool())
        return next_prompts(prompts, masks, iou, targets, choose, still)

    monkeypatch.setattr(rounds, "next_prompts", watched)
    set_grid(model, GRID)
    embedding = embed_image(model, batch.image, GRID)
    plan = [LaterRound(), LaterRound(deepest=True), LaterRound(still=True), LaterRound(deepest=True, still=True)]
    fast = FastMaskDecoder(model.mask_decoder)
    training_losses(model, fast, batch, embedding, balanced=0.0, followed=2, plan=plan)
    draws = batch.draws[rows]
    assert asked == [(draws[:, 0].tolist(), False), (None, False), (draws[:, 2].tolist(), True), (None, True)]


def test_later_losses_are_the_means_of_the_first_and_the_last_later_round(
    model: Sam, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = iter([(torch.tensor(1.0), torch.tensor(10.0)), (torch.tensor(5.0), torch.tensor(30.0))])
    monkeypatch.setattr(rounds, "later_round_loss", lambda *_: next(given))
    set_grid(model, GRID)
    embedding = embed_image(model, batch.image, GRID)
    fast = FastMaskDecoder(model.mask_decoder)
    losses = training_losses(model, fast, batch, embedding, balanced=0.0, followed=1, plan=[LaterRound()] * 3)
    assert (float(losses["later_mask"]), float(losses["later_iou"])) == (3, 20)
