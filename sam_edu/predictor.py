"""Predictor: a picture in, prompts in the picture's own pixels, masks of the picture's own size."""

from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from sam_edu.fast.fast_mask_decoder import FastMaskDecoder
from sam_edu.modules.checks import check_shape
from sam_edu.sam import Sam

Numbers = np.ndarray | Tensor | Sequence[Any]  # a prompt: an array, or lists and tuples of numbers

# PIL modes of 8 bits a channel, and 1 bit. The others ("I", "F", "I;16") have no known range of values.
_PIL_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV")


class NoImageError(ValueError, RuntimeError):
    """A prediction was asked for before `set_image`. (Meta's `SamPredictor` raises RuntimeError.)"""


class ResizeLongestSide:
    """The way from a picture's own pixels to the model's frame: scale the longer side to `target_length`.

    Args:
        target_length: the model's side in pixels, 1024 for Meta's models.

    Source: `segment_anything/utils/transforms.py`.
    """

    def __init__(self, target_length: int) -> None:
        self.target_length = target_length

    def apply_image(self, image: np.ndarray) -> np.ndarray:
        """Resize a picture (height, width, 3) of uint8, bilinearly and with antialiasing, as PIL does it."""
        height, width = self.get_preprocess_shape(image.shape[0], image.shape[1], self.target_length)
        return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))

    def apply_coords(self, coords: np.ndarray, original_size: tuple[int, int]) -> np.ndarray:
        """Scale points (..., 2), (x, y) in pixels of a picture of `original_size` (height, width)."""
        return np.asarray(coords, dtype=np.float64) * self._scale(original_size)

    def apply_boxes(self, boxes: np.ndarray, original_size: tuple[int, int]) -> np.ndarray:
        """Scale boxes (x0, y0, x1, y1) to shape (boxes, 4)."""
        return self.apply_coords(np.reshape(boxes, (-1, 2, 2)), original_size).reshape(-1, 4)

    def apply_coords_torch(self, coords: Tensor, original_size: tuple[int, int]) -> Tensor:
        """`apply_coords` for a tensor, in float32."""
        return coords.float() * torch.tensor(self._scale(original_size), dtype=torch.float32, device=coords.device)

    def apply_boxes_torch(self, boxes: Tensor, original_size: tuple[int, int]) -> Tensor:
        """`apply_boxes` for a tensor, in float32."""
        return self.apply_coords_torch(boxes.reshape(-1, 2, 2), original_size).reshape(-1, 4)

    def _scale(self, original_size: tuple[int, int]) -> tuple[float, float]:
        height, width = self.get_preprocess_shape(*original_size, self.target_length)
        return width / original_size[1], height / original_size[0]  # for x, for y

    @staticmethod
    def get_preprocess_shape(oldh: int, oldw: int, long_side_length: int) -> tuple[int, int]:
        """Height and width of the resized picture; at least 1 pixel, however narrow the picture."""
        scale = long_side_length / max(oldh, oldw)
        return max(1, int(oldh * scale + 0.5)), max(1, int(oldw * scale + 0.5))


class Predictor:
    """Encode a picture once, then answer prompts about it: `SamPredictor`'s contract, with its input checked.

    A call that is refused changes nothing: the picture that was set stays set.

    Args:
        model: a `Sam`.
        device: where to move the model; None leaves it where it is.
        fast: decode with a `FastMaskDecoder`: the same masks up to rounding, sooner, and nothing to trace.

    Attributes:
        features: the picture's embedding (1, dim, height, width), or None.
        original_size: the picture's height and width in pixels, or None.
        input_size: its height and width in the model's frame, before padding, or None.
        transform: the way from the picture's pixels to the model's frame, for `predict_torch`.

    Raises:
        TypeError: `model` is no module; or `fast` with a mask decoder that is not `sam_edu.MaskDecoder`.

    Source: `segment_anything/predictor.py`.
    """

    def __init__(self, model: Sam, *, device: torch.device | str | None = None, fast: bool = False) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(f"model: expected a Sam, such as sam_edu.load() gives, got {type(model).__name__}")
        self.model = model if device is None else model.to(device)
        self.fast_mask_decoder = FastMaskDecoder.from_decoder(model.mask_decoder) if fast else None
        self.transform = ResizeLongestSide(model.image_size)
        self.reset_image()

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.device

    @property
    def is_image_set(self) -> bool:
        """Whether there is a picture to ask about."""
        return self.features is not None

    def reset_image(self) -> None:
        """Forget the picture."""
        self.features: Tensor | None = None
        self.original_size: tuple[int, int] | None = None
        self.input_size: tuple[int, int] | None = None

    def set_image(self, image: np.ndarray | Image.Image, image_format: str = "RGB") -> None:
        """Encode a picture. If it is refused, the one before stays.

        Args:
            image: an array of uint8, or of floats from 0 to 1: grey (height, width) or (height, width, 1), RGB
                (height, width, 3), or RGBA (height, width, 4); or a PIL image. What is transparent is laid on white.
            image_format: "RGB" or "BGR", the order of an array's channels (OpenCV reads BGR).

        Raises:
            TypeError: neither an array nor a PIL image, or an array of another dtype.
            ValueError: an empty picture, another number of channels, NaN, floats outside 0 to 1, a PIL mode whose
                range of values is not known, another `image_format`.
        """
        if image_format not in ("RGB", "BGR"):
            raise ValueError(f'image_format: expected "RGB" or "BGR", got {image_format!r}')
        if isinstance(image, Image.Image):
            if image_format != "RGB":
                raise ValueError(f'image_format: a PIL image is converted to "RGB" by itself, got {image_format!r}')
            pixels = _to_rgb(_from_pil(image))
        else:
            pixels = _to_rgb(image)
        if image_format != self.model.image_format:
            pixels = np.ascontiguousarray(pixels[..., ::-1])
        resized = torch.tensor(self.transform.apply_image(pixels), device=self.device)  # a copy: PIL's is read-only
        self.set_torch_image(resized.permute(2, 0, 1)[None], (pixels.shape[0], pixels.shape[1]))

    @torch.no_grad()
    def set_torch_image(self, transformed_image: Tensor, original_image_size: tuple[int, int]) -> None:
        """Encode a picture that is already in the model's frame.

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

    def predict(
        self,
        point_coords: Numbers | None = None,
        point_labels: Numbers | None = None,
        box: Numbers | None = None,
        mask_input: Numbers | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Masks of one object, selected by all these prompts together.

        Args:
            point_coords: clicks (clicks, 2), (x, y) in the picture's pixels, from 0 to its width and height.
            point_labels: (clicks,): 1 on the object, 0 not on it, -1 padding.
            box: (x0, y0, x1, y1) in the picture's pixels, of shape (4,) or (1, 4).
            mask_input: logits (1, 4 * height, 4 * width) of an earlier answer: `low_res[i : i + 1]`.
            multimask_output: three masks, for an ambiguous prompt such as one click, or one.
            return_logits: leave out the threshold.

        Returns:
            masks (masks, height, width) in the picture's size, bool, or float logits; the predicted IoU of each
            (masks,); and the decoder's logits (masks, 4 * height, 4 * width) on its grid.

        Raises:
            NoImageError: no picture is set.
            TypeError: a prompt that does not hold numbers, a mask input that does not hold floats.
            ValueError: points without labels or labels without points, other shapes, labels other than 1, 0 and -1;
                NaN, infinity, a place outside the picture; a box that is empty or has its corners swapped; a mask
                input that is a 0/1 mask instead of logits.
        """
        size = self._require_image()[1]
        coords_torch = labels_torch = box_torch = mask_torch = None
        _check_pair(point_coords, point_labels)
        if point_coords is not None and point_labels is not None:
            coords, labels = _numbers("point_coords", point_coords), _numbers("point_labels", point_labels)
            if coords.ndim != 2:
                raise ValueError(f"point_coords: expected shape (clicks, 2), got {coords.shape}")
            _check_points(coords, labels, size)
            coords_torch = self._tensor(self.transform.apply_coords(coords, size)[None])
            labels_torch = torch.as_tensor(labels.astype(np.int32)[None], device=self.device)
        if box is not None:
            corners = _numbers("box", box)
            if corners.shape not in ((4,), (1, 4)):
                raise ValueError(f"box: expected four numbers (x0, y0, x1, y1), got shape {corners.shape}")
            _check_boxes("box", corners.reshape(4), size)
            box_torch = self._tensor(self.transform.apply_boxes(corners, size))
        if mask_input is not None:
            mask = _numbers("mask_input", mask_input)
            self._check_mask(mask, (1,))
            mask_torch = self._tensor(mask[None]).to(self.model.pixel_mean.dtype)
        masks, iou, low_res = self._decode(
            coords_torch, labels_torch, box_torch, mask_torch, multimask_output, return_logits
        )
        return masks[0].cpu().numpy(), iou[0].cpu().numpy(), low_res[0].cpu().numpy()

    def predict_torch(
        self,
        point_coords: Tensor | None,
        point_labels: Tensor | None,
        boxes: Tensor | None = None,
        mask_input: Tensor | None = None,
        multimask_output: bool = True,
        return_logits: bool = False,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Masks of several objects at once: a batch of prompt sets, already in the model's frame (`transform`).

        Args:
            point_coords: (batch, clicks, 2) in pixels of the resized picture.
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
        size = self._require_image()[2]
        _check_pair(point_coords, point_labels)
        if point_coords is not None and point_labels is not None:
            check_shape("point_coords", point_coords, ("batch", "clicks", 2))
            check_shape("point_labels", point_labels, tuple(point_coords.shape[:2]))
            _check_points(_numbers("point_coords", point_coords), _numbers("point_labels", point_labels), size)
        if boxes is not None:
            check_shape("boxes", boxes, ("batch", 4))
            _check_boxes("boxes", _numbers("boxes", boxes), size)
        if mask_input is not None:
            check_shape("mask_input", mask_input, ("batch", 1, *self.model.prompt_encoder.mask_input_size))
            self._check_mask(_numbers("mask_input", mask_input), (mask_input.shape[0], 1))
        return self._decode(point_coords, point_labels, boxes, mask_input, multimask_output, return_logits)

    def get_image_embedding(self) -> Tensor:
        """The picture's embedding, (1, dim, height, width) on the grid of image tokens.

        Raises:
            NoImageError: no picture is set.
        """
        return self._require_image()[0]

    @torch.no_grad()
    def _decode(
        self,
        point_coords: Tensor | None,
        point_labels: Tensor | None,
        boxes: Tensor | None,
        mask_input: Tensor | None,
        multimask_output: bool,
        return_logits: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Checked prompts to masks."""
        features, original_size, input_size = self._require_image()
        points = None if point_coords is None or point_labels is None else (point_coords, point_labels)
        sparse, dense = self.model.prompt_encoder(points=points, boxes=boxes, masks=mask_input)
        low_res, iou = (self.fast_mask_decoder or self.model.mask_decoder)(
            image_embeddings=features,
            image_pe=self.model.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=multimask_output,
        )
        masks = self.model.postprocess_masks(low_res, input_size, original_size)
        return masks if return_logits else masks > self.model.mask_threshold, iou, low_res

    def _require_image(self) -> tuple[Tensor, tuple[int, int], tuple[int, int]]:
        if self.features is None or self.original_size is None or self.input_size is None:
            raise NoImageError("image: none is set, so there is nothing to predict on; call set_image(image) first")
        return self.features, self.original_size, self.input_size

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.as_tensor(array, dtype=torch.float32, device=self.device)

    def _check_mask(self, mask: np.ndarray, leading: tuple[int, ...]) -> None:
        """Refuse what cannot be an earlier answer's logits."""
        wanted = (*leading, *self.model.prompt_encoder.mask_input_size)
        if mask.shape != wanted:
            hint = "; take low_res[i : i + 1], which keeps the first axis" if mask.shape == wanted[1:] else ""
            raise ValueError(f"mask_input: expected logits of shape {wanted}, got {mask.shape}{hint}")
        if mask.dtype.kind != "f":
            raise TypeError(f"mask_input: expected logits, which are floats, got {mask.dtype}")
        if not np.isfinite(mask).all():
            raise ValueError("mask_input: expected finite logits, got NaN or infinity")
        for top in (1, 255):
            if mask.max() == top and np.isin(mask, (0, top)).all():
                raise ValueError(
                    f"mask_input: expected logits (above 0 on the object, below elsewhere), got a mask of 0 and {top}; "
                    "pass an earlier answer's low_res, or for example 20 * mask - 10"
                )


def _from_pil(image: Image.Image) -> np.ndarray:
    """RGB or RGBA of a PIL image."""
    if image.mode not in _PIL_MODES:
        raise ValueError(f"image: expected a PIL image of mode {', '.join(_PIL_MODES)}, got {image.mode}")
    transparent = image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info
    return np.asarray(image.convert("RGBA" if transparent else "RGB"))


def _to_rgb(image: Any) -> np.ndarray:
    """Check an array and bring it to (height, width, 3) of uint8; its channels keep their order."""
    if not isinstance(image, np.ndarray):
        hint = " (open a file with PIL.Image.open)" if isinstance(image, str | PathLike) else ""
        raise TypeError(f"image: expected a numpy array or a PIL image, got {type(image).__name__}{hint}")
    channels = image.shape[2] if image.ndim == 3 else 1
    if image.ndim not in (2, 3) or channels not in (1, 3, 4):
        raise ValueError(
            f"image: expected (height, width) or (height, width, channels) with 1, 3 or 4 channels, got {image.shape}"
        )
    if image.size == 0:
        raise ValueError(f"image: expected at least one pixel, got an empty picture of shape {image.shape}")
    if image.dtype.kind == "f":
        if not np.isfinite(image).all():
            raise ValueError("image: expected floats from 0 to 1, got NaN or infinity")
        if image.min() < 0 or image.max() > 1:
            raise ValueError(f"image: expected floats from 0 to 1, got {image.min():.4g} to {image.max():.4g}")
        image = (image.astype(np.float64) * 255 + 0.5).astype(np.uint8)
    elif image.dtype != np.uint8:
        raise TypeError(f"image: expected dtype uint8 (0 to 255) or float (0 to 1), got {image.dtype}")
    if channels == 1:
        return np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2)
    if channels == 4:
        alpha = image[..., 3:].astype(np.uint32)
        white = 255 * (255 - alpha)  # what shows through; 0 where the picture is opaque, which leaves it as it is
        return ((image[..., :3] * alpha + white + 127) // 255).astype(np.uint8)
    return np.ascontiguousarray(image)


def _numbers(name: str, value: Numbers) -> np.ndarray:
    """`value` as an array of numbers."""
    try:
        array = value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
    except ValueError:
        raise ValueError(f"{name}: expected an array, got rows of different lengths") from None
    if array.dtype.kind not in "iufb":
        raise TypeError(f"{name}: expected numbers, got {type(value).__name__} of {array.dtype}")
    return array


def _check_pair(point_coords: object, point_labels: object) -> None:
    if point_coords is not None and point_labels is None:
        raise ValueError("point_labels: expected a label for each point (1 on the object, 0 not on it), got None")
    if point_labels is not None and point_coords is None:
        raise ValueError("point_coords: expected a point (x, y) for each label, got None")


def _check_points(coords: np.ndarray, labels: np.ndarray, size: tuple[int, int]) -> None:
    """Refuse clicks outside the picture of `size` (height, width), and labels that are none."""
    if coords.shape[-1] != 2 or coords.size == 0:
        hint = "; leave it out where there are no clicks" if coords.size == 0 else ""
        raise ValueError(
            f"point_coords: expected at least one click, (x, y) on the last axis, got {coords.shape}{hint}"
        )
    if labels.shape != coords.shape[:-1]:
        raise ValueError(f"point_labels: expected shape {coords.shape[:-1]}, a label per click, got {labels.shape}")
    wrong = ~np.isin(labels, (1, 0, -1))
    if wrong.any():
        where = _index(np.argwhere(wrong)[0])
        raise ValueError(
            f"point_labels{where}: expected 1 (on the object), 0 (not on it) or -1 (padding), got {labels[wrong][0]}"
        )
    _check_inside("point_coords", coords, size)


def _check_boxes(name: str, boxes: np.ndarray, size: tuple[int, int]) -> None:
    """Refuse boxes (..., 4) that are empty, swapped or outside the picture of `size` (height, width)."""
    boxes = boxes.astype(np.float64)  # the difference of unsigned integers would wrap around
    _check_inside(name, boxes, size)
    sides = boxes[..., 2:] - boxes[..., :2]
    wrong = (sides <= 0).any(-1)
    if wrong.any():
        x0, y0, x1, y1 = boxes[wrong][0] if boxes.ndim > 1 else boxes
        problem = "its corners are swapped" if x1 < x0 or y1 < y0 else "it is empty"
        where = _index(np.argwhere(wrong)[0])
        raise ValueError(
            f"{name}{where}: expected (x0, y0, x1, y1) with x0 < x1 and y0 < y1, got ({x0:g}, {y0:g}, {x1:g}, {y1:g}): "
            f"{problem}"
        )


def _check_inside(name: str, places: np.ndarray, size: tuple[int, int]) -> None:
    """Refuse x, y, ... on the last axis that are not finite or not within the picture of `size` (height, width)."""
    height, width = size
    limits = np.resize((width, height), places.shape[-1]) * (1 + 1e-6)  # some slack, for coordinates that were scaled
    finite = np.isfinite(places)
    wrong = ~(finite & (places >= 0) & (places <= limits)).all(-1)
    if wrong.any():
        index = tuple(np.argwhere(wrong)[0])
        got = ", ".join(f"{value:g}" for value in places[index])
        problem = "lies outside the picture" if finite[index].all() else "is not finite"
        raise ValueError(
            f"{name}{_index(index)}: ({got}) {problem}; the picture is {width} x {height}, so x goes from 0 to {width} "
            f"and y from 0 to {height}"
        )


def _index(index: Any) -> str:
    """`[2, 0]`, or nothing for an index without axes."""
    return f"[{', '.join(str(i) for i in index)}]" if len(index) else ""
