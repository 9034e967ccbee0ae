"""Predictor: masks of one image from prompts in the image's own pixels."""

from functools import partial

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from sam_edu.arrays import on_device, to_numpy, to_tensor
from sam_edu.fast.fast_mask_decoder import FastMaskDecoder
from sam_edu.image_checks import Embedded, as_embedded, as_size, check_frame, check_sizes, from_pil, to_rgb
from sam_edu.model_checks import Weights, as_sam, dtype_of, image_size
from sam_edu.modules.checks import check_shape
from sam_edu.prompt_checks import Numbers, Prompts, check_flag, check_prompt_sets, check_prompts
from sam_edu.resize import ResizeLongestSide

Points = tuple[Tensor, Tensor]
"""Clicks (batch, clicks, 2) in the model's frame, and their labels (batch, clicks)."""


class NoImageError(ValueError, RuntimeError):
    """Raised by a prediction before `set_image`. (Meta's `SamPredictor` raises RuntimeError.)"""


class Predictor:
    """Encode an image once, then predict masks for any number of prompts: Meta's `SamPredictor`, with checked input.

    A call that is refused changes nothing: the image that was set stays set.

    An embedding can be stored and put back, here or in another Predictor of the same model: assign `features`,
    `original_size` and `input_size`, then `is_image_set = True`. If the model moves to another device or dtype, the
    embedding follows; if its image encoder gets other weights, prediction is refused until the image is set again.

    Args:
        model: a `Sam`, also inside `nn.DataParallel` or `torch.compile`, which are taken off; or Meta's `Sam`.
        device: where to move the model; None leaves it where it is.
        fast: decode with a `FastMaskDecoder`: the same masks up to rounding, sooner, and a predictor that `trace`
            refuses. On a CPU it does less work: from the fourth prediction on an image on, less than a third of the
            decoder's operations, and before that at most two thirds. On any other device it takes about half as many
            kernels and 0.4 to 0.6 of the bytes; products of weights are kept from the first prediction on, and weights
            are recognised without reading a value back (`FastMaskDecoder` says which changes that does not see).
            `docs/benchmarks` has the times of a processor and of an H200, where it gains less. Whatever it does not run
            is decoded by the mask decoder itself: hooks and interventions on any of its modules, adapters and other
            layers in a layer's place, more than about 20 tokens a prompt set (32 on a GPU).

    Attributes:
        model: the `Sam`.
        is_image_set: whether an image is set.
        features: the image's embedding (1, dim, height, width), or None.
        original_size: the image's height and width in pixels, or None.
        input_size: its height and width in the model's frame, before padding, or None.
        transform: scales images and prompts to the model's frame, for `predict_torch`.

    Raises:
        TypeError: `model` is no Sam; or `fast` with a mask decoder that is not `sam_edu.MaskDecoder`.

    Source: `segment_anything/predictor.py`.
    """

    def __init__(self, model: nn.Module, *, device: torch.device | str | None = None, fast: bool = False) -> None:
        sam = as_sam(model)
        self.model = sam if device is None else sam.to(device)
        self.fast_mask_decoder = FastMaskDecoder(self.model.mask_decoder) if fast else None
        self.transform = ResizeLongestSide(image_size(self.model))
        self.reset_image()

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.device

    def reset_image(self) -> None:
        """Forget the image."""
        self.is_image_set = False
        self._encoded: tuple[Tensor, Weights] | None = None
        self.features: Tensor | None = None
        self.original_size: tuple[int, int] | None = None
        self.input_size: tuple[int, int] | None = None

    def set_image(self, image: np.ndarray | Image.Image, image_format: str = "RGB") -> None:
        """Encode an image. If it is refused, the one before stays set.

        Args:
            image: an array of uint8, or of floats from 0 to 1: grey (height, width) or (height, width, 1), RGB
                (height, width, 3), or RGBA (height, width, 4), which is blended with white; or a PIL image, which
                is turned upright as its metadata say (a phone's photograph): clicks and masks are those of the
                upright image. `np.asarray` of a PIL image loses that: use `PIL.ImageOps.exif_transpose` before it.
            image_format: "RGB" or "BGR", the order of an array's channels (OpenCV reads BGR).

        Raises:
            TypeError: neither an array nor a PIL image, or an array of another dtype.
            ValueError: an empty image, another number of channels, NaN, floats outside 0 to 1, masked values, a PIL
                mode whose range of values is not known, damaged EXIF metadata, another `image_format`.
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
        resized = to_tensor(self.transform.apply_image(pixels), dtype=torch.uint8, device=self.device)
        self.set_torch_image(resized.permute(2, 0, 1)[None], (pixels.shape[0], pixels.shape[1]))

    @torch.inference_mode(False)  # whose tensors the fast decoder could not recognise
    @torch.no_grad()
    def set_torch_image(self, transformed_image: Tensor, original_image_size: tuple[int, int]) -> None:
        """Encode an image that is already in the model's frame.

        Args:
            transformed_image: (1, 3, height, width), values from 0 to 255 in the model's `image_format`; the longer
                side is the model's `image_size`.
            original_image_size: height and width to which masks are brought back.

        Raises:
            TypeError: not a tensor, or a size that is no whole number.
            ValueError: another shape, NaN, floats from 0 to 1, a size that is none or has its sides exchanged.
        """
        check_shape("transformed_image", transformed_image, (1, 3, "height", "width"))
        height, width = transformed_image.shape[2:]
        side = image_size(self.model)
        if min(height, width) < 1 or max(height, width) != side:
            raise ValueError(
                f"transformed_image: expected a longer side of {side} pixels, got {height} x {width}; resize the image"
                " with transform.apply_image, or give the original one to set_image"
            )
        check_frame(transformed_image)
        original_size = as_size("original_image_size", original_image_size)
        check_sizes(original_size, (height, width), partial(self.transform.get_preprocess_shape, long_side_length=side))
        encoder, mean = self.model.image_encoder, self.model.pixel_mean
        prepared = self.model.preprocess(transformed_image.detach().to(mean.device).float())
        features = encoder(prepared.to(dtype_of(encoder, mean.dtype)))
        self.features, self.original_size, self.input_size = features, original_size, (height, width)
        self.is_image_set, self._encoded = True, (features, Weights(encoder))

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
            TypeError: a prompt that does not hold numbers, a mask input that does not hold floats, an option that is
                neither True nor False.
            ValueError: points without labels or labels without points, other shapes, labels other than 1, 0 and -1;
                NaN, infinity, a position outside the image; a box that is empty or has its corners swapped; a mask
                input that is a 0/1 mask instead of logits; the image encoder's weights have changed since `set_image`.

        Warns:
            UserWarning: all positions lie in the first pixel, as normalised ones do.
        """
        prompts = self._check(point_coords, point_labels, box, mask_input)
        points, boxes, mask = self._scale(prompts)
        sparse, dense = self._embed(points, boxes, mask)
        low_res, iou = self._decode(sparse, dense, multimask_output)
        masks = self._enlarge(low_res, return_logits)
        return to_numpy(masks[0]), to_numpy(iou[0]), to_numpy(low_res[0])

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
        self._require_same_encoder()
        mask_size = self.model.prompt_encoder.mask_input_size
        check_prompt_sets(point_coords, point_labels, boxes, mask_input, image_size=input_size, mask_size=mask_size)
        points = None
        if point_coords is not None and point_labels is not None:
            points = on_device(point_coords, self.device), on_device(point_labels, self.device)
        boxes = None if boxes is None else on_device(boxes, self.device)
        mask_input = None if mask_input is None else on_device(mask_input, self.device)
        sparse, dense = self._embed(points, boxes, mask_input)
        low_res, iou = self._decode(sparse, dense, multimask_output)
        return self._enlarge(low_res, return_logits), iou, low_res

    def get_image_embedding(self) -> Tensor:
        """The image's embedding, (1, dim, height, width) on the grid of image tokens.

        Raises:
            NoImageError: no image is set.
        """
        features, _, _ = self._require_image()
        self._require_same_encoder()
        return features

    def _require_image(self) -> Embedded:
        if not self.is_image_set:
            hint = "" if self.features is None else " (or is_image_set = True, where features were put back)"
            raise NoImageError(
                f"image: none is set, so there is nothing to predict on; call set_image(image) first{hint}"
            )
        try:
            return as_embedded(self.features, self.original_size, self.input_size)
        except ValueError as error:
            raise NoImageError(str(error)) from None

    def _require_same_encoder(self) -> None:
        features, weights = self._encoded or (None, None)
        # An embedding that was put back is of unknown weights.
        if weights is not None and self.features is features and weights.changed(self.model.image_encoder):
            raise ValueError(
                "image: the image encoder has got other weights since the image was set, so the embedding is out of"
                " date; call set_image(image) again (or keep the old one: features = features.clone())"
            )

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
        self._require_same_encoder()
        mask_size = self.model.prompt_encoder.mask_input_size
        return check_prompts(point_coords, point_labels, box, mask_input, image_size=original_size, mask_size=mask_size)

    def _scale(self, prompts: Prompts) -> tuple[Points | None, Tensor | None, Tensor | None]:
        """2. Scale the prompts to the model's frame, as tensors with an axis for the batch."""
        _, original_size, _ = self._require_image()
        points = boxes = mask = None
        if prompts.coords is not None and prompts.labels is not None:
            coords = self._tensor(self.transform.apply_coords(prompts.coords, original_size)[None])
            points = coords, to_tensor(prompts.labels[None], dtype=torch.int32, device=self.device)
        if prompts.box is not None:
            boxes = self._tensor(self.transform.apply_boxes(prompts.box, original_size))
        if prompts.mask is not None:
            mask = self._tensor(prompts.mask[None])
        return points, boxes, mask

    def _embed(self, points: Points | None, boxes: Tensor | None, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """3. Embed the prompts: tokens for clicks and boxes, a feature map for the mask."""
        encoder = self.model.prompt_encoder
        if mask is not None:
            mask = mask.to(dtype_of(encoder, mask.dtype))
        return encoder(points=points, boxes=boxes, masks=mask)

    def _decode(self, sparse: Tensor, dense: Tensor, multimask_output: bool) -> tuple[Tensor, Tensor]:
        """4. Decode them with the image's embedding: logits on the decoder's grid, and the predicted IoU."""
        decoder = self._decoder()
        # The model may have moved to another device or dtype since the image was set.
        features, _, _ = self._require_image()
        dtype, encoder = dtype_of(decoder, features.dtype), self.model.prompt_encoder
        if isinstance(decoder, FastMaskDecoder):
            image_pe = decoder.dense_pe(encoder, dtype)
        else:
            image_pe = encoder.get_dense_pe().to(dtype)
        return decoder(
            image_embeddings=features.to(self.device, dtype),
            image_pe=image_pe,
            sparse_prompt_embeddings=sparse.to(dtype),
            dense_prompt_embeddings=dense.to(dtype),
            multimask_output=check_flag("multimask_output", multimask_output),
        )

    def _enlarge(self, low_res: Tensor, return_logits: bool) -> Tensor:
        """5. Enlarge the logits to the original image's size, and threshold them."""
        _, original_size, input_size = self._require_image()
        logits = self.model.postprocess_masks(low_res, input_size, original_size)
        return logits if check_flag("return_logits", return_logits) else logits > self.model.mask_threshold

    def _decoder(self) -> nn.Module:
        """The model's mask decoder, or the fast one that shares its parameters."""
        if self.fast_mask_decoder is None:
            return self.model.mask_decoder
        if self.fast_mask_decoder.decoder is not self.model.mask_decoder:  # the model has got another one
            self.fast_mask_decoder = FastMaskDecoder(self.model.mask_decoder)
        return self.fast_mask_decoder

    def _tensor(self, array: np.ndarray) -> Tensor:
        return to_tensor(array, dtype=torch.float32, device=self.device)
