"""Boundary IoU on masks whose bands can be counted by hand, and against erosion carried out step by step."""

import numpy as np
import pytest
from scipy import ndimage
from toy_masks import blank, rectangle

from sam_edu.evaluation.baselines import iou
from sam_edu.evaluation.boundary import boundary, boundary_iou

SQUARE = rectangle(10, 10, 29, 29)  # 20 x 20 pixels in an image of 40 x 60: its diagonal is 72, the band 1 pixel wide


def test_a_mask_with_itself_is_one() -> None:
    assert boundary_iou(SQUARE[None], SQUARE).tolist() == [1]


def test_squares_by_hand() -> None:
    """The bands of a square and of the one shifted by a pixel share one row of 19 on two sides, two corners' pixels."""
    shifted = rectangle(11, 10, 30, 29)
    band = 20**2 - 18**2  # 76
    both = 2 * 19  # of the top and the bottom row; the columns lie beside each other
    [score] = boundary_iou(shifted[None], SQUARE)
    assert score == pytest.approx(both / (2 * band - both))
    assert iou(shifted[None], SQUARE)[0] == pytest.approx(19 / 21)  # the area hardly sees it


def test_a_hole_in_the_middle_costs_as_its_own_edge() -> None:
    hollow = SQUARE.copy()
    hollow[18:22, 18:22] = False
    outer, inner = 76, 6**2 - 4**2
    assert boundary_iou(hollow[None], SQUARE)[0] == pytest.approx(outer / (outer + inner))


def test_masks_apart_and_empty_ones_score_zero() -> None:
    assert boundary_iou(np.stack([rectangle(40, 10, 50, 20), blank()]), SQUARE).tolist() == [0, 0]


def test_a_disc_inside_another_shares_no_edge_once_it_is_a_band_smaller() -> None:
    """Area IoU says 0.83, boundary IoU 0: the edge is wrong everywhere."""
    y, x = np.mgrid[:256, :256]
    distance = np.hypot(y - 127.5, x - 127.5)
    large, small = distance < 100, distance < 100 - 11
    assert iou(small[None], large)[0] == pytest.approx(0.89**2, abs=0.01)
    assert boundary_iou(small[None], large)[0] == 0
    assert boundary_iou((distance < 99)[None], large)[0] == pytest.approx(0.75, abs=0.05)


@pytest.mark.parametrize("width", [1, 2, 5])
def test_band_is_what_erosion_removes(width: int) -> None:
    rng = np.random.default_rng(0)
    mask = ndimage.gaussian_filter(rng.normal(size=(50, 70)), 4) > 0
    assert mask[[0, -1]].any()  # it reaches the image's edge
    kept = np.pad(mask, 1)
    for _ in range(width):
        kept = ndimage.binary_erosion(kept, np.ones((3, 3), bool))
    np.testing.assert_array_equal(boundary(mask, width), mask & ~kept[1:-1, 1:-1])


def test_the_images_edge_is_an_edge() -> None:
    assert boundary(np.ones((5, 6), bool), 1).sum() == 5 * 6 - 3 * 4


@pytest.mark.parametrize(("size", "width"), [((256, 256), 7), ((1024, 1024), 29), ((10, 10), 1)])
def test_band_is_two_percent_of_the_diagonal_and_a_pixel_at_least(size: tuple[int, int], width: int) -> None:
    whole = np.ones(size, bool)
    inner = np.zeros(size, bool)
    inner[width:-width, width:-width] = True
    # The whole image's band is its frame; of a mask without that frame it does not share a pixel.
    assert boundary_iou(inner[None], whole)[0] == 0
    wider = np.zeros(size, bool)
    wider[width - 1 : 1 - width or None, width - 1 : 1 - width or None] = True
    assert boundary_iou(wider[None], whole)[0] > 0


@pytest.mark.no_shape_check
def test_wrong_masks_are_refused() -> None:
    with pytest.raises(ValueError, match=r"target: expected at least one pixel, got an empty mask of shape \(40, 60\)"):
        boundary_iou(SQUARE[None], blank())
    with pytest.raises(ValueError, match=r"masks: expected \(n, \*\(40, 60\)\)"):
        boundary_iou(SQUARE, SQUARE)
    with pytest.raises(ValueError, match="of logits take logits > 0"):
        boundary_iou(SQUARE[None] - 0.5, SQUARE)
    with pytest.raises(ValueError, match="share: expected a positive share"):
        boundary_iou(SQUARE[None], SQUARE, share=0)
