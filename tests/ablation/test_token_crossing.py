"""Tokens through the MLPs of other masks, on MLPs whose answer is known."""

import pytest
import torch
from torch import Tensor, nn

from sam_edu.ablation.token_crossing import CROSSINGS, LOTS, TOKENS, crossed

PIXELS = torch.eye(4).repeat(1, 2)  # channel i is one at pixels i and i + 4


class Fixed(nn.Module):
    """An MLP that ignores its token."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def forward(self, token: Tensor) -> Tensor:
        return torch.eye(4)[self.number].expand(*token.shape[:-1], 4)


class Copy(nn.Module):
    """An MLP that returns its token."""

    def forward(self, token: Tensor) -> Tensor:
        return token


def test_a_mask_follows_its_mlp_where_the_mlps_ignore_their_tokens() -> None:
    found = crossed([Fixed(i) for i in range(4)], torch.eye(4), torch.ones(4), PIXELS)
    assert dict(zip(CROSSINGS, found.crossings.tolist(), strict=True)) == {
        "its token": 0.0,
        "its MLP": 1.0,
        "token's with MLP's": 0.0,
    }
    assert (found.tokens == 1).all()


def test_a_mask_follows_its_token_where_the_mlps_are_all_alike() -> None:
    found = crossed([Copy() for _ in range(4)], torch.eye(4), torch.ones(4), PIXELS)
    assert found.crossings.tolist() == [1.0, 0.0, 0.0]
    one_mean, zero = found.tokens
    assert one_mean.tolist() == [0.25] * 4  # all pixels, of which a quarter is each mask
    assert zero.tolist() == [0.0] * 4
    assert len(TOKENS) == 2


def test_masks_that_overlap_are_alike_before_anything_is_crossed() -> None:
    tokens = torch.eye(4)
    tokens[1, 0] = 1.0  # mask 1 holds mask 0
    found = crossed([Copy() for _ in range(4)], tokens, torch.ones(4), PIXELS)
    assert found.crossings[2].item() == pytest.approx(2 * 0.5 / 12)


def test_there_are_enough_lots() -> None:
    assert LOTS >= 20
