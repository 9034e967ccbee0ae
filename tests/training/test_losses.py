"""The losses against formulas written out pair by pair, and the assignment against brute force."""

import itertools
import math

import pytest
import torch

from sam_edu.training.losses import best_assignment, grouping_loss, pairwise_iou, pairwise_mask_loss


def normal(*sizes: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*sizes, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def binary(*sizes: int, seed: int = 1, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return (normal(*sizes, seed=seed) > 0.3).to(dtype)


def slow_loss(logits: torch.Tensor, target: torch.Tensor, balanced: float) -> float:
    """20 focal + 1 dice, or balanced cross-entropy + 1 dice, pixel by pixel from the papers' formulas."""
    focal, inside, outside = [], [], []
    overlap = total = 0.0
    for x, t in zip(logits.flatten().tolist(), target.flatten().tolist(), strict=True):
        p = 1 / (1 + math.exp(-x))
        p_true, alpha = (p, 0.25) if t else (1 - p, 0.75)
        focal.append(-alpha * (1 - p_true) ** 2 * math.log(p_true))
        (inside if t else outside).append(-math.log(p_true))
        overlap += p * t
        total += p + t
    dice = 1 - (2 * overlap + 1) / (total + 1)
    both = (sum(inside) / max(1, len(inside)) + sum(outside) / max(1, len(outside))) / 2
    return (1 - balanced) * 20 * sum(focal) / len(focal) + balanced * both + dice


@pytest.mark.parametrize("balanced", [0.0, 0.5, 1.0])
def test_mask_loss_of_every_pair_equals_the_formulas(balanced: float) -> None:
    logits, targets = 3 * normal(2, 4, 3, 5), binary(2, 3, 3, 5)
    targets[0, 1] = 0  # an empty one
    targets[1, 2] = 1  # a full one
    got = pairwise_mask_loss(logits, targets, balanced)
    expected = [
        [[slow_loss(logits[b, m], targets[b, t], balanced) for t in range(3)] for m in range(4)] for b in range(2)
    ]
    torch.testing.assert_close(got, torch.tensor(expected, dtype=torch.float64), rtol=1e-10, atol=1e-10)


def test_focal_is_applied_to_each_pixel_and_not_to_the_mean() -> None:
    """One pixel badly wrong among easy ones: the focal factor of the mean would be nearly zero."""
    logits, targets = torch.full((1, 1, 1, 10), 5.0, dtype=torch.float64), torch.ones(1, 1, 1, 10, dtype=torch.float64)
    logits[..., 0] = -5.0
    got = pairwise_mask_loss(logits, targets, 0.0).item()
    cross_entropy = torch.nn.functional.softplus(-logits).mean()
    of_the_mean = 20 * 0.25 * (1 - torch.exp(-cross_entropy)) ** 2 * cross_entropy
    p = torch.sigmoid(logits)
    dice = (1 - (2 * p.sum() + 1) / (p.sum() + 10 + 1)).item()
    assert got - dice == pytest.approx(20 * 0.25 * 5.0067 * 0.9933**2 / 10, rel=1e-3)
    assert got - dice > 2 * of_the_mean.item()


@pytest.mark.parametrize("balanced", [0.0, 0.5, 1.0])
def test_mask_loss_is_finite_for_enormous_logits_and_prefers_the_right_mask(balanced: float) -> None:
    targets = binary(1, 1, 4, 4, dtype=torch.float32)
    logits = (1000 * torch.cat([2 * targets - 1, 1 - 2 * targets], dim=1)).requires_grad_()
    right, wrong = pairwise_mask_loss(logits, targets, balanced)[0, :, 0]
    assert right < 1e-3 < wrong
    (gradient,) = torch.autograd.grad(right + wrong, logits)
    assert torch.isfinite(gradient).all()


def brute_force(loss: torch.Tensor, valid: list[bool]) -> float:
    """The cheapest way to give every valid target a mask of its own."""
    targets = [t for t, is_valid in enumerate(valid) if is_valid]
    ways = itertools.permutations(range(loss.shape[0]), len(targets))
    return min(sum(loss[m, t].item() for m, t in zip(way, targets, strict=True)) for way in ways) / len(targets)


VALID = [[True, False, False], [True, True, False], [True, True, True]]


@pytest.mark.parametrize("valid", VALID)
def test_best_assignment_equals_brute_force(valid: list[bool]) -> None:
    loss = normal(20, 3, 3).exp()
    got = best_assignment(loss, torch.tensor([valid] * 20))
    expected = torch.tensor([brute_force(row, valid) for row in loss], dtype=torch.float64)
    torch.testing.assert_close(got, expected)


def test_best_assignment_is_not_the_best_mask_of_each_target() -> None:
    """Mask 0 suits both targets best, but may have only one of them."""
    loss = torch.tensor([[[1.0, 1.0, 0.0], [5.0, 3.0, 0.0], [9.0, 9.0, 0.0]]])
    assert best_assignment(loss, torch.tensor([[True, True, False]])).tolist() == [2.0]


@pytest.mark.parametrize("valid", VALID)
def test_unmatched_masks_get_no_gradient(valid: list[bool]) -> None:
    logits = normal(1, 3, 4, 4).requires_grad_()
    loss = pairwise_mask_loss(logits, binary(1, 3, 4, 4), 0.0)
    best_assignment(loss, torch.tensor([valid])).sum().backward()
    assert logits.grad is not None
    trained = (logits.grad[0].abs().amax((1, 2)) > 0).tolist()
    assert sum(trained) == sum(valid)
    if sum(valid) == 1:
        assert trained.index(True) == int(loss[0, :, 0].argmin())


def test_pairwise_iou_by_hand() -> None:
    masks = torch.tensor([[[[1, 1, 0], [0, 0, 0]], [[1, 1, 1], [1, 1, 1]], [[0, 0, 0], [0, 0, 0]]]]).bool()
    targets = torch.tensor([[[[0, 1, 1], [0, 0, 0]], [[0, 0, 0], [0, 0, 0]]]]).float()
    expected = torch.tensor([[[1 / 3, 0.0], [1 / 3, 0.0], [0.0, 0.0]]])
    torch.testing.assert_close(pairwise_iou(masks, targets), expected)
    torch.testing.assert_close(pairwise_iou(targets > 0, targets)[0, 0, 0], torch.tensor(1.0))


def test_grouping_loss_is_small_where_embeddings_agree_with_the_masks() -> None:
    label = torch.arange(3).repeat_interleave(8)
    agreeing = torch.eye(5)[label]
    confused = normal(24, 5, dtype=torch.float32)
    alike = torch.ones(24, 5)
    agree = grouping_loss(agreeing, label).item()
    assert agree < 0.05
    assert grouping_loss(confused, label).item() > 10 * agree
    assert grouping_loss(alike, label).item() > 10 * agree


def test_grouping_loss_by_hand() -> None:
    """Two pixels of mask 1 at a right angle, one of none along the first; the two of none are not compared."""
    embedding = torch.tensor([[2.0, 0.0], [0.0, 3.0], [1.0, 0.0], [0.0, -1.0]])
    label = torch.tensor([1, 1, 0, 0])

    def softplus(x: float) -> float:
        return math.log1p(math.exp(x))

    pull = softplus(5.0)  # cosine 0
    push = (softplus(5.0) + softplus(-5.0) + softplus(-5.0) + softplus(-15.0)) / 4  # cosines 1, 0, 0, -1
    assert grouping_loss(embedding, label).item() == pytest.approx(pull + push, rel=1e-5)


def test_grouping_loss_is_0_with_nothing_to_compare_and_its_gradient_is_finite() -> None:
    nothing = normal(6, 4, dtype=torch.float32).requires_grad_()
    loss = grouping_loss(nothing, torch.zeros(6, dtype=torch.int64))
    loss.backward()
    assert loss.item() == 0.0
    assert nothing.grad is not None
    assert not nothing.grad.any()
    something = torch.cat([torch.zeros(2, 4), normal(4, 4, dtype=torch.float32)]).requires_grad_()
    grouping_loss(something, torch.tensor([1, 1, 2, 2, 0, 3])).backward()
    assert something.grad is not None
    assert torch.isfinite(something.grad).all()
    assert something.grad.any()


def test_grouping_loss_of_many_groups_is_the_mean_of_each_alone() -> None:
    """With a group in which nothing can be compared, and one in which all is one mask."""
    embedding = normal(2, 3, 9, 4, dtype=torch.float32)
    label = torch.randint(0, 3, (2, 3, 9), generator=torch.Generator().manual_seed(0))
    label[0, 1], label[1, 2] = 0, 2
    alone = [grouping_loss(embedding[i, j], label[i, j]) for i in range(2) for j in range(3)]
    torch.testing.assert_close(grouping_loss(embedding, label), torch.stack(alone).mean())
    assert alone[1] == 0
    assert min(loss.item() for k, loss in enumerate(alone) if k != 1) > 0
