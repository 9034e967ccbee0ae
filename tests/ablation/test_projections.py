"""Projections: positions row by row, vectors by head, and encodings without a bias."""

import pytest
import torch

from sam_edu.ablation import TOKEN_TO_IMAGE
from sam_edu.ablation.projections import as_sequence, by_head, projected_encoding
from sam_edu.modules import Attention
from sam_edu.sam import Sam


def test_image_tokens_come_row_by_row_and_heads_one_after_another() -> None:
    feature_map = torch.arange(2 * 6.0).view(1, 2, 2, 3)  # position (y, x) holds 3 y + x, and 6 more
    assert as_sequence(feature_map)[0].tolist() == [[i, i + 6] for i in range(6)]
    vectors = torch.arange(2 * 6.0).view(1, 2, 6)
    assert by_head(vectors, 3)[0].tolist() == [[[0, 1], [6, 7]], [[2, 3], [8, 9]], [[4, 5], [10, 11]]]


@pytest.mark.parametrize("name", TOKEN_TO_IMAGE)
def test_what_an_encoding_adds_is_the_projection_with_it_minus_that_without(model: Sam, name: str) -> None:
    """So the bias counts as content: no encoding adds nothing."""
    attention: Attention = model.mask_decoder.get_submodule(name)  # type: ignore[assignment]
    content, encoding = (torch.randn(1, 7, 256, generator=torch.Generator().manual_seed(i)) for i in (0, 1))
    for side in ("q", "k", "v"):
        with_it, without = (attention.get_submodule(f"{side}_proj")(x) for x in (content + encoding, content))
        added = projected_encoding(attention, side, encoding)
        torch.testing.assert_close(added.transpose(1, 2).flatten(2), with_it - without, atol=1e-5, rtol=1e-4)


def test_another_side_is_refused(model: Sam) -> None:
    attention: Attention = model.mask_decoder.get_submodule(TOKEN_TO_IMAGE[0])  # type: ignore[assignment]
    with pytest.raises(ValueError, match="side: expected one of q, k, v, got 'out'"):
        projected_encoding(attention, "out", torch.zeros(1, 7, 256))
