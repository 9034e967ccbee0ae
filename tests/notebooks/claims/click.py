"""Click: the running example, decoded by the tiny model as it is or with other weights, whatever claims ask of it.

Everything is computed once per session, at the first question.
"""

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

import sam_edu
from sam_edu import ablation
from sam_edu.ablation import TOKEN_TO_IMAGE
from sam_edu.sam import Sam

IOU, MASKS, CLICK, PADDING = 0, slice(1, 5), 5, 6
"""The seven tokens of one click."""

GRID = 64
BLOCKS = ("transformer.layers.0", "transformer.layers.1")
LOOKS = TOKEN_TO_IMAGE
"""The three attentions in which tokens attend to the image: two in step (2), and the last look."""

UPSCALED = "output_upscaling.activated_twice"


def overlap(one: Any, other: Any) -> np.ndarray:
    """The IoU of masks, mask by mask; two empty masks agree."""
    one, other = np.asarray(one), np.asarray(other)
    both, either = (one & other).sum((-2, -1)), (one | other).sum((-2, -1))
    return np.where(either > 0, both / np.maximum(either, 1), 1.0)


def degrees(one: Tensor, other: Tensor) -> np.ndarray:
    """The angle of vectors along the last axis."""
    return F.cosine_similarity(one, other, dim=-1).clamp(-1, 1).arccos().rad2deg().numpy()


def changed(model: Sam, weights: str) -> Sam:
    """Give the mask decoder and the prompt encoder other weights, in place."""
    generator = torch.Generator().manual_seed(0)
    for part in (model.mask_decoder, model.prompt_encoder):
        for parameter in part.parameters():
            flat = parameter.data.flatten()
            flat = flat[torch.randperm(len(flat), generator=generator)] if weights == "reshuffled" else flat.mean()
            parameter.data = flat.expand(parameter.numel()).reshape(parameter.shape).clone()
    return model


class Click:
    """The running example's click.

    Args:
        weights: "trained"; or "reshuffled" or "levelled", see `claims.evidence.flips`.
    """

    def __init__(self, weights: str = "trained") -> None:
        self.weights = weights
        self.example = sam_edu.example()

    # --- The decode ---

    @cached_property
    def model(self) -> Sam:
        model = sam_edu.load("tiny").requires_grad_(False)
        return model if self.weights == "trained" else changed(model, self.weights)

    @cached_property
    def decoder(self) -> Any:
        return self.model.mask_decoder

    @cached_property
    def predictor(self) -> sam_edu.Predictor:
        predictor = sam_edu.Predictor(self.model)
        predictor.set_image(self.example.image)
        return predictor

    def trace_at(self, click: Any) -> Any:
        """The trace of one positive click."""
        with sam_edu.trace(self.model) as trace:
            self.predictor.predict(click, [1])
        return trace

    @cached_property
    def t(self) -> Any:
        return self.trace_at(self.example.click)

    @property
    def logits(self) -> Tensor:
        """Of masks 0 to 3."""
        return self.t["masks"][0]

    @property
    def masks(self) -> np.ndarray:
        """Masks 0 to 3; the image has the size of the logits."""
        return (self.logits > 0).numpy()

    @property
    def predicted(self) -> np.ndarray:
        """The predicted IoU of masks 0 to 3."""
        return self.t["iou_pred"][0].numpy()

    @cached_property
    def drawn(self) -> int:
        """The largest of masks 1 to 3: the notebooks draw it."""
        return 1 + int(self.masks[1:].sum((1, 2)).argmax())

    @property
    def truth(self) -> np.ndarray:
        """The ground-truth masks at the click, the largest first."""
        return self.example.masks[self.example.at(*self.example.click[0])]

    @property
    def on_object(self) -> Tensor:
        """Which image tokens lie on the clicked object, (4096,)."""
        return torch.from_numpy(self.truth[0][2::4, 2::4].copy()).flatten()

    @property
    def other_object(self) -> np.ndarray:
        """The object opposite the click."""
        return self.example.masks[self.example.at(*(255 - self.example.click[0]))[0]]

    def decode(self, sparse: Tensor, dense: Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Masks 1 to 3 and their predicted IoU, for any prompt tokens and dense embeddings: (sets, 3, ...)."""
        pe = self.model.prompt_encoder.get_dense_pe()
        logits, iou = self.decoder(self.predictor.features, pe, sparse, dense, True)
        return (logits > 0).numpy(), iou.numpy()

    @cached_property
    def prompt(self) -> tuple[Tensor, Tensor]:
        """The click's tokens and dense embedding."""
        click = torch.tensor(self.example.click, dtype=torch.float32)[None]
        return self.model.prompt_encoder((click, torch.ones(1, 1)), None, None)

    # --- Interventions ---

    @contextmanager
    def _all(self, changes: dict[str, Any]) -> Iterator[Any]:
        with ExitStack() as stack:
            for name, how in changes.items():
                stack.enter_context(sam_edu.intervene(self.model, name, how))
            yield stack.enter_context(sam_edu.trace(self.model))

    def under(self, changes: dict[str, Any]) -> Any:
        """The trace of the click under interventions: name -> replacement."""
        with self._all(changes) as trace:
            self.predictor.predict(self.example.click, [1])
        return trace

    def left(self, changes: dict[str, Any]) -> np.ndarray:
        """The IoU of masks 0 to 3 under interventions with the unchanged ones."""
        return overlap((self.under(changes)["masks"][0] > 0).numpy(), self.masks)

    def ablated(self, name: str) -> np.ndarray:
        """Masks 0 to 3 under an ablation of the list."""
        with ablation.ablated(self.model, name), sam_edu.trace(self.model) as trace:
            self.predictor.predict(self.example.click, [1])
        return (trace["masks"][0] > 0).numpy()

    def left_without(self, name: str) -> float:
        """The mean IoU of masks 1 to 3 under an ablation with the unchanged ones."""
        return float(overlap(self.ablated(name), self.masks)[1:].mean())

    # --- Tokens and attention ---

    @cached_property
    def turns(self) -> np.ndarray:
        """By how many degrees each step turns each token: (7 tokens, 7 steps), the last look included."""
        path = ["tokens", *(f"{block}.queries_{i}" for block in BLOCKS for i in (1, 2, 3)), "hs"]
        states = torch.stack([self.t[name][0] for name in path])
        return degrees(states[1:], states[:-1]).T

    def mask_tokens_apart(self, name: str) -> float:
        """The mean angle of two mask tokens in a tensor of the trace."""
        unit = F.normalize(self.t[name][0, MASKS], dim=-1)
        pairs = torch.triu_indices(4, 4, 1)
        return float((unit @ unit.mT).clamp(-1, 1).arccos().rad2deg()[pairs[0], pairs[1]].mean())

    def maps_apart(self, attention: str) -> float:
        """The mean total variation distance of two mask tokens' attention maps."""
        maps = self.t[f"{attention}.weights"][0, :, MASKS]
        pairs = torch.triu_indices(4, 4, 1)
        return float((maps[:, pairs[0]] - maps[:, pairs[1]]).abs().sum(-1).mean() / 2)

    def share_on_object(self, attention: str, token: int = CLICK) -> np.ndarray:
        """How much of a token's weight lies on the object, head by head."""
        return self.t[f"{attention}.weights"][0, :, token][:, self.on_object].sum(-1).numpy()

    # --- The MLPs ---

    def hidden(self, block: int) -> Tensor:
        """The activations of the hidden units, (7, 2048)."""
        return self.t[f"{BLOCKS[block]}.mlp.hidden"][0]

    def after_mlp(self, block: int, update: Tensor) -> float:
        """The mean cosine of the tokens after step (3) with another update, to what they are."""
        before, after = (self.t[f"{BLOCKS[block]}.queries_{i}"][0] for i in (2, 3))
        norm = self.decoder.transformer.layers[block].norm3
        return float(F.cosine_similarity(norm(before + update.detach()), after).mean())

    # --- Step (5) ---

    @cached_property
    def image_tokens(self) -> Tensor:
        return self.t["keys"].mT.unflatten(2, (GRID, GRID))

    def painted(self, layers: dict[int, Any] | None = None, after: Any = None) -> np.ndarray:
        """The logits with some of step (5)'s layers exchanged, or with its output changed."""
        x = self.image_tokens
        for index, layer in enumerate(self.decoder.output_upscaling[:5]):
            x = (layers or {}).get(index, layer)(x)
        x = after(x) if after else x
        return torch.einsum("mc,chw->mhw", self.t["hyper_in"][0], x[0]).numpy()

    # --- A walk uphill ---

    @cached_property
    def walk(self) -> tuple[float, float, float]:
        """After 30 steps of gradient ascent: the gain of the highest predicted IoU, the token's length as a share of
        its length before, and the angle by which it turned."""
        norm, head = self.decoder.transformer.norm_final_attn, self.decoder.iou_prediction_head
        start = self.t["hs"][0, IOU]
        inner = ((start - norm.bias) / norm.weight).detach()
        with torch.enable_grad():
            for _ in range(30):
                inner = inner.detach().requires_grad_()
                head(norm(inner)).max().backward()
                inner = inner + 0.5 * inner.grad / inner.grad.norm()
        with torch.no_grad():
            end = norm(inner)
            gain = head(end).max() - head(norm((start - norm.bias) / norm.weight)).max()
            return float(gain), float(end.norm() / start.norm()), float(degrees(end, start))


def flat(x: Tensor) -> Tensor:
    """Each 4 x 4 square its mean."""
    return F.interpolate(F.avg_pool2d(x, 4), scale_factor=4)


def joined(x: Tensor) -> Tensor:
    """The squares' means, interpolated bilinearly."""
    return F.interpolate(F.avg_pool2d(x, 4), scale_factor=4, mode="bilinear")


def entropy(weights: Tensor) -> float:
    """The mean entropy of attention weights, as a share of the largest possible."""
    return float(-torch.special.xlogy(weights, weights).sum(-1).mean() / math.log(weights.shape[-1]))


def scaled(factor: float) -> Any:
    """A function that multiplies scores."""
    return partial(torch.mul, torch.tensor(factor))
