"""Resizing to the model's frame: the longer side, and points that stay inside."""

import numpy as np
import torch

from sam_edu.resize import ResizeLongestSide

SIZES = [(48, 64), (64, 64), (97, 31), (200, 333), (7, 5), (1, 300), (300, 1), (1, 1)]


def test_resizing_keeps_points_inside() -> None:
    for height, width in SIZES:
        transform = ResizeLongestSide(64)
        resized = transform.apply_image(np.zeros((height, width, 3), np.uint8))
        assert max(resized.shape[:2]) == 64
        corner = transform.apply_coords(np.array([width, height]), (height, width))
        np.testing.assert_allclose(corner, resized.shape[1::-1])
        corner = transform.apply_coords_torch(torch.tensor([width, height]), (height, width))
        np.testing.assert_allclose(corner, resized.shape[1::-1], rtol=1e-6)
