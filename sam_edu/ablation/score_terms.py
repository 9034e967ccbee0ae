"""Score terms: attention scores as a sum of four, by content and positional encoding on either side.

Steps (2) and (6-1) make queries from tokens plus their encodings, keys from image tokens plus theirs. A projection is
linear, so W (x + pe) + b = (W x + b) + W pe, and the product of two sums has four terms:

    score = content . content + content . position + position . content + position . position

(query first; divided by the square root of the head's width; the biases count as content). A query's softmax depends
on how its scores differ from key to key, so a term matters as far as it varies over the keys.

**Share.** The covariance over the keys of a term with the whole score, divided by the score's variance. The four shares
sum to 1. A share below 0 is a term that works against the others.
**Overlap.** How much of the attention map is left when one term is removed: the sum over the positions of the smaller
of both weights, 1 for the same map. It stands beside the overlap of the map with uniform weights: all terms removed.
**Untrained.** The shares for a mask decoder and a prompt encoder with fresh weights, others for each scene, on the
trained image encoder's embeddings.
**Effect.** What the masks lose where a term is subtracted from the scores of all tokens in all three attentions.
"""

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from sam_edu.ablation.changes import (
    CLICK_TOKEN,
    MASK_TOKENS,
    TOKEN_TO_IMAGE,
    Ablation,
    Change,
    Memory,
    References,
)
from sam_edu.ablation.controls.models import untrained
from sam_edu.ablation.measuring import Row, rows_of_scenes, stacked_rows, stamp
from sam_edu.ablation.projections import as_sequence, projected_encoding
from sam_edu.ablation.prompts import prompts_of
from sam_edu.ablation.quick_decoder import AblatedDecoder, position_encodings
from sam_edu.ablation.references import decoder_inputs
from sam_edu.ablation.results import COMMAND, Effect, Measure, Statistics, column, index_of, read
from sam_edu.ablation.scoring import Scorer
from sam_edu.argument_checks import as_choice
from sam_edu.modules import Attention, MaskDecoder
from sam_edu.predictor import Predictor
from sam_edu.sam import Sam
from sam_edu.tracing import trace

Term = Literal["content . content", "content . position", "position . content", "position . position"]

SCORE_TERMS: tuple[Term, ...] = get_args(Term)
"""Query first, key second."""

OfTokens = Literal["click", "masks"]

_OF_TOKENS: dict[OfTokens, slice] = {"click": slice(CLICK_TOKEN, CLICK_TOKEN + 1), "masks": MASK_TOKENS}
"""Whose scores: the click's token, or the mean over the four mask tokens."""

ARRAYS = ("share", "overlap", "untrained_share", "changes")
"""What is measured; in the file "score_terms." stands before their names."""


def four_terms(
    q: Float[Tensor, "*sets heads queries head_dim"],
    k: Float[Tensor, "*sets heads keys head_dim"],
    q_position: Float[Tensor, "*sets heads queries head_dim"],
    k_position: Float[Tensor, "*sets heads keys head_dim"],
) -> Float[Tensor, "4 *sets heads queries keys"]:
    """The four terms of attention scores, in the order of `SCORE_TERMS`. Their sum is the scores.

    Args:
        q, k: projected queries and keys, as a trace has them.
        q_position, k_position: the part of them that comes from the positional encodings, see `projected_encoding`.
    """
    queries, keys = (q - q_position, q_position), (k - k_position, k_position)
    return torch.stack([one @ other.mT / math.sqrt(q.shape[-1]) for one in queries for other in keys])


def terms_of_decode(
    decoder: MaskDecoder, t: Mapping[str, Tensor], name: str
) -> Float[Tensor, "4 batch heads queries keys"]:
    """The four terms of a recorded decode.

    Args:
        decoder: the one that was traced.
        t: its trace.
        name: one of `TOKEN_TO_IMAGE`.

    Raises:
        ValueError: another name.
    """
    name = as_choice("name", name, TOKEN_TO_IMAGE)
    return four_terms(t[f"{name}.q"], t[f"{name}.k"], *_positions(decoder, t, name))


def variance_shares(
    terms: Float[Tensor, "4 *rows keys"],
) -> Float[Tensor, "4 *rows"]:
    """The share of each term in the variance of the scores over the keys; the four sum to 1."""
    centred = terms - terms.mean(-1, keepdim=True)
    total = centred.sum(0)
    return (centred * total).sum(-1) / total.square().sum(-1)


def overlaps_without(
    terms: Float[Tensor, "4 *rows keys"],
) -> Float[Tensor, "5 *rows"]:
    """The overlap of the attention map with the one that is left without each term, and without all of them."""
    total = terms.sum(0)
    weights = total.softmax(-1)
    left = torch.stack([*(total - term for term in terms), torch.zeros_like(total)]).softmax(-1)
    return torch.minimum(left, weights).sum(-1)


def without_term(decoder: MaskDecoder, t: Mapping[str, Tensor], term: Term) -> Ablation:
    """The ablation that subtracts a term from the scores of steps (2) and (6-1), for one recorded prompt.

    Its queries and keys are those of the changed decode; the encodings are the prompt's own.

    Raises:
        ValueError: another term.
    """
    number = index_of("term", term, SCORE_TERMS)

    def changes(_: MaskDecoder, references: References) -> list[Change]:
        memory, found = Memory(), []
        for name in TOKEN_TO_IMAGE:
            subtract = partial(_minus_term, memory, name, _positions(decoder, t, name), number)
            found += [memory.keep(f"{name}.q"), memory.keep(f"{name}.k"), Change(f"{name}.scores", subtract)]
        return found

    return Ablation(f"the term {term} is subtracted from the scores of steps (2) and (6-1)", changes)


def _positions(decoder: MaskDecoder, t: Mapping[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
    attention: Attention = decoder.get_submodule(name)  # type: ignore[assignment]
    of_keys = as_sequence(t["pos_src"])
    return projected_encoding(attention, "q", t["tokens"]), projected_encoding(attention, "k", of_keys)


def _minus_term(memory: Memory, name: str, positions: tuple[Tensor, Tensor], number: int, scores: Tensor) -> Tensor:
    return scores - four_terms(memory[f"{name}.q"], memory[f"{name}.k"], *positions)[number]


# --- Measuring ---


@torch.no_grad()
def score_terms_of_scene(model: Sam, number: int) -> list[Row]:
    """Measure all clicks of a held-out scene.

    Args:
        model: in eval mode, with images of 256 pixels.
        number: of the scene.

    Returns:
        per click "prompt" (6,); "share" and "untrained_share" (3, tokens, heads, 4), "overlap" (3, tokens, heads, 5),
        where tokens are the click's and the mask tokens' mean; "changes" (4, measures), the effects of removing a term.
    """
    image, masks, prompts = prompts_of(number)
    if not prompts:
        return []
    fresh = untrained(model, generator=torch.Generator().manual_seed(number), parts=("mask_decoder", "prompt_encoder"))
    predictor, control = Predictor(model), Predictor(fresh)
    predictor.set_image(image)
    control.features, control.original_size = predictor.features, predictor.original_size
    control.input_size, control.is_image_set = predictor.input_size, True
    encodings = position_encodings(model.mask_decoder, model.prompt_encoder.get_dense_pe())
    rows = []
    for prompt in prompts:
        with trace(fresh.mask_decoder) as t:
            fresh.mask_decoder.predict_masks(**decoder_inputs(control, prompt))
        untrained_share, _ = _of_decode(fresh.mask_decoder, t)
        decode = AblatedDecoder(model.mask_decoder, decoder_inputs(predictor, prompt), encodings)
        share, overlap = _of_decode(model.mask_decoder, decode.t)
        score = Scorer(decode.masks[0], decode.iou[0], masks[prompt.mask])
        scores = [score(decode.masks[0], decode.iou[0])]
        for term in SCORE_TERMS:
            logits, iou = decode.run(without_term(model.mask_decoder, decode.t, term))
            scores.append(score(logits[0], iou[0]))
        rows.append(
            {
                "prompt": np.array(prompt),
                "share": share,
                "overlap": overlap,
                "untrained_share": untrained_share,
                "changes": np.array(scores[1:]) - scores[0],
            }
        )
    return rows


def _of_decode(decoder: MaskDecoder, t: Mapping[str, Tensor]) -> tuple[np.ndarray, np.ndarray]:
    """Shares (3, tokens, heads, 4) and overlaps (3, tokens, heads, 5) of a recorded decode."""
    found = []
    for name in TOKEN_TO_IMAGE:
        terms = terms_of_decode(decoder, t, name)[:, 0]
        found.append([_by_tokens(of(terms)) for of in (variance_shares, overlaps_without)])
    share, overlap = (np.stack(one) for one in zip(*found, strict=True))
    return share, overlap


def _by_tokens(values: Float[Tensor, "terms heads queries"]) -> np.ndarray:
    """(tokens, heads, terms): the click's token, the mean over the mask tokens."""
    return np.stack([values[..., chosen].mean(-1).T.cpu().numpy() for chosen in _OF_TOKENS.values()])


def measure_score_terms(weights: Path, scenes: int, processes: int = 1, progress: bool = True) -> dict[str, Any]:
    """Measure stored weights. Arguments and errors as for `sam_edu.ablation.measuring.measure`.

    Returns:
        the file's stamp and clicks, and the arrays whose names begin with "score_terms.".
    """
    rows = rows_of_scenes(score_terms_of_scene, weights, scenes, processes, progress)
    stacked = stacked_rows(rows)
    return stamp(weights, stacked) | {f"score_terms.{name}": stacked[name].astype(np.float16) for name in ARRAYS}


# --- Reading ---


class ScoreTerms:
    """The measurements of the four terms over the held-out clicks.

    Args:
        data: the arrays of the file.

    Raises:
        ValueError: they were not measured.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        missing = [name for name in ARRAYS if f"score_terms.{name}" not in data]
        if missing:
            raise ValueError(f"the file lacks the terms' {', '.join(missing)}: {COMMAND} --only terms measures them")
        self._data = {name: np.asarray(data[f"score_terms.{name}"], np.float64) for name in ARRAYS}
        self._stats = Statistics(data)

    def share(self, attention: str, tokens: str = "click", untrained: bool = False) -> np.ndarray:
        """Each term's share of the variance of the scores over the keys, (prompts, heads, 4); the four sum to 1.

        Args:
            attention: one of `TOKEN_TO_IMAGE`.
            tokens: whose scores: "click", the click's token; "masks", the mean over the four mask tokens.
            untrained: of the decoder with fresh weights.

        Raises:
            ValueError: another attention or other tokens.
        """
        return self._of("untrained_share" if untrained else "share", attention, tokens)

    def overlap(self, attention: str, tokens: str = "click") -> np.ndarray:
        """The overlap of the map with that without each term, and with uniform weights, (prompts, heads, 5).

        Arguments and errors as for `share`.
        """
        return self._of("overlap", attention, tokens)

    def effect(self, term: str, measure: Measure = "best") -> Effect:
        """The mean change of a measure without a term, with its interval.

        Args:
            term: one of `SCORE_TERMS`, subtracted for all tokens in all three attentions.
            measure: one of `sam_edu.ablation.MEASURES`.

        Raises:
            ValueError: another term or measure.
        """
        return self._stats.interval(self._data["changes"][:, index_of("term", term, SCORE_TERMS), column(measure)])

    def _of(self, name: str, attention: str, tokens: str) -> np.ndarray:
        at = index_of("attention", attention, TOKEN_TO_IMAGE)
        return self._data[name][:, at, index_of("tokens", tokens, tuple(_OF_TOKENS))]


def load_score_terms(path: Path | None = None, *, weights: Path | None = None) -> ScoreTerms:
    """Read the measurements of the four terms. Arguments and errors as for `sam_edu.ablation.load`."""
    return ScoreTerms(read(path, weights=weights))
