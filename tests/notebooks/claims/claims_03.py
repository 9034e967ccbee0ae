"""Notebook 03, prompts and positions: what it states about the trained model."""

import numpy as np
import torch
from torch.nn import functional as F

from claims.claim import Predicate
from claims.click import Click
from claims.evidence import Evidence
from sam_edu.ablation import Effect, MaskNumbers, PromptChanges
from sam_edu.ablation.mask_numbers import OfCell
from sam_edu.ablation.prompt_changes import FormMeasure
from sam_edu.ablation.results import Level, PromptKind

# --- The learned vectors ---


def largest_cosine(click: Click) -> float:
    """The largest absolute cosine among the prompt encoder's six learned vectors."""
    encoder = click.model.prompt_encoder
    learned = (*encoder.point_embeddings, encoder.not_a_point_embed, encoder.no_mask_embed)
    unit = F.normalize(torch.cat([one.weight for one in learned]), dim=1)
    return float((unit @ unit.T - torch.eye(6)).abs().max())


def kinds_apart(click: Click) -> float:
    """By how much the dot product with the kinds' difference separates the kinds."""
    encoder = click.model.prompt_encoder
    encodings = encoder.get_dense_pe()[0].flatten(1).T
    negative, positive = (encoder.point_embeddings[i].weight for i in (0, 1))
    read_out = (positive - negative)[0]
    return float(((encodings + positive) @ read_out).min() - ((encodings + negative) @ read_out).max())


def none_and_zeros(click: Click) -> tuple[float, float]:
    """The distance of the no-mask embedding from what zeros give; that of inside and outside of the click's logits."""
    encoder, given = click.model.prompt_encoder, click.t["masks"][:, [click.drawn]]
    zeros, own = (encoder(None, None, one)[1][0] for one in (torch.zeros_like(given), given))
    inside = F.avg_pool2d(given, 4)[0, 0] > 0
    apart = own[:, inside].mean(1) - own[:, ~inside].mean(1)
    return float((encoder.no_mask_embed.weight[0] - zeros[:, 0, 0]).norm()), float(apart.norm())


# --- Prompts in other forms ---


def effect(
    e: Evidence,
    form: str,
    measure: FormMeasure = "best",
    prompts: PromptKind = "clicks",
    against: str = "as it is",
) -> Effect:
    return PromptChanges(e.arrays).effect(form, measure, prompts, against=against)


def of_level(e: Evidence, form: str, level: Level, measure: FormMeasure = "best") -> Effect:
    return PromptChanges(e.arrays).effect(form, measure, level=level)


def mean(e: Evidence, form: str, measure: FormMeasure = "best", prompts: PromptKind = "clicks") -> Effect:
    return PromptChanges(e.arrays).mean(form, measure, prompts)


def lost(e: Evidence, form: str, prompts: PromptKind = "clicks") -> float:
    """What share of the IoU is lost."""
    return -effect(e, form, prompts=prompts).mean / mean(e, "as it is", prompts=prompts).mean


def harmless(e: Evidence, form: str, bound: float, prompts: PromptKind = "clicks") -> bool:
    """No effect is shown, and the interval excludes one of the size of the bound; the masks do move."""
    one = effect(e, form, prompts=prompts)
    return not one.clear and one.at_most < bound and 0.9 < mean(e, form, "own", prompts).mean < 0.995


def without_encodings(e: Evidence) -> tuple[Effect, float]:
    """The change without the encodings of the image tokens; how much less that is than the change without a click."""
    changes = e.stats.changes("positional encodings of the image ablated")
    return e.mean_of(changes), float(changes.mean()) - effect(e, "no click").mean


def moved(e: Evidence, what: str, masks: str, inside: bool | None = None) -> Effect:
    return PromptChanges(e.arrays).moved(what, masks, inside)


# --- The 16 numbers ---


def explained(e: Evidence, of: OfCell, what: str = "16 numbers") -> Effect:
    [one] = MaskNumbers(e.arrays).explained(what, of)
    return one


def untrained(e: Evidence, of: OfCell) -> list[float]:
    return [one.mean for one in MaskNumbers(e.arrays).explained("untrained", of)]


def fell(e: Evidence, what: str, masks: str) -> float:
    """How much less of the masks is left where the moved click lies outside of the image."""
    return moved(e, what, masks, True).mean - moved(e, what, masks, False).mean


CLAIMS: dict[str, dict[str, Predicate]] = {
    "kinds-after": {
        "one dot product tells a positive from a negative click at every position": lambda e: kinds_apart(e.click) > 1,
        "the six learned vectors are no less different than random ones": lambda e: largest_cosine(e.click) < 0.2,
    },
    "labels-seen": {
        "without its label a click loses more than a third": lambda e: 1 / 3 < lost(e, "no label") < 0.5,
        "a random vector in its place costs more on average": lambda e: (
            effect(e, "random label", against="no label").high < 0
        ),
        "the label 0 alone leaves less than no click": lambda e: effect(e, "label 0", against="no click").high < 0,
        "a box without its labels loses more than half": lambda e: (
            -0.8 < effect(e, "no labels", prompts="boxes").high < -0.5 * mean(e, "as it is", prompts="boxes").mean
        ),
    },
    "padding-after": {
        "a second padding token: the masks move, no change is shown": lambda e: harmless(e, "two padding tokens", 0.01),
        "the same for one after a box": lambda e: harmless(e, "padding after the box", 0.01, "boxes"),
        "a random vector costs little, too": lambda e: (
            effect(e, "random token").at_most < 0.015
            and mean(e, "random token", "own").mean < 0.99
            and effect(e, "random token after the box", prompts="boxes").at_most < 0.015
        ),
        "without padding and with five less than a hundredth": lambda e: all(
            -0.03 < effect(e, form).low < effect(e, form).high < 0
            for form in ("no padding token", "five padding tokens")
        ),
    },
    "half-after": {
        "half a pixel moves the masks a little, not shown to be worse": lambda e: harmless(e, "half a pixel", 0.01),
        "four pixels cost IoU": lambda e: effect(e, "four pixels").high < 0,
        "only where the click leaves its target": lambda e: (
            e.printed("03", "half-levels", r"leaves its target: \S+ \(\S+ to #\)")[0] < -0.03
            and e.printed("03", "half-levels", r"stays on its target: \S+ \(# to")[0] < 0
            and 0 < e.printed("03", "half-levels", r"stays on its target: \S+ \(\S+ to #\)")[0] < 0.03
            and effect(e, "four pixels").high < 0
        ),
        "another pixel of the mask moves the masks far more": lambda e: (
            mean(e, "another pixel", "own").high < mean(e, "four pixels", "own").low
        ),
        "and not for the worse": lambda e: (
            not effect(e, "another pixel").clear and mean(e, "another pixel", "own").mean > 0
        ),
    },
    "matrix-after": {
        "with another matrix most of the IoU is lost": lambda e: 0.5 < lost(e, "another matrix") < 0.9,
        "the same waves on other channels lose about as much": lambda e: (
            not effect(e, "columns in another order", against="another matrix").clear
            and 0.5 < lost(e, "columns in another order") < 0.9
        ),
        "without encodings nearly what a prompt without a click loses": lambda e: (
            without_encodings(e)[0].high < effect(e, "another matrix").low and abs(without_encodings(e)[1]) < 0.1
        ),
    },
    "swapped-after": {
        "swapped corners are as bad as no prompt": lambda e: (
            0 <= mean(e, "swapped corners", prompts="boxes").high < 0.01 and lost(e, "swapped corners", "boxes") > 0.9
        ),
        "mirrored ones nearly so": lambda e: 0 < mean(e, "mirrored corners", prompts="boxes").high < 0.2,
    },
    "mask-after": {
        "the logits tell mask 0 which mask is wanted": lambda e: effect(e, "logits", "single").low > 0.05,
        "elsewhere they harm": lambda e: effect(e, "logits elsewhere", "single").high < 0,
        "the mean does nearly as well; the loss is small and clear": lambda e: (
            effect(e, "cell means", "single", against="logits").low > -0.02
            and effect(e, "cell means", "single", against="logits").high < 0
        ),
        "so does the bare mask": lambda e: (
            effect(e, "-10 and 10", "single").mean > 0.9 * effect(e, "logits", "single").mean > 0
        ),
        "zeros and ones lose more than half of the gain": lambda e: (
            effect(e, "0 and 1", "single").mean < 0.5 * effect(e, "logits", "single").mean
        ),
        "all of it at parts and sub-parts": lambda e: (
            of_level(e, "0 and 1", 0, "single").mean >= of_level(e, "logits", 0, "single").mean > 0
        ),
        "zeros gain at objects and lose at sub-parts": lambda e: (
            of_level(e, "zeros", 0, "single").low > 0 > of_level(e, "zeros", 2, "single").high
        ),
        "most of the mean, more than from nearly all untrained ones, not in full": lambda e: (
            np.mean(np.less(untrained(e, "mean"), explained(e, "mean").mean)) >= 0.9
            and 0.5 < explained(e, "mean").high < 0.9
        ),
        "of the deviations little, and many untrained ones as much or more": lambda e: (
            0 < explained(e, "deviations").mean < 0.4
            and np.mean(np.greater(untrained(e, "deviations"), explained(e, "deviations").mean)) > 0.25
        ),
    },
    "none-after": {
        "no mask and zeros are as far apart as inside and outside": lambda e: (
            0.7 < none_and_zeros(e.click)[0] / none_and_zeros(e.click)[1] < 1.5
        ),
        "zeros make masks 1 to 3 a little worse, mask 0 too": lambda e: (
            -0.03 < effect(e, "zeros").mean < effect(e, "zeros").high < 0 and effect(e, "zeros", "single").high < 0
        ),
        "the predicted IoU falls most": lambda e: (
            effect(e, "zeros", "predicted").high < min(effect(e, "zeros").low, effect(e, "zeros", "single").low)
        ),
        "for mask 0 no difference between the two is shown": lambda e: (
            not effect(e, "zeros", "single", against="a vector as far").clear and effect(e, "zeros", "single").high < 0
        ),
        "a random vector costs masks 1 to 3 no less": lambda e: (
            effect(e, "zeros", against="a vector as far").mean > 0 > effect(e, "a vector as far").high
        ),
        "and the predicted IoU a third of that": lambda e: (
            0.2 < effect(e, "a vector as far", "predicted").mean / effect(e, "zeros", "predicted").mean < 0.4
            and effect(e, "zeros", "predicted").mean < 0
        ),
    },
    "read-only-after": {
        "alone little more than a prompt that says nothing": lambda e: (
            0 < effect(e, "logits alone", against="no click").mean < 0.1
        ),
        "beside the click it is fine": lambda e: effect(e, "logits").low > 0,
    },
    "ex3-explain": {
        "with the image's encodings moved the mask is mostly that of a click there": lambda e: (
            moved(e, "image", "there").low > 0.65 and moved(e, "image", "own").high < 0.15
        ),
        "click and image moved together, inside: most of each mask stays": lambda e: (
            moved(e, "image and click", "own", True).low > 0.65
        ),
        "outside most is lost": lambda e: 0 < moved(e, "image and click", "own", False).high < 0.35,
        "in the first experiment the groups differ, far less": lambda e: (
            0 < fell(e, "image", "there") < 0.4 * fell(e, "image and click", "own")
            and moved(e, "image", "there", False).mean > 0.5
        ),
    },
}
