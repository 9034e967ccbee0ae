"""Draw the README's image: a click that moves, the three masks and one head's attention with it.

    python -m tools.draw_animation

writes `images/one_click.gif` and, for those who want no motion, its first frame as `images/one_click.png`. Masks,
scores and attention come from a decode of the tiny model for each frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image

from sam_edu import Predictor, example, load, trace
from sam_edu.evaluation.baselines import iou as iou_with
from sam_edu.figures.kit.colours import INK, MASK_COLOURS, for_text
from sam_edu.figures.kit.marks import as_clicks, draw_image, draw_mask, draw_prompts
from sam_edu.figures.kit.overlay import AttentionScale, draw_attention
from sam_edu.figures.kit.theme import bare, blank, theme

FOLDER = Path(__file__).resolve().parent.parent / "images"
STOPS = ((182, 133), (150, 100), (200, 172), (65, 91), (60, 190))
"""Where the click rests: on the flower's button, on petals, on the crate, on the ground."""
BETWEEN = 5
"""Frames on the way from one stop to the next."""
REST, STEP = 1400, 110
"""How long a frame is shown at a stop, and on the way, in milliseconds."""
ATTENTION = "transformer.final_attn_token_to_image"
TOKEN = 4
"""The token of mask 3, which is the largest of the three masks."""
COLOURS = 255


def way() -> list[tuple[int, int]]:
    """The click's position in each frame; the last leads back to the first."""
    found = []
    for start, end in zip(STOPS, (*STOPS[1:], STOPS[0]), strict=True):
        for i in range(BETWEEN + 1):
            part = i / (BETWEEN + 1)
            found.append((round(start[0] + part * (end[0] - start[0])), round(start[1] + part * (end[1] - start[1]))))
    return found


def decodes() -> list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """For each frame masks 1 to 3, their predicted and true IoU, and the attention of the last look by head."""
    shown, predictor = example(), Predictor(load("tiny"))
    predictor.set_image(shown.image)
    found = []
    for x, y in way():
        with trace(predictor) as t:
            masks, predicted, _ = predictor.predict([[x, y]], [1])
        truth = shown.masks[shown.at(x, y)]
        true = np.stack([iou_with(masks, one) for one in truth]).max(0) if len(truth) else np.full(3, np.nan)
        weights = t[f"{ATTENTION}.weights"][0, :, TOKEN].unflatten(-1, (64, 64))
        found.append((masks, predicted, true, weights.numpy()))
    return found


def head_of(attentions: np.ndarray) -> int:
    """The head whose map changes most along the way: the largest mean distance between neighbouring frames."""
    moves = np.abs(np.diff(attentions, axis=0, append=attentions[:1])).sum((2, 3)).mean(0)
    return int(moves.argmax())


def frame(
    image: np.ndarray,
    click: tuple[int, int],
    decode: tuple[np.ndarray, np.ndarray, np.ndarray],
    attention: np.ndarray,
    head: int,
    scale: AttentionScale,
) -> Figure:
    """One frame: three masks with their scores, and the head's attention."""
    masks, predicted, true = decode
    with theme():
        figure = blank(226, 760)
        panels = figure.subplots(1, 4)
        for i, axes in enumerate(panels[:3]):
            draw_image(axes, image)
            draw_mask(axes, masks[i], MASK_COLOURS[i + 1])
            draw_prompts(axes, as_clicks([click], None), None, 180)
            axes.set_title(f"mask {i + 1}", color=for_text(MASK_COLOURS[i + 1]), fontweight="bold")
            known = "" if np.isnan(true[i]) else f", true {true[i]:.2f}"  # no mask of the scene holds the ground
            axes.set_xlabel(f"IoU predicted {predicted[i]:.2f}{known}", color=INK)
        draw_attention(panels[3], attention, image, [], as_clicks([click], None), scale)
        panels[3].set_title(f"where mask 3 looks (head {head})", color=INK, fontweight="bold")
        for axes in panels:
            bare(axes)
        return figure


def draw(numbers: Sequence[int] | None = None) -> list[Image.Image]:
    """The frames of these numbers, or all of them."""
    image, found = example().image, decodes()
    attentions = np.stack([one[3] for one in found])
    head = head_of(attentions)
    scale = AttentionScale(attentions[:, head], limit=float(attentions[:, head].max((1, 2)).min()))
    clicks, drawings = way(), []
    for i in range(len(clicks)) if numbers is None else numbers:
        masks, predicted, true, weights = found[i]
        figure, file = frame(image, clicks[i], (masks, predicted, true), weights[head], head, scale), BytesIO()
        figure.savefig(file, dpi=100, format="png")
        drawings.append(Image.open(file).convert("RGB"))
    return drawings


def main() -> None:
    """Write both images."""
    torch.set_num_threads(1)
    drawings = draw()
    palette = Image.new("RGB", (drawings[0].width, drawings[0].height * len(drawings)))
    for i, one in enumerate(drawings):
        palette.paste(one, (0, i * one.height))
    shared = palette.quantize(COLOURS, Image.Quantize.MAXCOVERAGE)
    frames = [one.quantize(palette=shared, dither=Image.Dither.NONE) for one in drawings]
    durations = [REST if i % (BETWEEN + 1) == 0 else STEP for i in range(len(frames))]
    moving, still = FOLDER / "one_click.gif", FOLDER / "one_click.png"
    frames[0].save(moving, save_all=True, append_images=frames[1:], duration=durations, loop=0, optimize=True)
    frames[0].save(still, optimize=True)
    print(f"{moving}: {moving.stat().st_size:,} bytes, {len(frames)} frames\n{still}: {still.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
