"""Figures of prompts and masks on them."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike
from PIL import Image

from sam_edu.argument_checks import as_number
from sam_edu.arrays import shorten
from sam_edu.figures.kit.arrays import (
    Array,
    Number,
    as_array,
    as_image,
    as_mask_numbers,
    as_masks,
    as_names,
)
from sam_edu.figures.kit.colours import INK, MASK_COLOURS, SOFT
from sam_edu.figures.kit.figure import Figure
from sam_edu.figures.kit.marks import as_box, as_clicks, draw_image, draw_mask, draw_outline, draw_prompts, draw_ticks
from sam_edu.figures.kit.scales import draw_signed
from sam_edu.figures.kit.theme import WIDTH, bare, blank, heading, theme, titled
from sam_edu.figures.kit.words import listed, prompts_in_words, share
from sam_edu.prompt_checks import check_flag

RETURNED = (1, 2, 3)
"""The numbers of the masks that `Predictor.predict` returns, where three are asked for."""


def prompts_and_masks(
    image: ArrayLike | Any,
    masks: ArrayLike | Any | None = None,
    *,
    points: ArrayLike | Any | None = None,
    labels: ArrayLike | Any | None = None,
    box: ArrayLike | Any | None = None,
    names: Sequence[str] | None = None,
    truth: ArrayLike | Any | None = None,
    numbers: Sequence[int] | None = None,
    title: str = "",
) -> Figure:
    """One image with its pixel axes, with prompts and any number of masks on it, and a legend of the masks.

    Args:
        image: (height, width, 3).
        masks: (masks, height, width), of zeros and ones.
        points: clicks (clicks, 2) as (x, y).
        labels: (clicks,): 1 positive, 0 negative; all positive by default.
        box: (x0, y0, x1, y1).
        names: one per mask.
        truth: ground-truth masks (masks, height, width), as dashed outlines.
        numbers: per mask the number of its mask token, which has its own colour; 1, 2, 3 by default.
        title: the figure's title.
    """
    image, clicks, frame = as_image(image), as_clicks(points, labels), as_box(box)
    targets = [] if truth is None else list(_on_image("truth", truth, image))
    layers = np.zeros((0, *image.shape[:2]), bool) if masks is None else _on_image("masks", masks, image)
    tokens = as_mask_numbers("numbers", numbers, len(layers), RETURNED)
    names = as_names("names", names if names is not None else _numbered(tokens), len(layers))
    height, width = image.shape[:2]
    high = min(300.0, 0.5 * WIDTH * height / width)
    with theme():
        figure = blank(54 + high, min(WIDTH, 66 + high * width / height + (120 if names else 0)))
        heading(figure, title)
        axes = figure.subplots()
        draw_image(axes, image)
        for layer, token, name in zip(layers, tokens, names, strict=True):
            draw_mask(axes, layer > 0, MASK_COLOURS[token])
            axes.plot([], [], color=MASK_COLOURS[token], linewidth=3, label=name)
        for one in targets:
            draw_outline(axes, one > 0, INK, width=1.3, dashed=True)
        draw_prompts(axes, clicks, frame, high * width / height)
        axes.set(xlabel="x (pixels)", ylabel="y (pixels)")
        if names:
            axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0)
    details = [f"{name} covers {share(layer > 0)}" for name, layer in zip(names, layers, strict=True)]
    alt = f"{title or 'An image'}, {width} by {height} pixels"
    alt += f", with {prompts_in_words(clicks, frame)}" if clicks or frame else ""
    alt += f"; {len(targets)} dashed outlines, the ground truth" if targets else ""
    return Figure(figure, alt + (f"; outlined on it: {'; '.join(details)}." if details else "."))


def masks_row(
    image: ArrayLike | Any,
    masks: ArrayLike | Any,
    *,
    names: Sequence[str] | None = None,
    predicted: ArrayLike | Any | None = None,
    true: ArrayLike | Any | None = None,
    truth: ArrayLike | Any | None = None,
    points: ArrayLike | Any | None = None,
    labels: ArrayLike | Any | None = None,
    box: ArrayLike | Any | None = None,
    numbers: Sequence[int] | None = None,
    title: str = "",
) -> Figure:
    """A panel per mask, with its predicted and its true IoU above it.

    Args:
        image: (height, width, 3).
        masks: (masks, height, width), of zeros and ones.
        names: one per mask.
        predicted: (masks,), predicted by the model.
        true: (masks,), computed from the ground truth.
        truth: (masks, height, width): the ground truth of each, as a dashed outline.
        points: clicks (clicks, 2) as (x, y).
        labels: (clicks,): 1 positive, 0 negative; all positive by default.
        box: (x0, y0, x1, y1).
        numbers: per mask the number of its mask token, which has its own colour; 1, 2, 3 by default.
        title: the figure's title.
    """
    image, clicks, frame = as_image(image), as_clicks(points, labels), as_box(box)
    layers = _on_image("masks", masks, image)
    count = len(layers)
    tokens = as_mask_numbers("numbers", numbers, count, RETURNED)
    names = as_names("names", names if names is not None else _numbered(tokens), count)
    targets = None if truth is None else as_masks("truth", truth, layers.shape)
    scores = {
        word: as_array(word, values, (count,))
        for word, values in (("predicted", predicted), ("true", true))
        if values is not None
    }
    lines = [", ".join(f"{word} IoU {values[i]:.2f}" for word, values in scores.items()) for i in range(count)]
    short = [", ".join(f"{word} {values[i]:.2f}" for word, values in scores.items()) for i in range(count)]
    with theme():
        panel = (WIDTH - 36) / max(count, 3)
        if 0.8 * panel < image.shape[1] < panel:
            panel = image.shape[1] + 2  # pixel for pixel
        high = panel * image.shape[0] / image.shape[1]
        lines_above = 1 + max(name.count("\n") for name in names) + (1 if scores else 0)
        figure = blank(high + 8 + (32 if title else 0) + 14 * lines_above, panel * count + 6 * count + 2)
        heading(figure, title)
        for i, axes in enumerate(figure.subplots(1, count, squeeze=False)[0]):
            draw_image(axes, image)
            draw_mask(axes, layers[i] > 0, MASK_COLOURS[tokens[i]])
            if targets is not None:
                draw_outline(axes, targets[i] > 0, INK, width=1.3, dashed=True)
            draw_prompts(axes, clicks, frame, panel)
            axes.set_title(f"{names[i]}\nIoU {short[i]}" if scores else names[i])
            bare(axes)
    details = [
        f"{names[i]} covers {share(layers[i] > 0)}" + (f", {lines[i]}" if lines[i] else "") for i in range(count)
    ]
    alt = f"{title or 'Masks'}: " + (f"the image with {prompts_in_words(clicks, frame)}. " if clicks or frame else "")
    alt += f"{'; '.join(details)}." + (" Dashed: the ground truth." if targets is not None else "")
    return Figure(figure, alt)


def logits_and_mask(
    logits: ArrayLike | Any,
    image: ArrayLike | Any,
    *,
    names: Sequence[str] | None = None,
    points: ArrayLike | Any | None = None,
    labels: ArrayLike | Any | None = None,
    numbers: Sequence[int] | None = None,
    limit: Number = 6,
    title: str = "",
) -> Figure:
    """Logits with the line where they are zero, and below each map the mask that the threshold makes of it.

    Args:
        logits: (masks, height, width).
        image: (height, width, 3), as high and wide.
        names: one per mask.
        points: clicks (clicks, 2) as (x, y).
        labels: (clicks,): 1 positive, 0 negative; all positive by default.
        numbers: per mask the number of its mask token, which has its own colour; 0, 1, 2, 3 by default.
        limit: the colours end here; at 6 the sigmoid is within 0.0025 of 0 or 1.
        title: the figure's title.
    """
    limit = as_number("limit", limit, above=0)
    image, clicks = as_image(image), as_clicks(points, labels)
    logits = as_array("logits", logits, ("masks", *image.shape[:2]))
    if logits.dtype.kind == "b":
        raise ValueError("logits: expected logits, got masks of bools; `masks_row` draws these")
    count = len(logits)
    tokens = as_mask_numbers("numbers", numbers, count, range(4))
    names = as_names("names", names if names is not None else _numbered(tokens), count)
    with theme():
        panel = min((WIDTH - 110) / count, 180.0)
        figure = titled(title, 2 * panel + 24, panel * count + 110)
        grid = figure.subplots(2, count, squeeze=False)
        for i, (above, below) in enumerate(grid.T):
            drawn = draw_signed(above, logits[i], limit)
            draw_outline(above, logits[i] > 0, INK, width=0.9)
            above.set_title(names[i])
            draw_image(below, image)
            draw_mask(below, logits[i] > 0, MASK_COLOURS[tokens[i]])
            for axes in (above, below):
                draw_ticks(axes, clicks)
                bare(axes)
        grid[0, 0].set_ylabel("logits, line at 0")
        grid[1, 0].set_ylabel("mask: logits > 0")
        figure.colorbar(drawn, ax=list(grid.flat), shrink=0.7, aspect=24, pad=0.015, label="logit", extend="both")
    details = [
        f"{name} from {one.min():.1f} to {one.max():.1f}, above 0 on {share(one > 0)}"
        for name, one in zip(names, logits, strict=True)
    ]
    return Figure(figure, f"{title or 'Logits and masks'}: logits of {'; '.join(details)}. Below, the masks.")


def images(images: Iterable[ArrayLike | Any], names: Sequence[str], *, title: str = "") -> Figure:
    """Images in a row.

    Args:
        images: each (height, width, 3), bytes or floats from 0 to 1.
        names: one per image.
        title: the figure's title.
    """
    if isinstance(images, str | Image.Image) or not isinstance(images, Iterable):
        raise TypeError(f"images: expected a list of images, got {shorten(images)}")
    shown = [as_image(image, f"images[{i}]") for i, image in enumerate(images)]
    if not shown:
        raise ValueError("images: expected at least one, got none")
    names = as_names("names", names, len(shown))
    with theme():
        panel = min((WIDTH - 20) / len(shown), 240.0)
        lines = 1 + max(name.count("\n") for name in names)
        figure = titled(title, panel + 6 + 15 * lines, panel * len(shown) + 20)
        for axes, image, name in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, names, strict=True):
            draw_image(axes, image)
            axes.set_title(name)
            bare(axes)
    return Figure(figure, f"{title or 'Images'}: {len(shown)} images: {listed(names)}.".replace("\n", " "))


def masks_by_prompt(
    image: ArrayLike | Any,
    masks: ArrayLike | Any,
    names: Sequence[str],
    *,
    clicks: Sequence[ArrayLike | Any | None] | None = None,
    labels: Sequence[ArrayLike | Any | None] | None = None,
    boxes: Sequence[ArrayLike | Any | None] | None = None,
    numbers: Sequence[int] | None = None,
    corners: bool = False,
    title: str = "",
) -> Figure:
    """A panel per prompt set: its own clicks and box on the image, and the resulting mask.

    Args:
        image: (height, width, 3).
        masks: (panels, height, width), of zeros and ones.
        names: one per panel; may have several lines.
        clicks: per panel (clicks, 2) as (x, y), or None.
        labels: per panel (clicks,): 1 positive, 0 negative, anything else a grey disc with its number; all positive by
            default.
        boxes: per panel (x0, y0, x1, y1), or None.
        numbers: per panel the number of its mask token, which has its own colour; 1 by default.
        corners: also number the boxes' corners, 1 at (x0, y0) and 2 at (x1, y1), whichever way they are given.
        title: the figure's title.
    """
    image = as_image(image)
    layers = as_masks("masks", masks, ("panels", *image.shape[:2]))
    count = len(layers)
    names = as_names("names", names, count)
    given: dict[str, list[Any]] = {}
    for word, each in (("clicks", clicks), ("labels", labels), ("boxes", boxes)):
        if each is not None and (isinstance(each, str) or not isinstance(each, Iterable)):
            raise TypeError(f"{word}: expected a list, one per panel, got {shorten(each)}")
        given[word] = [None] * count if each is None else list(each)
        if len(given[word]) != count:
            raise ValueError(f"{word}: expected {count}, one per panel, got {len(given[word])}")
    corners = check_flag("corners", corners)
    tokens = as_mask_numbers("numbers", numbers, count, [1])
    details = []
    with theme():
        panel = min((WIDTH - 6 * count - 2) / count, image.shape[1] + 2.0)
        lines = 1 + max(name.count("\n") for name in names)
        high = panel * image.shape[0] / image.shape[1]
        figure = blank(high + 8 + (32 if title else 0) + 14 * lines, panel * count + 6 * count + 2)
        heading(figure, title)
        for i, axes in enumerate(figure.subplots(1, count, squeeze=False)[0]):
            placed, box = (
                as_clicks(given["clicks"][i], given["labels"][i], name="clicks", all_labels=True),
                as_box(given["boxes"][i], "boxes"),
            )
            draw_image(axes, image)
            draw_mask(axes, layers[i] > 0, MASK_COLOURS[tokens[i]])
            frame = None if box is None else (*np.minimum(box[:2], box[2:]), *np.maximum(box[:2], box[2:]))
            draw_prompts(axes, [one for one in placed if one[2] in (0, 1)], frame, panel)
            for x, y, label in placed:
                if label not in (0, 1):
                    _draw_numbered(axes, x, y, str(label).replace("-", "−"))
            if corners and box is not None:
                _draw_numbered(axes, *box[:2], "1")
                _draw_numbered(axes, *box[2:], "2")
            axes.set_title(names[i])
            bare(axes)
            words = [prompts_in_words([one], None) for one in placed if one[2] in (0, 1)]
            words += [
                f"a click of label {label} at ({x:.0f}, {y:.0f})" for x, y, label in placed if label not in (0, 1)
            ]
            words += [prompts_in_words([], box)] if box is not None else []
            details.append(f"{names[i]}, {listed(words) or 'no prompt'}: {share(layers[i] > 0)}".replace("\n", " "))
    return Figure(
        figure, f"{title or 'Prompts and their masks'}: {count} panels with what the mask covers. {'; '.join(details)}."
    )


def _draw_numbered(axes: Axes, x: Number, y: Number, text: str) -> None:
    """A grey disc with a number in it."""
    wide = len(text) > 1
    axes.scatter([x], [y], s=260 if wide else 190, c=SOFT, edgecolors="white", linewidths=1.6, zorder=5)
    axes.text(x, y, text, ha="center", va="center_baseline", color="white", fontweight="bold", zorder=6)


def _on_image(name: str, masks: ArrayLike | Any, image: Array) -> Array:
    return as_masks(name, masks, ("masks", *image.shape[:2]))


def _numbered(numbers: Sequence[int]) -> list[str]:
    return [f"mask {i}" for i in numbers]
