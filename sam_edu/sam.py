"""Sam: image encoder, prompt encoder and mask decoder in one model, and load()."""

import os
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from sam_edu import checkpoints
from sam_edu.image_checks import as_size
from sam_edu.model_checks import dtype_of
from sam_edu.modules import MaskDecoder, PromptEncoder, TwoWayTransformer
from sam_edu.modules.checks import check_shape
from sam_edu.resize import resize_logits
from sam_edu.tiny.image_encoder import TinyImageEncoder

PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)

Record = Mapping[str, Any]
_KEYS = ("image", "original_size", "point_coords", "point_labels", "boxes", "mask_inputs")
_MISTAKEN_KEYS = {"points": "point_coords", "labels": "point_labels", "box": "boxes", "mask_input": "mask_inputs"}


class Sam(nn.Module):
    """A whole Segment Anything model.

    Args:
        image_encoder: normalised images (batch, 3, size, size) to image embeddings (batch, 256, grid, grid).
        prompt_encoder: prompts to tokens and a dense map.
        mask_decoder: embeddings to mask logits and IoU predictions.
        image_size: height and width in pixels to which images are padded; 1024 in Meta's models.
        pixel_mean: mean of each colour, 0 to 255.
        pixel_std: standard deviation of each colour, 0 to 255.

    Source: `segment_anything/modeling/sam.py`.
    """

    mask_threshold: float = 0.0
    image_format: str = "RGB"
    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(
        self,
        image_encoder: nn.Module,
        prompt_encoder: PromptEncoder,
        mask_decoder: MaskDecoder,
        image_size: int,
        pixel_mean: tuple[float, float, float] = PIXEL_MEAN,
        pixel_std: tuple[float, float, float] = PIXEL_STD,
    ) -> None:
        super().__init__()
        self.image_encoder = image_encoder
        self.prompt_encoder = prompt_encoder
        self.mask_decoder = mask_decoder
        self.image_size = image_size
        # float32 whatever PyTorch's default dtype is: no checkpoint holds these two, so loading does not correct them.
        mean, std = (torch.tensor(colours, dtype=torch.float32).view(-1, 1, 1) for colours in (pixel_mean, pixel_std))
        self.register_buffer("pixel_mean", mean, persistent=False)
        self.register_buffer("pixel_std", std, persistent=False)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.pixel_mean.device

    @torch.no_grad()
    def forward(self, batched_input: Sequence[Record], multimask_output: bool) -> list[dict[str, Tensor]]:
        """Predict masks of several images, each with its own prompt sets. `Predictor` does it step by step.

        Args:
            batched_input: per image a dictionary. Its "image" (3, height, width) is resized to the model's frame, with
                colours from 0 to 255; its "original_size" is the height and width to which masks are brought back. What
                there is of prompts, in pixels of the resized image: "point_coords" (batch, clicks, 2) and
                "point_labels" (batch, clicks), "boxes" (batch, 4), "mask_inputs" (batch, 1, 4 * height, 4 * width).
            multimask_output: three masks per prompt set, or one.

        Returns:
            per image a dictionary: "masks" (batch, masks, height, width), bool, in the original size;
            "iou_predictions" (batch, masks); "low_res_logits" (batch, masks, 4 * height, 4 * width).

        Raises:
            TypeError: no list of dictionaries, or an entry of another type.
            ValueError: an entry is missing, has a name of the Predictor's arguments, or has another shape.
        """
        records = _checked(batched_input)
        dtype = dtype_of(self.image_encoder, self.pixel_mean.dtype)
        images = torch.stack([self.preprocess(record["image"]) for record in records])
        results = []
        for record, embedding in zip(records, self.image_encoder(images.to(dtype)), strict=True):
            coords, labels, boxes, masks = (record.get(key) for key in _KEYS[2:])
            if masks is not None:
                masks = masks.to(dtype_of(self.prompt_encoder, masks.dtype))
            points = None if coords is None else (coords, labels)
            sparse, dense = self.prompt_encoder(points=points, boxes=boxes, masks=masks)
            low_res, iou = self.mask_decoder(
                image_embeddings=embedding[None],
                image_pe=self.prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=multimask_output,
            )
            height, width = record["image"].shape[1:]
            logits = self.postprocess_masks(low_res, (height, width), as_size("original_size", record["original_size"]))
            masks = logits > self.mask_threshold
            results.append({"masks": masks, "iou_predictions": iou, "low_res_logits": low_res})
        return results

    def preprocess(
        self, x: Float[Tensor, "*batch 3 height width"] | UInt8[Tensor, "*batch 3 height width"]
    ) -> Float[Tensor, "*batch 3 size size"]:
        """Normalise the colours, then pad with zeros on the right and at the bottom.

        Args:
            x: images with colours from 0 to 255, neither side longer than `image_size`.

        Raises:
            ValueError: an image that is too large.
        """
        height, width = x.shape[-2:]
        if max(height, width) > self.image_size:
            raise ValueError(
                f"x: expected at most {self.image_size} pixels a side, got {height} x {width}; resize it first with "
                f"sam_edu.resize.ResizeLongestSide({self.image_size}).apply_image"
            )
        x = (x - self.pixel_mean) / self.pixel_std
        return F.pad(x, (0, self.image_size - width, 0, self.image_size - height))

    def postprocess_masks(
        self, masks: Float[Tensor, "batch masks low low"], input_size: tuple[int, int], original_size: tuple[int, int]
    ) -> Float[Tensor, "batch masks height width"]:
        """Enlarge the logits to the padded image, cut the padding off, resize to the original image.

        Args:
            masks: logits as the decoder gives them.
            input_size: height and width of the resized image before padding.
            original_size: height and width of the original image.
        """
        return resize_logits(masks, self.image_size, input_size, original_size)


def _checked(batched_input: Any) -> list[Record]:
    """The records of `Sam.forward`, each with what it needs."""
    if isinstance(batched_input, Mapping | Tensor | str) or not isinstance(batched_input, Sequence):
        raise TypeError(
            "batched_input: expected a list with a dictionary per image, with the keys "
            f"{', '.join(_KEYS)}, got {type(batched_input).__name__}; for one image and its prompts use "
            "sam_edu.Predictor"
        )
    if not batched_input:
        raise ValueError("batched_input: expected at least one image, got none")
    for i, record in enumerate(batched_input):
        where = f"batched_input[{i}]"
        if not isinstance(record, Mapping):
            raise TypeError(f"{where}: expected a dictionary, got {type(record).__name__}")
        for key in _KEYS[:2]:
            if key not in record:
                raise ValueError(f"{where}: expected the key {key!r}, got {', '.join(map(repr, record)) or 'none'}")
        for key, right in _MISTAKEN_KEYS.items():
            if key in record:
                raise ValueError(f"{where}: expected the key {right!r}, got {key!r}")
        given = [key for key in ("point_coords", "point_labels") if record.get(key) is not None]
        if len(given) == 1:
            raise ValueError(f"{where}: expected 'point_coords' and 'point_labels' together, got {given[0]!r} alone")
        check_shape(f"{where}['image']", record["image"], (3, "height", "width"))
    return list(batched_input)


def build_mask_decoder() -> MaskDecoder:
    """A mask decoder of the official configuration, the same in vit_b, vit_l and vit_h; random weights."""
    return MaskDecoder(
        transformer_dim=256,
        transformer=TwoWayTransformer(depth=2, embedding_dim=256, num_heads=8, mlp_dim=2048),
        num_multimask_outputs=3,
        iou_head_depth=3,
        iou_head_hidden_dim=256,
    )


def build_tiny() -> Sam:
    """The tiny model's architecture with random weights: official decoder, 64 x 64 grid, images of 256 pixels."""
    prompt_encoder = PromptEncoder(
        embed_dim=256, image_embedding_size=(64, 64), input_image_size=(256, 256), mask_in_chans=16
    )
    return Sam(TinyImageEncoder(), prompt_encoder, build_mask_decoder(), image_size=256)


def tiny_weights() -> Path:
    """Where the package keeps the tiny model's weights."""
    return Path(str(files("sam_edu") / "tiny" / "tiny.safetensors"))


def build_official(name: str) -> Sam:
    """One of Meta's architectures with random weights: Meta's image encoder, our prompt encoder and mask decoder.

    Args:
        name: "vit_b", "vit_l" or "vit_h".

    Raises:
        ValueError: another name.
        OfficialPackageMissingError: Meta's package segment-anything, which has the image encoder, is not installed.
    """
    from sam_edu import official

    try:
        image_encoder = official.build_image_encoder(name)
    except official.OfficialPackageMissingError as error:
        raise official.OfficialPackageMissingError(
            f"the model {name} needs the image encoder of Meta's package segment-anything, which is not installed. "
            "Get it with: pip install segment-anything"
        ) from error
    prompt_encoder = PromptEncoder(
        embed_dim=256, image_embedding_size=(64, 64), input_image_size=(1024, 1024), mask_in_chans=16
    )
    return Sam(image_encoder, prompt_encoder, build_mask_decoder(), image_size=1024)


def build_empty(name: str) -> Sam:
    """One of the four models with shapes and no values (on PyTorch's meta device), which costs next to nothing.

    Args:
        name: "tiny", "vit_b", "vit_l" or "vit_h".

    Raises:
        ValueError: another name.
        OfficialPackageMissingError: one of Meta's models, and the package segment-anything is not installed.
    """
    with torch.device("meta"):
        model = build_tiny() if name == "tiny" else build_official(name)
    # Once more outside, for the two buffers that no checkpoint holds; on the CPU, whatever PyTorch's default device is.
    with torch.device("cpu"):
        return Sam(model.image_encoder, model.prompt_encoder, model.mask_decoder, model.image_size)


def load(
    name: str = "tiny", *, checkpoint: str | os.PathLike[str] | None = None, device: str | torch.device = "cpu"
) -> Sam:
    """Load a trained model, ready for inference (float32, eval mode, no gradients).

    Args:
        name: "tiny", the model that comes with the package; or one of Meta's, "vit_b", "vit_l" or "vit_h".
        checkpoint: the file with the weights. For "tiny" None stands for those that come with the package, and a path
            for those of one's own training. For Meta's models None stands for the file that `sam_edu.download(name)`
            fetched; a path can be that of Meta's file, of Hugging Face's, or of one's own training, also where a
            wrapper put words into the names or an optimiser stands beside the weights. No code that a file may hold is
            run.
        device: where to put it.

    Raises:
        ValueError: an unknown name; one of Meta's models without a checkpoint or a download; or a file that is not
            what it should be: empty, cut short, damaged, a web page, a Git LFS pointer, one that holds code, or the
            weights of another architecture.
        TypeError: `checkpoint` is no path.
        FileNotFoundError: there is no such file.
        OfficialPackageMissingError: one of Meta's models, whose image encoder needs the package segment-anything.
    """
    if name != "tiny" and name not in checkpoints.OFFICIAL:
        known = ", ".join(map(repr, ("tiny", *checkpoints.OFFICIAL)))
        raise ValueError(f"name: expected one of {known}, got {name!r}")
    where = torch.device(device)
    if checkpoint is None:
        checkpoint = tiny_weights() if name == "tiny" else checkpoints.find_downloaded(name)
        if checkpoint is None:
            raise ValueError(
                f"checkpoint: load({name!r}) needs the path of {checkpoints.advice(name)}, got None. It does without a "
                f"path after a download: python -m sam_edu download {name}, or sam_edu.download({name!r})"
            )
        if not checkpoint.is_file():
            raise FileNotFoundError(
                f"{checkpoint} is missing: install sam_edu again (pip install --force-reinstall sam-edu)"
            )
    model = build_empty(name)
    # Whatever the file stores, such as float16 to be small, is computed in float32.
    checkpoints.fill(model, checkpoints.read(checkpoint, name=name), name)
    return model.to(where)


def load_mask_decoder(
    checkpoint: str | os.PathLike[str] | None = None, *, device: str | torch.device = "cpu"
) -> MaskDecoder:
    """Load a mask decoder alone, ready for inference (float32, eval mode, no gradients).

    Args:
        checkpoint: a file that holds a decoder, whether alone or in a whole model; any model whose decoder is SAM's
            will do. None stands for the tiny model's.
        device: where to put it.

    Raises:
        ValueError: the file cannot be used, for any of the reasons that `load` gives, or its decoder is not SAM's.
        TypeError: `checkpoint` is no path.
        FileNotFoundError: there is no such file.
    """
    entries = checkpoints.read(tiny_weights() if checkpoint is None else checkpoint)
    with torch.device("meta"):
        decoder = build_mask_decoder()
    checkpoints.fill(decoder, entries, "mask decoder", part="mask_decoder")
    return decoder.to(torch.device(device))


def load_from_environment(*, device: str | torch.device = "cpu") -> Sam | None:
    """Load the model whose checkpoint the environment variable SAM_EDU_CHECKPOINT names; its kind is recognised.

    Args:
        device: where to put it.

    Returns:
        the model as `load` gives it, or None where the variable is unset or empty.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file cannot be used, for any of the reasons that `load` gives, or is of none of the models that
            `load` knows.
        OfficialPackageMissingError: one of Meta's models, whose image encoder needs the package segment-anything.
    """
    given = os.environ.get(checkpoints.ENVIRONMENT_VARIABLE)
    if not given:
        return None
    where = torch.device(device)
    entries = checkpoints.read(given, argument=checkpoints.ENVIRONMENT_VARIABLE)
    name = checkpoints.recognise(entries.values)
    if name is None:
        known = ", ".join(["tiny", *checkpoints.OFFICIAL])
        raise entries.refuse(f"is of none of the models {known}; {checkpoints.describe(entries)}")
    model = build_empty(name)
    checkpoints.fill(model, entries, name)
    return model.to(where)
