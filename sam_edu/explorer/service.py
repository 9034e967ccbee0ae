"""Service: answers the questions of the click lab's front-end in Python, with any model."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from sam_edu import ablation
from sam_edu.ablation.changes import CHANNELS, DEPTH, HEADS
from sam_edu.explorer.catalogue import Offered, catalogue, image_file, offered
from sam_edu.explorer.gates import MLPS
from sam_edu.explorer.parts import Part
from sam_edu.explorer.stops import PER_IMAGE_TOKEN, read
from sam_edu.figures import embedding_basis
from sam_edu.figures.two_decodes import UPSCALED
from sam_edu.image_checks import from_pil, to_rgb
from sam_edu.predictor import Predictor
from sam_edu.tracing import Trace, intervene, trace

Answer = tuple[dict[str, Any], list[bytes]]
"""What JSON holds, and the numbers beside it as bytes."""

EMBEDDED = 3
"""Images whose embeddings are kept."""

GIVEN = "given"
"""The name of the image that was given to begin with."""


class Service:
    """Answers the questions of the front-end: the catalogue, a file of it, a new image, a decode.

    Args:
        predictor: of the model. It is not changed: the service has predictors of its own on the same model.
        notes: as for `catalogue`; by default where the image encoder is small.
        image: one of one's own, as for `Predictor.set_image`, to begin with.

    Raises:
        ValueError: the decoder's sizes are not those of SAM.

    Attributes:
        trace: the trace of the decode that was asked for last; None before the first one.
        images: the pixels of every image that is known, by its name.
    """

    def __init__(
        self, predictor: Predictor, notes: bool | None = None, image: np.ndarray | Image.Image | None = None
    ) -> None:
        check_decoder(predictor)
        self.trace: Trace | None = None
        self._model = predictor.model
        self._offered = offered()
        if image is not None:
            pixels = to_rgb(from_pil(image) if isinstance(image, Image.Image) else image)
            self._offered = {GIVEN: _given(pixels), **self._offered}
        plain = Predictor(self._model)
        self._catalogue = catalogue(plain, self._offered, notes=_is_small(plain) if notes is None else notes)
        self.images: dict[str, np.ndarray] = {name: one.image for name, one in self._offered.items()}
        self._predictors: dict[str, Predictor] = {}

    def answer(self, question: Mapping[str, Any], buffers: Sequence[bytes] = ()) -> Answer:
        """The answer to one question; what is wrong with it is the answer's "error".

        Args:
            question: its "kind" is "catalogue", "file" (with "name"), "image" (with "id", "width", "height" and the
                RGB bytes beside it) or "decode" (with "image", "prompts", "interventions" and "outputs").
            buffers: the bytes beside it.
        """
        kinds: dict[str, Callable[[Mapping[str, Any], Sequence[bytes]], Answer]] = {
            "catalogue": lambda asked, given: ({**self._catalogue, "bases": self._bases()}, []),
            "file": lambda asked, given: ({}, [image_file(str(asked["name"]), self._offered)]),
            "image": self._set_image,
            "decode": self._decode,
        }
        kind = question.get("kind")
        try:
            if kind not in kinds:
                raise ValueError(f"kind: expected one of {', '.join(kinds)}, got {kind!r}")
            return kinds[str(kind)](question, buffers)
        except (ValueError, TypeError, KeyError, OSError, RuntimeError) as error:
            return {"error": f"{error.args[0]}" if error.args else type(error).__name__}, []

    def offered(self, name: str | None = None) -> Offered:
        """What is offered under a name, or first.

        Raises:
            KeyError: nothing.
        """
        return self._offered[next(iter(self._offered)) if name is None else name]

    def set_image(self, name: str, image: np.ndarray) -> None:
        """Make an image known by a name; an earlier one of that name is forgotten."""
        self.images[name] = image
        self._predictors.pop(name, None)

    def decode(self, image: str, prompts: Mapping[str, Any], interventions: Sequence[Mapping[str, Any]] = ()) -> Trace:
        """Decode prompts on an image with interventions.

        Args:
            image: its name.
            prompts: "points" as (x, y, label), and "box" as (x0, y0, x1, y1) or None.
            interventions: each with its "point", "how" ("zero", "mean", "mean_over_positions", "transplant" or
                "values"), "select" as indices by axis, and "from" or "values".

        Returns:
            the trace; `{mlp}.out`, which has no trace point, is not in it.

        Raises:
            ValueError, KeyError: as `intervene`, or an unknown image.
        """
        if image not in self.images:
            raise ValueError(f"image: expected one of {', '.join(self.images)}, got {image!r}")
        sources = [one.get("from") for one in interventions]
        references = [None if source is None else self.decode(source["image"], source["prompts"]) for source in sources]
        predictor = self._predictor(image)
        points, box = prompts.get("points") or [], prompts.get("box")
        with ExitStack() as stack:
            for one, reference in zip(interventions, references, strict=True):
                stack.enter_context(self._intervention(one, reference))
            t = stack.enter_context(trace(predictor))
            predictor.predict(
                point_coords=[point[:2] for point in points] if points else None,
                point_labels=[point[2] for point in points] if points else None,
                box=box,
            )
        return t

    def ablated(self, image: str, prompts: Mapping[str, Any], part: Part, mode: str) -> Trace:
        """Decode prompts on an image with one part ablated, by `sam_edu.ablation`.

        Args:
            image: its name.
            prompts: as for `decode`.
            part: of the switchboard.
            mode: "zero", "mean" or "resample"; the last one takes the first click of the catalogue's on another image.

        Returns:
            the trace.
        """
        source = next(one for one in self._catalogue["others"] if one["image"] != image)
        references = ablation.References(
            held_out=ablation.load().means if mode == "mean" else None,
            other=self.decode(source["image"], source["prompts"]) if mode == "resample" else None,
        )
        with ablation.ablated(self._model, part.ablation(mode), references):
            return self.decode(image, prompts)

    def enlarged(self, image: str, logits: Float[Tensor, "batch masks low low"]) -> Float[Tensor, "batch masks h w"]:
        """Logits of the decoder in the image's own pixels."""
        predictor = self._predictor(image)
        assert predictor.input_size is not None
        assert predictor.original_size is not None
        return self._model.postprocess_masks(logits.detach(), predictor.input_size, predictor.original_size).cpu()

    def _predictor(self, image: str) -> Predictor:
        known = self._predictors.pop(image, None)
        if known is None:
            known = Predictor(self._model)
            known.set_image(self.images[image])
        self._predictors[image] = known  # the one that was used last goes last
        if len(self._predictors) > EMBEDDED:
            del self._predictors[next(iter(self._predictors))]
        return known

    def _intervention(self, one: Mapping[str, Any], reference: Trace | None) -> Any:
        point, how = str(one["point"]), str(one["how"])
        arguments: dict[str, Any] = {axis: list(indices) for axis, indices in (one.get("select") or {}).items()}
        if point.removesuffix(".out") in MLPS:
            if how != "zero" or arguments:
                raise ValueError(f"how: {point} can be zero as a whole, and nothing else; got {how!r}")
            return _adds_nothing(self._model.mask_decoder.get_submodule(point.removesuffix(".out")))
        by: Any = how
        if how in ("mean", "mean_over_positions"):
            if not self._catalogue["held_out"]:
                raise ValueError("mean: held-out statistics are stored for the tiny model alone; take zero")
            arguments["reference"] = _means(point)
        elif how == "transplant":
            arguments["reference"] = reference
        elif how == "values":
            by = torch.tensor(one["values"], dtype=torch.float32)
        elif how != "zero":
            raise ValueError(f"how: expected zero, mean, mean_over_positions, transplant or values, got {how!r}")
        return intervene(self._model, point, by, **arguments)

    def _bases(self) -> dict[str, Any]:
        """How maps of many channels become colours, from the decode of the first image's click; the 32 channels are the
        means over each image token's pixels."""
        one = self.offered()
        t = self.decode(one.id, {"points": [[*one.click, 1]]})
        maps = {"src": t["src"], UPSCALED: read(t, PER_IMAGE_TOKEN)}
        bases = {name: embedding_basis(tensor[0].float().cpu()) for name, tensor in maps.items()}
        return {
            name: {
                "directions": np.round(basis.directions, 6).tolist(),
                "low": np.round(basis.low, 6).tolist(),
                "high": np.round(basis.high, 6).tolist(),
            }
            for name, basis in bases.items()
        }

    # --- Questions ---

    def _set_image(self, question: Mapping[str, Any], buffers: Sequence[bytes]) -> Answer:
        height, width = int(question["height"]), int(question["width"])
        if len(buffers) != 1 or len(buffers[0]) != 3 * height * width:
            raise ValueError(f"image: expected {3 * height * width} bytes, got {[len(one) for one in buffers]}")
        pixels = np.frombuffer(buffers[0], np.uint8).reshape(height, width, 3).copy()
        name = str(question["id"])
        if name not in self._offered or not np.array_equal(pixels, self.images[name]):
            self.set_image(name, pixels)
        return {}, []

    def _decode(self, question: Mapping[str, Any], buffers: Sequence[bytes]) -> Answer:
        started = time.perf_counter()
        t = self.decode(str(question["image"]), question["prompts"], question.get("interventions") or ())
        self.trace = t
        tensors = {name: read(t, name).detach().float().cpu().contiguous() for name in question["outputs"]}
        shapes = [[name, list(tensor.shape)] for name, tensor in tensors.items()]
        milliseconds = 1000 * (time.perf_counter() - started)
        return {"tensors": shapes, "milliseconds": milliseconds}, [_bytes(x) for x in tensors.values()]


def check_decoder(predictor: Predictor) -> None:
    """Refuse a decoder of other sizes than SAM's, which the front-end draws.

    Raises:
        ValueError: the number of blocks, heads, masks or channels.
    """
    decoder = predictor.model.mask_decoder
    got = {
        "blocks": len(decoder.transformer.layers),
        "heads": decoder.transformer.final_attn_token_to_image.num_heads,
        "masks": decoder.num_mask_tokens,
        "channels": decoder.transformer_dim // 8,
    }
    wanted = {"blocks": DEPTH, "heads": HEADS, "masks": 4, "channels": CHANNELS}
    wrong = [f"{got[name]} {name} instead of {size}" for name, size in wanted.items() if got[name] != size]
    if wrong:
        raise ValueError(f"predictor: the click lab shows decoders of SAM's sizes, this one has {', '.join(wrong)}")


def _given(image: np.ndarray) -> Offered:
    """An image without ground truth; its click is in the middle."""
    height, width = image.shape[:2]
    return Offered(GIVEN, "the given image", image, np.zeros((0, height, width), bool), (width // 2, height // 2), -1)


def _means(point: str) -> Any:
    """The stored means over the held-out clicks; those of image tokens are means over the positions too."""
    means = ablation.load().means
    if point not in means.names:
        raise ValueError(f"mean: none is stored for {point}; stored are {', '.join(means.names)}")
    return means


def _bytes(tensor: Tensor) -> bytes:
    return tensor.numpy().astype("<f4").tobytes()


@contextmanager
def _adds_nothing(mlp: torch.nn.Module) -> Iterator[None]:
    with mlp.register_forward_hook(lambda module, args, output: torch.zeros_like(output)):
        yield


def _is_small(predictor: Predictor) -> bool:
    return sum(parameter.numel() for parameter in predictor.model.image_encoder.parameters()) < 10**7
