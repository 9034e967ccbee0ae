"""Predictor: masks of one image from prompts in the image's own pixels."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from sam_edu.fast.fast_mask_decoder import FastMaskDecoder
from sam_edu.image_checks import from_pil, to_rgb
from sam_edu.modules.checks import check_shape
from sam_edu.prompt_checks import Numbers, Prompts, check_prompt_sets, check_prompts
from sam_edu.resize import ResizeLongestSide
from sam_edu.sam import Sam

Points = tuple[Tensor, Tensor]
"""Clicks (batch, clicks, 2) in the model's frame, and their labels (batch, clicks)."""


class NoImageError(ValueError, RuntimeError):
    """Raised by a prediction before `set_image`. (Meta's `SamPredictor` raises RuntimeError.)"""


class Predictor:
    """Encode an image once, then predict masks for any number of prompts: Meta's `SamPredictor`, with checked input.

    A call that is refused changes nothing: the image that was set stays set.

    Args:
        model: a `Sam`.
        device: where to move the model; None leaves it where it is.
        fast: decode with a `FastMaskDecoder`: the same masks up to rounding, sooner, and a predictor that `trace`
            refuses. On a CPU it does less work: from the fourth prediction on an image on, less than a third of the
            decoder's operations, and before that at most two thirds. On any other device it runs the decoder's own
            algebra in about half as many kernels, and the CPU's form for a batch of 64 prompt sets or more. Whatever
            it does not run is decoded by the mask decoder itself: hooks and interventions on any of its modules,
            adapters and other layers in a layer's place, more than about 20 tokens a prompt set (on a CPU).

    Attributes:
        features: the image's embedding (1, dim, height, width), or None.
        original_size: the image's height and width in pixels, or None.
        input_size: its height and width in the model's frame, before padding, or None.
        transform: scales images and prompts to the model's frame, for `predict_torch`.

    Raises:
        TypeError: `model` is no module; or `fast` with a mask decoder that is not `sam_edu.MaskDecoder`.

    Source: `segment_anything/predictor.py`.
    """

    def __init__(self, model: Sam, *, device: torch.device | str | None = None, fast: bool = False) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(f"model: expected a Sam, such as sam_edu.load() gives, got {type(model).__name__}")
        self.model = model if device is None else model.to(device)
        self.fast_mask_decoder = FastMaskDecoder(model.mask_decoder) if fast else None
        self.transform = ResizeLongestSide(model.image_size)
        self.reset_image()

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.device

    @property
    def is_image_set(self) -> bool:
        """Whether an image is set."""
        return self.features is not None

    def reset_image(self) -> None:
        """Forget the image."""
        self.features: Tensor | None = None
        self.original_size: tuple[int, int] | None = None
        self.input_size: tuple[int, int] | None = None

    def set_image(self, image: np.ndarray | Image.Image, image_format: str = "RGB") -> None:
        """Encode an image. If it is refused, the one before stays set.

        Args:
            image: an array of uint8, or of floats from 0 to 1: grey (height, width) or (height, width, 1), RGB
                (height, width, 3), or RGBA (height, width, 4), which is blended with white; or a PIL image.
            image_format: "RGB" or "BGR", the order of an array's channels (OpenCV reads BGR).

        Raises:
            TypeError: neither an array nor a PIL image, or an array of another dtype.
            ValueError: an empty image, another number of channels, NaN, floats outside 0 to 1, a PIL mode whose
                range of values is not known, another `image_format`.
        """
        if image_format not in ("RGB", "BGR"):
            raise ValueError(f'image_format: expected "RGB" or "BGR", got {image_format!r}')
        if isinstance(image, Image.Image):
            if image_format != "RGB":
                raise ValueError(f'image_format: a PIL image is converted to "RGB" by itself, got {image_format!r}')
            pixels = to_rgb(from_pil(image))
        else:
            pixels = to_rgb(image)
        if image_format != self.model.image_format:
            pixels = np.ascontiguousarray(pixels[..., ::-1])
        resized = torch.tensor(self.transform.apply_image(pixels), device=self.device)  # a copy: PIL's is read-only
        self.set_torch_image(resized.permute(2, 0, 1)[None], (pixels.shape[0], pixels.shape[1]))

    @torch.no_grad()
    def set_torch_image(self, transformed_image: Tensor, original_image_size: tuple[int, int]) -> None:
        """Encode an image that is already in the model's frame.

        Args:
            transformed_image: (1, 3, height, width), values from 0 to 255 in the model's `image_format`; the longer
                side is the model's `image_size`.
            original_image_size: height and width to which masks are brought back.

        Raises:
            TypeError: not a tensor.
            ValueError: another shape, or a size that is none.
        """
        check_shape("transformed_image", transformed_image, (1, 3, "height", "width"))
        height, width = transformed_image.shape[2:]
        if min(height, width) < 1 or max(height, width) != self.model.image_size:
            raise ValueError(
                f"transformed_image: expected a longer side of {self.model.image_size} pixels, got {height} x {width}"
            )
        if len(original_image_size) != 2 or min(original_image_size) < 1:
            raise ValueError(f"original_image_size: expected (height, width) in pixels, got {original_image_size}")
        prepared = self.model.preprocess(transformed_image.float()).to(self.model.pixel_mean.dtype)
        features = self.model.image_encoder(prepared)
        self.features, self.original_size, self.input_size = features, original_image_size, (height, width)

    @torch.no_grad()
    def predict(
        self,
        point_coords: Numbers | None = None,
        point_labels: Numbers | None = None,
        box: Numbers | None = None,
        mask_input: Numbers | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Predict masks of one object, which all these prompts together select.

        Args:
            point_coords: clicks (clicks, 2), (x, y) in the image's pixels, from 0 to its width and height.
            point_labels: (clicks,): 1 on the object, 0 not on it, -1 padding.
            box: (x0, y0, x1, y1) in the image's pixels, of shape (4,) or (1, 4).
            mask_input: logits (1, 4 * height, 4 * width) of an earlier result: `low_res[i : i + 1]`.
            multimask_output: three masks, for an ambiguous prompt such as one click, or one.
            return_logits: leave out the threshold.

        Returns:
            masks (masks, height, width) in the image's size, bool, or float logits; the predicted IoU of each
            (masks,); and the decoder's logits (masks, 4 * height, 4 * width) on its grid.

        Raises:
            NoImageError: no image is set.
            TypeError: a prompt that does not hold numbers, a mask input that does not hold floats.
            ValueError: points without labels or labels without points, other shapes, labels other than 1, 0 and -1;
                NaN, infinity, a position outside the image; a box that is empty or has its corners swapped; a mask
                input that is a 0/1 mask instead of logits.
        """
        prompts = self._check(point_coords, point_labels, box, mask_input)
        points, boxes, mask = self._scale(prompts)
        sparse, dense = self._embed(points, boxes, mask)
        low_res, iou = self._decode(sparse, dense, multimask_output)
        masks = self._enlarge(low_res, return_logits)
        return masks[0].cpu().numpy(), iou[0].cpu().numpy(), low_res[0].cpu().numpy()

    @torch.no_grad()
    def predict_torch(
        self,
        point_coords: Tensor | None,
        point_labels: Tensor | None,
        boxes: Tensor | None = None,
        mask_input: Tensor | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Predict masks of several objects at once: a batch of prompt sets, already in the model's frame (`transform`).

        Args:
            point_coords: (batch, clicks, 2) in pixels of the resized image.
            point_labels: (batch, clicks).
            boxes: (batch, 4), likewise.
            mask_input: (batch, 1, 4 * height, 4 * width) logits.
            multimask_output: as for `predict`.
            return_logits: as for `predict`.

        Returns:
            as `predict`, with the batch in front, as tensors on the model's device.

        Raises:
            as `predict`.
        """
        _, _, input_size = self._require_image()
        mask_size = self.model.prompt_encoder.mask_input_size
        check_prompt_sets(point_coords, point_labels, boxes, mask_input, image_size=input_size, mask_size=mask_size)
        points = None if point_coords is None or point_labels is None else (point_coords, point_labels)
        sparse, dense = self._embed(points, boxes, mask_input)
        low_res, iou = self._decode(sparse, dense, multimask_output)
        return self._enlarge(low_res, return_logits), iou, low_res

    def get_image_embedding(self) -> Tensor:
        """The image's embedding, (1, dim, height, width) on the grid of image tokens.

        Raises:
            NoImageError: no image is set.
        """
        return self._require_image()[0]

    def _require_image(self) -> tuple[Tensor, tuple[int, int], tuple[int, int]]:
        if self.features is None or self.original_size is None or self.input_size is None:
            raise NoImageError("image: none is set, so there is nothing to predict on; call set_image(image) first")
        return self.features, self.original_size, self.input_size

    # --- The five moves of `predict` ---

    def _check(
        self,
        point_coords: Numbers | None,
        point_labels: Numbers | None,
        box: Numbers | None,
        mask_input: Numbers | None,
    ) -> Prompts:
        """1. Check the prompts against the image that is set."""
        _, original_size, _ = self._require_image()
        mask_size = self.model.prompt_encoder.mask_input_size
        return check_prompts(point_coords, point_labels, box, mask_input, image_size=original_size, mask_size=mask_size)

    def _scale(self, prompts: Prompts) -> tuple[Points | None, Tensor | None, Tensor | None]:
        """2. Scale the prompts to the model's frame, as tensors with an axis for the batch."""
        _, original_size, _ = self._require_image()
        points = boxes = mask = None
        if prompts.coords is not None and prompts.labels is not None:
            coords = self._tensor(self.transform.apply_coords(prompts.coords, original_size)[None])
            points = coords, torch.as_tensor(prompts.labels.astype(np.int32)[None], device=self.device)
        if prompts.box is not None:
            boxes = self._tensor(self.transform.apply_boxes(prompts.box, original_size))
        if prompts.mask is not None:
            mask = self._tensor(prompts.mask[None]).to(self.model.pixel_mean.dtype)
        return points, boxes, mask

    def _embed(self, points: Points | None, boxes: Tensor | None, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """3. Embed the prompts: tokens for clicks and boxes, a feature map for the mask."""
        return self.model.prompt_encoder(points=points, boxes=boxes, masks=mask)

    def _decode(self, sparse: Tensor, dense: Tensor, multimask_output: bool) -> tuple[Tensor, Tensor]:
        """4. Decode them with the image's embedding: logits on the decoder's grid, and the predicted IoU."""
        decoder = self.fast_mask_decoder or self.model.mask_decoder
        return decoder(
            image_embeddings=self.get_image_embedding(),
            image_pe=self.model.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=multimask_output,
        )

    def _enlarge(self, low_res: Tensor, return_logits: bool) -> Tensor:
        """5. Enlarge the logits to the original image's size, and threshold them."""
        _, original_size, input_size = self._require_image()
        logits = self.model.postprocess_masks(low_res, input_size, original_size)
        return logits if return_logits else logits > self.model.mask_threshold

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.as_tensor(array, dtype=torch.float32, device=self.device)
