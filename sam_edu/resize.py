"""From an image's own pixels to the model's frame, and from the decoder's logits back to the image's pixels."""

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from sam_edu.arrays import as_numbers
from sam_edu.image_checks import as_size


class ResizeLongestSide:
    """Scale images and prompts from the original image to the model's frame, whose longer side is `target_length`.

    Args:
        target_length: the model's side in pixels, 1024 for Meta's models.

    Source: `segment_anything/utils/transforms.py`.
    """

    def __init__(self, target_length: int) -> None:
        self.target_length = target_length

    def apply_image(self, image: np.ndarray) -> np.ndarray:
        """Resize an image (height, width, 3) of uint8, bilinearly and with antialiasing, as PIL does it.

        Raises:
            TypeError: another dtype, or no array.
            ValueError: another shape.
        """
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
            what = f"an array of {image.dtype}" if isinstance(image, np.ndarray) else type(image).__name__
            raise TypeError(
                f"image: expected an array of uint8 (0 to 255), got {what}; set_image takes other kinds too"
            )
        if image.ndim not in (2, 3) or 0 in image.shape or image.shape[2:] not in ((), (3,), (4,)):
            raise ValueError(f"image: expected (height, width, 3) or (height, width), got {image.shape}")
        image = np.ascontiguousarray(image)
        height, width = self.get_preprocess_shape(image.shape[0], image.shape[1], self.target_length)
        return np.array(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))

    def apply_coords(self, coords: np.ndarray, original_size: tuple[int, int]) -> np.ndarray:
        """Scale points (..., 2), (x, y) in pixels of an image of `original_size` (height, width).

        Raises:
            TypeError: they are no numbers.
        """
        return as_numbers("coords", coords).astype(np.float64) * self._scale(original_size)

    def apply_boxes(self, boxes: np.ndarray, original_size: tuple[int, int]) -> np.ndarray:
        """Scale boxes (x0, y0, x1, y1) to shape (boxes, 4)."""
        return self.apply_coords(as_numbers("boxes", boxes).reshape(-1, 2, 2), original_size).reshape(-1, 4)

    def apply_coords_torch(self, coords: Tensor, original_size: tuple[int, int]) -> Tensor:
        """`apply_coords` for a tensor, in float32, also where the tensor is of half precision."""
        return coords.float() * torch.tensor(self._scale(original_size), dtype=torch.float32, device=coords.device)

    def apply_boxes_torch(self, boxes: Tensor, original_size: tuple[int, int]) -> Tensor:
        """`apply_boxes` for a tensor, in float32."""
        return self.apply_coords_torch(boxes.reshape(-1, 2, 2), original_size).reshape(-1, 4)

    def _scale(self, original_size: tuple[int, int]) -> tuple[float, float]:
        old_height, old_width = as_size("original_size", original_size)
        height, width = self.get_preprocess_shape(old_height, old_width, self.target_length)
        return width / old_width, height / old_height  # for x, for y

    @staticmethod
    def get_preprocess_shape(oldh: int, oldw: int, long_side_length: int) -> tuple[int, int]:
        """Height and width of the resized image; at least 1 pixel, however narrow the image."""
        scale = long_side_length / max(oldh, oldw)
        return max(1, int(oldh * scale + 0.5)), max(1, int(oldw * scale + 0.5))


def resize_logits(
    logits: Float[Tensor, "batch masks low low"],
    frame: int,
    input_size: tuple[int, int],
    original_size: tuple[int, int],
) -> Float[Tensor, "batch masks height width"]:
    """Enlarge the logits to the padded frame, cut the padding off, resize to the original image; bilinearly.

    Args:
        logits: as the decoder gives them.
        frame: the model's side in pixels.
        input_size: height and width of the resized image before padding.
        original_size: height and width of the original image.

    Source: `Sam.postprocess_masks` in `segment_anything/modeling/sam.py`.
    """
    logits = F.interpolate(logits, (frame, frame), mode="bilinear", align_corners=False)
    logits = logits[..., : input_size[0], : input_size[1]]
    return F.interpolate(logits, original_size, mode="bilinear", align_corners=False)
