"""Figure of two decodes of one image side by side: where a second click begins to make a difference."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, PowerNorm
from matplotlib.figure import Figure as Drawing
from numpy.typing import ArrayLike
from torch import Tensor

from sam_edu.argument_checks import as_count
from sam_edu.arrays import shorten
from sam_edu.figures.kit.arrays import Array, Number, as_array, as_image, as_mapping, as_names, as_tuple, as_weights
from sam_edu.figures.kit.basis import ColourBasis, embedding_basis
from sam_edu.figures.kit.colours import (
    FAINT,
    HEAT,
    IMAGE,
    INK,
    MASK_COLOURS,
    PLAIN,
    SOFT,
    TOKEN,
    for_text,
    token_colour,
)
from sam_edu.figures.kit.diagram import canvas, draw_text
from sam_edu.figures.kit.figure import Figure
from sam_edu.figures.kit.marks import Click, as_clicks, draw_image, draw_mask, draw_ticks, overlap
from sam_edu.figures.kit.overlay import ROOT, AttentionScale, draw_attention
from sam_edu.figures.kit.scales import scale_end, three_colours
from sam_edu.figures.kit.theme import SMALL, bare, theme
from sam_edu.figures.kit.words import listed
from sam_edu.figures.tokens import token_names

BLOCK = "transformer.layers.{}."
UPSCALED = "output_upscaling.activated_twice"
LAST = "transformer.final_attn_token_to_image.weights"
READS = "cross_attn_token_to_image."
STOPS = (
    "(0)\nput together",
    "block 0\n(1) to (3)",
    "block 0\n(4)",
    "block 1\n(1) to (3)",
    "block 1\n(4)",
    "(6-1)\nthe last look",
    "(5)\nupscaling",
    "(6-2)\nweights",
    "(6-3), (7)\nmask, score",
)
"""The nine stops of a decode, from the tokens that are put together to a mask and its score."""
SHOWN = (
    "image tokens",
    "click reads (2)",
    "image tokens",
    "click reads (2)",
    "image tokens",
    "mask {} reads",
    "feature map",
    "of mask {}",
    "mask {}",
)
"""What the images at a stop show."""
TOKENS_AT = {
    0: "tokens",
    1: BLOCK.format(0) + "queries_3",
    3: BLOCK.format(1) + "queries_3",
    5: "hs",
    7: "hyper_in",
}
"""Stops at which the tokens, or what is made of them, have changed, with the tensor."""
IMAGE_AT = {0: "src", 2: BLOCK.format(0) + "keys_4", 4: BLOCK.format(1) + "keys_4", 6: UPSCALED}
"""Stops at which the image tokens, or what is made of them, have changed, with the tensor."""

_LEFT, _PANEL, _GAP = 84, 93, 5
_TOP, _CELL = 92, 19
_PAPER = 1000


def two_decodes(
    one: Mapping[str, Any],
    other: Mapping[str, Any],
    image: ArrayLike | Any,
    *,
    points: tuple[ArrayLike | Any, ArrayLike | Any],
    mask: int = 3,
    basis: ColourBasis | None = None,
    names: Sequence[str] = ("click A", "click B"),
    title: str = "Two clicks on one image",
) -> Figure:
    """Two decodes of one image through the nine stops of the decoder, and how far apart they are at each.

    Above, per stop: image tokens as colours (one basis), attention maps (the mean of the heads, all on one square-root
    scale that ends below the strongest peaks), the weights of a mask, the mask. Below: how far each token, and each
    image token, of one decode is from that of the other, in parts of their mean length. Where two tensors are equal bit
    for bit, the figure says so.

    Args:
        one: the trace of a decode with one positive click, of one prompt set.
        other: that of a decode of the same image with one positive click at another position.
        image: (height, width, 3).
        points: per decode its click (1, 2) as (x, y) in the image's pixels.
        mask: the number of the mask whose attention, weights and pixels are followed.
        basis: colours of the image tokens, from `embedding_basis`; by default from the first decode's `src`.
        names: of the two decodes.
        title: the figure's title.

    Raises:
        TypeError: an argument of another type.
        ValueError: a tensor of the nine stops is missing or has another shape; more than one prompt set or click.
    """
    shown, names = as_image(image), as_names("names", names, 2)
    clicks = [as_clicks(at, None) for at in as_tuple("points", points, ("click", "other click"))]
    if [len(found) for found in clicks] != [1, 1]:
        raise ValueError(f"points: expected one click each, got {len(clicks[0])} and {len(clicks[1])}")
    decodes = [_Decode("one", one), _Decode("other", other)]
    decodes[1].check_like(decodes[0])
    mask = as_count("mask", mask, 0)
    if mask >= len(decodes[0].scores):
        raise ValueError(f"mask: expected 0 to {len(decodes[0].scores) - 1}, got {mask}")
    if basis is not None and not isinstance(basis, ColourBasis):
        raise TypeError(f"basis: expected what embedding_basis gives, got {shorten(basis)}")
    if basis is not None and len(basis.directions) != len(decodes[0].maps["src"]):
        raise ValueError(
            f"basis: expected one of {len(decodes[0].maps['src'])} channels, got one of {len(basis.directions)}"
        )
    basis = basis or embedding_basis(decodes[0].maps["src"])
    apart = {stop: distances(*(one.vectors[name] for one in decodes)) for stop, name in TOKENS_AT.items()}
    fields = {stop: field_of_distances(*(one.maps[name] for one in decodes)) for stop, name in IMAGE_AT.items()}
    read_alike = all(np.array_equal(decodes[0].read[part], decodes[1].read[part]) for part in ("k", "v"))
    top = scale_end(max(float(field.max()) for field in fields.values()))
    high = shown.shape[0] / shown.shape[1] * _PANEL
    rows = [_TOP, _TOP + high + _GAP, _TOP + 2 * high + 36]
    rows.append(rows[2] + _CELL * len(decodes[0].names) + 32)
    with theme():
        figure, paper = canvas(rows[3] + high + 14, _PAPER)
        paper.text(8, 18, title, fontsize=11, fontweight="bold", va="center")
        for stop, text in enumerate(STOPS):
            draw_text(paper, _middle(stop), 52, text, SMALL, INK)
            draw_text(paper, _middle(stop), 80, SHOWN[stop].format(mask), SMALL, SOFT)
        attention = np.stack([each for one in decodes for each in one.attention(mask)])
        scale = AttentionScale(attention, scale_end(float(np.quantile(attention, 0.998))))
        upscaled, _ = three_colours(np.stack([one.maps[UPSCALED] for one in decodes]))
        for decode, y, name, at, colours in zip(decodes, rows, names, clicks, upscaled, strict=False):
            paper.text(8, y + high / 2, name, fontsize=10, fontweight="bold", va="center")
            _draw_row(figure, y, high, decode, mask, shown, at, basis, colours, scale)
        draw_text(paper, 42, rows[2] - 16, "tokens apart", SMALL, TOKEN[1], bold=True)
        _draw_tokens(figure, paper, rows[2], decodes[0].names, apart)
        draw_text(paper, 42, rows[3] - 16, "image apart", SMALL, IMAGE[1], bold=True)
        _draw_fields(figure, paper, rows[3], high, fields, top, read_alike)
        _draw_bars(figure, rows, high, scale, top)
    return Figure(figure, _in_words(title, names, mask, decodes, apart, fields, read_alike))


class _Decode:
    """The tensors of one decode that the figure needs, as arrays without the axis of prompt sets."""

    def __init__(self, argument: str, tensors: Mapping[str, Any]) -> None:
        as_mapping(argument, tensors)
        self._argument, self._tensors = argument, tensors
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.scores = self._array("iou_pred", ("masks",))
        self.names = token_names([1], masks=len(self.scores))
        count = len(self.names)
        self.vectors = {
            name: self._array(name, (len(self.scores) if name == "hyper_in" else count, "channels"))
            for name in TOKENS_AT.values()
        }
        src = self._array("src", ("dim", "height", "width"))
        grid = src.shape[1:]
        self.maps = {
            "src": src,
            UPSCALED: self._array(UPSCALED, ("channels", "height", "width")),
        }
        cells = grid[0] * grid[1]
        for name in (IMAGE_AT[2], IMAGE_AT[4]):
            self.maps[name] = self._array(name, (cells, len(src))).T.reshape(src.shape)
        reads = [BLOCK.format(i) + READS + "weights" for i in (0, 1)]
        self._weights = [
            as_weights(f"{argument}[{name!r}]", self._array(name, ("heads", count, cells)))
            .mean(0)
            .reshape(count, *grid)
            for name in (*reads, LAST)
        ]
        axes = ("heads", cells, "head_dim")
        self.read = {part: self._array(BLOCK.format(0) + READS + part, axes) for part in ("k", "v")}
        logits = self._array("masks", (len(self.scores), "height", "width"))
        self.masks = logits > 0

    def _array(self, name: str, axes: tuple[int | str, ...]) -> Array:
        if name not in self._tensors:
            raise ValueError(f"{self._argument}: expected a trace of a decode, got one without {name}")
        given = self._tensors[name]
        if isinstance(given, Tensor):  # in double precision, so that what differs in one bit is not called equal
            given = given.double().numpy(force=True)
        result: Array = as_array(f"{self._argument}[{name!r}]", given, (1, *axes))[0]
        self.shapes[name] = result.shape
        return result

    def check_like(self, first: "_Decode") -> None:
        """Refuse tensors of other shapes than those of the first decode."""
        for name, shape in first.shapes.items():
            if self.shapes[name] != shape:
                raise ValueError(
                    f"{self._argument}: expected {name} of shape {shape}, as in the first decode, got"
                    f" {self.shapes[name]}"
                )

    def attention(self, mask: int) -> list[Array]:
        """The click's token in (2) of both blocks, and the mask's token in (6-1): means over the heads."""
        click = len(self.names) - 2
        return [self._weights[0][click], self._weights[1][click], self._weights[2][1 + mask]]


def distances(one: Array, other: Array) -> Array:
    """(rows,): per row how far two vectors (rows, channels) are apart, in parts of the mean of their lengths.

    0 where they are equal, 2 where one points against the other.
    """
    lengths = (np.linalg.norm(one, axis=1) + np.linalg.norm(other, axis=1)) / 2
    result: Array = np.linalg.norm(one - other, axis=1) / np.maximum(lengths, 1e-12)
    return result


def field_of_distances(one: Array, other: Array) -> Array:
    """(height, width): the distance of the vectors at each position, in parts of the mean length over the map."""
    lengths = (np.linalg.norm(one, axis=0).mean() + np.linalg.norm(other, axis=0).mean()) / 2
    result: Array = np.linalg.norm(one - other, axis=0) / max(float(lengths), 1e-12)
    return result


def _middle(stop: int) -> float:
    return _LEFT + stop * (_PANEL + _GAP) + _PANEL / 2


def _panel(figure: Drawing, stop: int, y: Number, height: Number) -> Axes:
    """Axes at a stop, from a position in pixels from the top."""
    wide, all_high = (float(side) * figure.dpi for side in figure.get_size_inches())
    left = _LEFT + stop * (_PANEL + _GAP)
    return figure.add_axes((left / wide, 1 - (y + height) / all_high, _PANEL / wide, height / all_high))


def _draw_row(
    figure: Drawing,
    y: Number,
    high: Number,
    decode: _Decode,
    mask: int,
    image: Array,
    clicks: list[Click],
    basis: ColourBasis,
    upscaled: Array,
    scale: AttentionScale,
) -> None:
    """What there is of one decode, stop by stop."""
    height, width = image.shape[:2]
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    for stop, name in IMAGE_AT.items():
        colours = upscaled if name == UPSCALED else basis.colours(decode.maps[name])
        axes = _panel(figure, stop, y, high)
        axes.imshow(colours, extent=extent)
        if stop == 0:
            draw_ticks(axes, clicks)
        bare(axes)
    for stop, weights in zip((1, 3, 5), decode.attention(mask), strict=True):
        draw_attention(_panel(figure, stop, y, high), weights, image, [], [], scale)
    axes = _panel(figure, 7, y, high)
    numbers, number = decode.vectors["hyper_in"][mask], mask % 4
    axes.barh(range(len(numbers)), numbers, height=0.8, color=MASK_COLOURS[number])
    limit = 1.1 * (float(np.abs(numbers).max()) or 1.0)
    axes.set_xlim(-limit, limit)
    axes.axvline(0.0, color=SOFT, linewidth=0.8)
    bare(axes)
    axes = _panel(figure, 8, y, high)
    draw_image(axes, image)
    draw_mask(axes, decode.masks[mask], MASK_COLOURS[number], 0.6)
    draw_ticks(axes, clicks)
    axes.text(
        0.04,
        0.05,
        f"{decode.scores[mask]:.2f}",
        transform=axes.transAxes,
        fontsize=SMALL,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
        zorder=7,
    )
    bare(axes)


def _draw_tokens(figure: Drawing, paper: Axes, y: Number, names: Sequence[str], apart: dict[int, Array]) -> None:
    """A column of cells per stop, a cell per token: its distance, or a sign that it is equal."""
    for i, name in enumerate(names):
        paper.text(
            _LEFT - 8,
            y + _CELL * (i + 0.5),
            name,
            fontsize=SMALL,
            color=for_text(token_colour(name)),
            ha="right",
            va="center",
        )
    colours, norm = mpl.colormaps["Greys"], Normalize(0.0, 2.0)
    for stop in range(len(STOPS) - 1):
        if stop not in apart:
            _as_before(paper, stop, y, _CELL * len(names))
            continue
        first = 1 if TOKENS_AT[stop] == "hyper_in" else 0  # only mask tokens become weights
        axes = _panel(figure, stop, y + first * _CELL, _CELL * len(apart[stop]))
        axes.imshow(apart[stop][:, None], cmap=colours, norm=norm, aspect="auto", interpolation="nearest")
        for row, value in enumerate(apart[stop]):
            text = "equal" if value == 0 else f"{value:.1f}" if value >= 0.05 else "< 0.1"
            axes.text(0, row, text, ha="center", va="center", fontsize=SMALL, color="white" if value > 1.1 else INK)
        bare(axes)


def _draw_fields(
    figure: Drawing, paper: Axes, y: Number, high: Number, fields: dict[int, Array], top: Number, read_alike: bool
) -> None:
    """Per stop the distance at each position; where nothing changed, words."""
    for stop in range(7):
        if stop == 1 and read_alike:
            _in_a_frame(figure, stop, y, high, "equal,\nbit for bit")
        elif stop not in fields:
            _as_before(paper, stop, y, high)
        elif not fields[stop].any():
            _in_a_frame(figure, stop, y, high, "equal,\nbit for bit")
        else:
            axes = _panel(figure, stop, y, high)
            axes.imshow(fields[stop], cmap=PLAIN, vmin=0.0, vmax=top, aspect="auto")
            bare(axes)


def _in_a_frame(figure: Drawing, stop: int, y: Number, high: Number, text: str) -> None:
    axes = _panel(figure, stop, y, high)
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", fontsize=SMALL, fontweight="bold")
    bare(axes)


def _as_before(paper: Axes, stop: int, y: Number, high: Number) -> None:
    draw_text(paper, _middle(stop), y + high / 2, "as before", SMALL, SOFT)


def _draw_bars(figure: Drawing, rows: Sequence[Number], high: Number, scale: AttentionScale, top: Number) -> None:
    """Both scales, beside the last rows: that of the distances of image tokens, and that of the attention."""
    wide, all_high = (float(side) * figure.dpi for side in figure.get_size_inches())
    for stop, colours, ends, label in (
        (7, PLAIN, (0.0, top), "distance of\nimage tokens"),
        (8, HEAT, (0.0, scale.top), "attention weight\n(square root)"),
    ):
        left = _LEFT + stop * (_PANEL + _GAP) + 8
        axes = figure.add_axes((left / wide, 1 - (rows[3] + high / 2) / all_high, (_PANEL - 20) / wide, 10 / all_high))
        norm = PowerNorm(ROOT, *ends) if colours == HEAT else Normalize(*ends)
        bar = figure.colorbar(ScalarMappable(norm, colours), cax=axes, orientation="horizontal")
        bar.set_ticks([*ends], labels=["0", f"{ends[1]:.2g}" + ("+" if colours == HEAT else "")])
        bar.minorticks_off()
        bar.outline.set_edgecolor(FAINT)
        axes.set_title(label, fontsize=SMALL)


def _in_words(
    title: str,
    names: Sequence[str],
    mask: int,
    decodes: Sequence[_Decode],
    apart: dict[int, Array],
    fields: dict[int, Array],
    read_alike: bool,
) -> str:
    tokens = [f"{_named(stop)}: {int((values > 0).sum())} of {len(values)}" for stop, values in apart.items()]
    images = [
        f"{_named(stop)}: {'equal' if not field.any() else f'{field.mean():.1f} on average'}"
        for stop, field in fields.items()
    ]
    same = f"Keys and values of step (2) in block 0 are {'equal' if read_alike else 'not equal'}."
    ious = overlap(decodes[0].masks[mask], decodes[1].masks[mask])
    return (
        f"{title}: {names[0]} and {names[1]} through nine stops, as images above, and how far apart they are, below."
        f" Tokens that differ: {listed(tokens)}. Distance of the image tokens, in parts of their length:"
        f" {listed(images)}. {same} IoU of the two masks {mask}: {ious:.2f}."
    )


def _named(stop: int) -> str:
    return STOPS[stop].replace("\n", " ")
