"""The poster: the whole decode of one prompt set, every tensor with its name, its shape and its picture."""

import base64
import io
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Polygon, Rectangle
from matplotlib.path import Path as Line
from matplotlib.text import Text
from matplotlib.textpath import text_to_path
from numpy.typing import ArrayLike
from PIL import Image

from sam_edu.figures.arrays import Array, Number, as_array, as_image
from sam_edu.figures.diagram import IMAGE, OUT, STEPS, TOKEN
from sam_edu.figures.features import three_colours
from sam_edu.figures.marks import Click, as_clicks, prompts_in_words, share
from sam_edu.figures.picture import Picture
from sam_edu.figures.theme import HEAT, INK, MASK_COLOURS, NEGATIVE, POSITIVE, SIGNED, SOFT, theme
from sam_edu.figures.tokens import token_colour, token_names

# A2, landscape, at five pixels to a millimetre. All places and sizes below are in these pixels, from the top left.
WIDE, HIGH, DPI = 2970, 2100, 127

# The three floors: the tokens' lane, the machinery between the lanes, the image's lane.
_LANE, _FLOOR, _BELOW, _FOOT = 352, 690, 1502, 1836
_PANEL, _STRIPE, _TALL = (70, 256), (35, 128), 256  # a panel of tokens, a stripe of queries or keys
_TOKENS_AT, _IMAGE_AT = 440, 1721  # where the two streams flow
_MAP, _GAP = 110, 6
_LOGITS = 6.0  # the colours of logits end here: the sigmoid is within 0.0025 of 0 or 1


class Poster(Picture):
    """The poster: a `Picture` that is A2 on paper, and as SVG holds each drawn tensor once and the words inside."""

    @cached_property
    def png(self) -> bytes:
        """The poster as PNG: the same bytes each time, without a date. Colours are rounded to multiples of 8."""
        with theme():
            canvas = FigureCanvasAgg(self.figure)
            canvas.draw()
            pixels = np.asarray(canvas.buffer_rgba())[..., :3].astype(int)
        buffer = io.BytesIO()
        rounded = np.minimum((pixels + 4) // 8 * 8, 255).astype(np.uint8)
        Image.fromarray(rounded).save(buffer, format="png", dpi=(DPI, DPI), optimize=True)
        return buffer.getvalue()

    def save(self, path: str | Path) -> Path:
        """Write the poster to `path`, as PNG or SVG by its ending."""
        if Path(path).suffix.lower() != ".svg":
            return super().save(path)
        images = self.figure.axes[0].images
        before = [image.get_interpolation() for image in images]
        try:
            for image in images:
                image.set_interpolation("none")  # each picture with its own pixels, once
            path = super().save(path)
        finally:
            for image, how in zip(images, before, strict=True):
                image.set_interpolation(how)
        drawn = re.sub(r"data:image/png;base64,([^\"]+)", _shorter, path.read_text(encoding="utf-8"))
        drawn = drawn.replace("image-rendering:crisp-edges;image-rendering:pixelated", "")
        head, opened, rest = drawn.partition("<svg ")
        attributes, _, body = rest.partition(">")
        words = f"<title>The mask decoder of Segment Anything</title>\n<desc>{escape(self.alt)}</desc>"
        path.write_text(f'{head}{opened}role="img" {attributes}>\n{words}{body}', encoding="utf-8")
        return path


def _shorter(found: re.Match[str]) -> str:
    """A picture inside the SVG in fewer bytes: with a palette where it has few colours, else as JPEG."""
    drawn = Image.open(io.BytesIO(base64.b64decode(found[1]))).convert("RGB")
    buffer = io.BytesIO()
    if drawn.getcolors(256):
        drawn.quantize(256).save(buffer, format="png", optimize=True)
        kind = "png"
    else:
        drawn.save(buffer, format="jpeg", quality=92, subsampling=0, optimize=True)
        kind = "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def poster(
    tensors: Mapping[str, Any],
    image: ArrayLike | Any,
    *,
    points: ArrayLike | Any,
    labels: ArrayLike | Any | None = None,
    note: str = "",
) -> Poster:
    """Every tensor of a decode on one sheet, from the click at the left to the masks at the right.

    The maps of the attentions are those of one token: that of the mask, of 1, 2 and 3, whose predicted IoU is highest.

    Args:
        tensors: a trace of a whole model (prompt encoder and decoder of depth 2) for one prompt set, or arrays by the
            same names.
        image: (height, width, 3), the picture that the encoder saw.
        points: clicks (clicks, 2) as (x, y) in the picture's pixels. The prompt set has no box.
        labels: (clicks,): 1 positive, 0 negative; all positive by default.
        note: a line for the foot of the sheet: which weights these are.

    Raises:
        KeyError: a tensor is missing.
        ValueError: more than one prompt set, or tokens that are not those of the clicks.
    """
    decode = _Decode(tensors, as_image(image), as_clicks(points, labels))
    with theme():
        sheet = _Sheet()
        _title(sheet, decode)
        _lanes(sheet)
        _inputs(sheet, decode)
        for i, left in enumerate((470, 1314)):
            _block(sheet, decode, i, left)
        _last_look(sheet, decode, 2158)
        _upscaling(sheet, decode, 2158)
        _product(sheet, decode, 2404)
        _outputs(sheet, decode, 2655)
        _legend(sheet, decode, note)
    return Poster(sheet.figure, _in_words(decode))


# --- What is drawn ---


class _Decode:
    """The tensors without their first axis, and what the whole sheet needs from them."""

    def __init__(self, tensors: Mapping[str, Any], image: Array, clicks: list[Click]) -> None:
        self.tensors, self.image, self.clicks = tensors, image, clicks
        self.names = token_names([label for *_, label in clicks])
        self.width = self["tokens"].shape[1]
        if len(self["tokens"]) != len(self.names):
            raise ValueError(
                f"tokens: expected {len(self.names)}, those of {len(clicks)} clicks, got {len(self['tokens'])}"
            )
        self.grid = self["src"].shape[1:]
        self.iou = self["iou_pred"]
        self.best = 1 + int(self.iou[1:].argmax())
        self.token = 1 + self.best
        # Channels in the order of what the mask tokens hold in the end, so that order can be seen to arise.
        self.order = np.argsort(-self["hs"][1 : 1 + len(self.iou)].mean(0), kind="stable")

    def __getitem__(self, name: str) -> Array:
        """A tensor as an array, without the axis of prompt sets."""
        given = self.tensors[name]
        array = as_array(name, given, tuple("abcd"[: len(np.shape(given))]))
        if len(array) != 1:
            raise ValueError(f"{name}: expected one prompt set, got {len(array)}")
        array = array[0]
        return array.astype(np.float64) if array.dtype.kind == "f" else array

    def shape(self, name: str, tight: bool = False) -> str:
        """A tensor's shape, for example "8 × 7 × 16"."""
        return ("×" if tight else " × ").join(map(str, np.shape(self.tensors[name])[1:]))

    def places(self, name: str) -> Array:
        """A tensor with an axis of places, (heads, places, channels) or (places, channels), as (channels, grid)."""
        array = self[name]
        array = array.transpose(0, 2, 1) if array.ndim == 3 else array.T
        return array.reshape(-1, *self.grid)

    def stripes(self, name: str) -> Array:
        """A tensor of tokens, (heads, tokens, channels) or (tokens, channels), as (channels, tokens)."""
        array = self[name]
        if array.ndim == 2:
            return array[:, self.order].T if array.shape[1] == self.width else array.T
        return array.transpose(0, 2, 1).reshape(-1, array.shape[1])

    @cached_property
    def stream(self) -> dict[str, Array]:
        """The states of the image as colours, all on the same three directions."""
        src = self["src"]
        names = [f"transformer.layers.{i}.keys_4" for i in range(2)]
        maps = [src - self["prompt_encoder.dense_embeddings"], src, *map(self.places, names)]
        return dict(zip(["image embedding", "src", *names], three_colours(np.stack(maps))[0], strict=True))

    def ground(self, height: int, width: int) -> Array:
        """The picture in another size, (height, width, 3) from 0 to 1."""
        image = self.image if self.image.dtype == np.uint8 else (self.image * 255).round().astype(np.uint8)
        return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BOX)) / 255

    def overlay(self, weights: Array) -> Array:
        """Attention over the grid, laid over the picture in grey: dark where there is none."""
        height, width = (2 * side for side in self.grid)
        grey = self.ground(height, width).mean(-1, keepdims=True)
        of_top = np.sqrt(weights / max(float(weights.max()), 1e-12)).reshape(self.grid)
        strength = np.repeat(np.repeat(of_top, 2, 0), 2, 1)[..., None]
        heat = mpl.colormaps[HEAT](0.25 + 0.75 * strength[..., 0])[..., :3]
        cover = np.clip(1.5 * strength, 0.0, 1.0)
        result: Array = (1 - cover) * (0.1 + 0.5 * grey) + cover * heat
        return result

    def masked(self, number: int) -> Array:
        """The picture, paler, with one mask on it."""
        inside = self["masks"][number] > 0
        ground = self.ground(*inside.shape)
        colour = np.array(to_rgb(MASK_COLOURS[number % 4]))
        padded = np.pad(inside, 2, mode="edge")
        high, wide = inside.shape
        shifts = [padded[2 + y : 2 + y + high, 2 + x : 2 + x + wide] for y, x in ((-2, 0), (2, 0), (0, -2), (0, 2))]
        edge = inside & ~np.logical_and.reduce(shifts)
        pale = np.where(inside[..., None], 0.55 * ground + 0.45 * colour, 0.6 * ground + 0.4)
        result: Array = np.where(edge[..., None], colour, pale)
        return result


def _signed(values: Array, limit: Number | None = None) -> Array:
    """Numbers as colours: red above zero, blue below, white at zero; the strongest 2 % share one colour."""
    limit = limit or float(np.quantile(np.abs(values), 0.98)) or 1.0
    result: Array = mpl.colormaps[SIGNED](0.5 + 0.5 * np.clip(values / limit, -1, 1))[..., :3]
    return result


# --- The sheet ---


class _Sheet:
    """An empty poster, and the few things that are drawn on it."""

    def __init__(self) -> None:
        self.figure = Figure(figsize=(WIDE / DPI, HIGH / DPI), dpi=DPI)
        FigureCanvasAgg(self.figure)
        self.axes = self.figure.add_axes((0.0, 0.0, 1.0, 1.0))
        self.axes.set_xlim(0, WIDE)
        self.axes.set_ylim(HIGH, 0)
        self.axes.set_autoscale_on(False)
        self.axes.set_axis_off()

    def text(
        self,
        x: Number,
        y: Number,
        text: str,
        size: Number = 15,
        colour: str = INK,
        *,
        bold: bool = False,
        code: bool = False,
        ha: Literal["left", "center", "right"] = "left",
        va: Literal["top", "center", "bottom"] = "top",
    ) -> Text:
        """Text, of one line or more."""
        return self.axes.text(
            x,
            y,
            text,
            fontproperties=_font(size, bold, code),
            color=colour,
            ha=ha,
            va=va,
            linespacing=1.28,
            zorder=6,
        )

    def words(self, x: Number, y: Number, width: Number, text: str, size: Number = 15, colour: str = INK) -> float:
        """Text in a column of some width; returns where it ends."""
        lines = _wrapped(text, width, size)
        drawn = self.text(x, y, "\n".join(lines), size, colour)
        return y + float(drawn.get_window_extent().height)

    def picture(self, x: Number, y: Number, width: Number, height: Number, colours: Array) -> None:
        """Colours from 0 to 1 as a picture with a thin frame."""
        drawn = (np.clip(colours, 0, 1) * 255).round().astype(np.uint8)
        self.axes.imshow(drawn, extent=(x, x + width, y + height, y), aspect="auto", interpolation="auto", zorder=4)
        self.axes.add_patch(
            Rectangle((x, y), width, height, fill=False, edgecolor="#8A8A8A", linewidth=_points(1), zorder=5)
        )

    def stripes(self, x: Number, y: Number, width: Number, height: Number, values: Array, top: bool = False) -> None:
        """(channels, tokens) as upright stripes, one per token; from white to dark where nothing is negative."""
        colours = mpl.colormaps["Greys"](np.clip(values / (np.quantile(values, 0.98) or 1.0), 0, 1))[..., :3]
        self.picture(x, y, width, height, np.repeat(colours if top else _signed(values), 10, axis=1))

    def matrix(self, x: Number, y: Number, size: Number, colours: Array) -> None:
        """A small matrix of colours whose cells stay sharp."""
        self.picture(x, y, size, size, np.repeat(np.repeat(colours, 12, 0), 12, 1))

    def arrow(
        self, corners: Sequence[tuple[Number, Number]], colour: str, width: Number = 3, head: bool = True
    ) -> None:
        """A path, with a head at its end."""
        self.axes.add_patch(
            FancyArrowPatch(
                path=Line(corners),
                arrowstyle="-|>" if head else "-",
                mutation_scale=_points(5 * width + 6),
                color=colour,
                linewidth=_points(width),
                shrinkA=0,
                shrinkB=0,
                joinstyle="miter",
                capstyle="butt",
                zorder=3,
            )
        )

    def box(
        self, x: Number, y: Number, width: Number, height: Number, face: str, edge: str, dashed: bool = False
    ) -> None:
        """A box with round corners."""
        self.axes.add_patch(
            FancyBboxPatch(
                (x, y),
                width,
                height,
                boxstyle="round,pad=0,rounding_size=14",
                facecolor=face,
                edgecolor=edge,
                linewidth=_points(1.5),
                linestyle=(0, (5, 3)) if dashed else "-",
                zorder=1.5 if dashed else 4,
            )
        )

    def sign(self, x: Number, y: Number, sign: str, colour: str) -> None:
        """A sign in a small circle."""
        self.axes.add_patch(Circle((x, y), 11, facecolor="white", edgecolor=colour, linewidth=_points(2), zorder=5))
        self.text(x, y - 0.5, sign, 17, colour, bold=True, ha="center", va="center")

    def clicks(self, decode: _Decode, x: Number, y: Number, width: Number, height: Number, size: Number) -> None:
        """The clicks on a picture: four ticks each that point at the place and leave it free."""
        high, wide = decode.image.shape[:2]
        for at_x, at_y, label in decode.clicks:
            across, down = x + (at_x + 0.5) * width / wide, y + (at_y + 0.5) * height / high
            for colour, line, more in (("white", 0.6, 0.12), (POSITIVE if label == 1 else NEGATIVE, 0.36, 0.0)):
                for to_x, to_y in ((1, 0), (-1, 0), (0, 1), (0, -1)):
                    near, far = (1 - more) * size, (2.6 + more) * size
                    self.axes.plot(
                        [across + near * to_x, across + far * to_x],
                        [down + near * to_y, down + far * to_y],
                        color=colour,
                        linewidth=_points(line * size),
                        solid_capstyle="butt",
                        zorder=6,
                    )

    def step(self, x: Number, y: Number, width: Number, step: str, text: str, edge: str) -> float:
        """A step's number, name and a sentence or two; returns where they end."""
        wide = 24 + 13 * len(step)
        self.axes.add_patch(
            FancyBboxPatch(
                (x, y), wide, 34, boxstyle="round,pad=0,rounding_size=17", facecolor=edge, edgecolor=edge, zorder=4
            )
        )
        self.text(x + wide / 2, y + 17, step, 22, "white", bold=True, ha="center", va="center")
        name = STEPS[step][0].upper() + STEPS[step][1:]
        lines = _wrapped(name, width - wide - 8, 17, bold=True)
        if len(lines) == 1:
            drawn = self.text(x + wide + 8, y + 17, name, 17, edge, bold=True, va="center")
        else:
            drawn = self.text(x + wide + 8, y - 2, "\n".join(lines), 17, edge, bold=True)
        return self.words(x, y + max(36, float(drawn.get_window_extent().height)) + 8, width, text, 14)


def _points(pixels: Number) -> float:
    return pixels * 72 / DPI


def _font(size: Number, bold: bool = False, code: bool = False) -> FontProperties:
    family = "DejaVu Sans Mono" if code else "DejaVu Sans"
    return FontProperties(family=family, size=_points(size), weight="bold" if bold else "normal")


def _wrapped(text: str, width: Number, size: Number, bold: bool = False) -> list[str]:
    """Text cut into lines that are no wider than `width` pixels, unless one word is."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        measured, _, _ = text_to_path.get_text_width_height_descent(longer, _font(size, bold), False)
        if lines and measured * DPI / 72 <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


# --- The parts, from left to right ---


def _title(sheet: _Sheet, decode: _Decode) -> None:
    sheet.text(50, 40, "The mask decoder of Segment Anything", 62, INK, bold=True)
    count = len(decode.tensors)
    told = f"One click, from prompt to masks: the {count} tensors of one real forward pass, each with its name in the"
    sheet.text(52, 120, f"{told} code, its shape and its picture", 25, SOFT)
    for x, name, (face, edge) in ((2316, "tokens", TOKEN), (2466, "the image", IMAGE), (2656, "what comes out", OUT)):
        sheet.box(x, 60, 30, 30, face, edge)
        sheet.text(x + 42, 75, name, 22, edge, bold=True, va="center")


def _lanes(sheet: _Sheet) -> None:
    """The two streams as broad bands, and the room of what comes out."""
    for left, right, top, bottom, colour in (
        (44, 2396, _LANE, _FLOOR, "#E8F0F8"),
        (44, 2640, _BELOW, _FOOT, "#E8F8F0"),
        (2396, 2926, _LANE, _FLOOR, "#F8F0E0"),
        (2646, 2926, _FLOOR, _FOOT, "#F8F0E0"),
    ):
        sheet.axes.add_patch(Rectangle((left, top), right - left, bottom - top, facecolor=colour, zorder=1))


def _panel(
    sheet: _Sheet, decode: _Decode, x: Number, name: str, *, slots: slice = slice(None), short: str = ""
) -> None:
    """Tokens as they are at one place of their stream, all of them or some."""
    height, names = _PANEL[1], decode.names[slots]
    width = _PANEL[0] / len(decode.names) * len(names)
    values = decode.stripes(name)
    values = values[:, slots] if len(values.T) > len(names) else values
    named = short or name.rpartition(".")[2]
    sheet.text(x + width / 2, 366, named, 14, TOKEN[1], bold=True, code=not short, ha="center")
    _squares(sheet, names, x, 391, width)
    sheet.stripes(x, 402, width, height, values)
    sheet.text(x + width / 2, 663, f"{values.shape[1]} × {values.shape[0]}", 13, SOFT, ha="center")


def _squares(sheet: _Sheet, names: Sequence[str], x: Number, y: Number, length: Number, upright: bool = False) -> None:
    """A square of each token's colour, in a row or upright."""
    step = length / len(names)
    for i, name in enumerate(names):
        place = (x, y + i * step + 1) if upright else (x + i * step + 1, y)
        width, height = (8, step - 2) if upright else (step - 2, 8)
        sheet.axes.add_patch(Rectangle(place, width, height, facecolor=token_colour(name), edgecolor="none", zorder=5))


def _stripe(
    sheet: _Sheet, decode: _Decode, x: Number, y: Number, name: str, coded: bool = False, height: Number = _STRIPE[1]
) -> None:
    """Queries, keys, values or results of an attention, at the side of the tokens."""
    width = _STRIPE[0]
    sheet.text(x + width / 2, y - 20, name.rpartition(".")[2] + " ◎" * coded, 13, INK, code=True, ha="center")
    sheet.stripes(x, y, width, height, decode.stripes(name))
    sheet.text(x + width / 2, y + height + 4, decode.shape(name, tight=True), 12, SOFT, ha="center")


def _tile(
    sheet: _Sheet,
    decode: _Decode,
    x: Number,
    y: Number,
    size: Number,
    name: str,
    colours: Array | None = None,
    *,
    main: bool = False,
    coded: bool = False,
    short: str = "",
) -> None:
    """A tensor at the side of the image, as colours."""
    colours = three_colours(decode.places(name)[None])[0][0] if colours is None else colours
    short = (short or name.rpartition(".")[2]) + " ◎" * coded
    sheet.text(x + size / 2, y - 20, short, 13, IMAGE[1] if main else INK, bold=main, code=True, ha="center")
    sheet.picture(x, y, size, size, colours)
    sheet.text(x + size / 2, y + size + 4, decode.shape(name, tight=True), 12, SOFT, ha="center")


def _inputs(sheet: _Sheet, decode: _Decode) -> None:
    """The picture and the click, and how they become two streams: step (0)."""
    told = (
        "The tokens: the IoU token and the mask tokens are learned; a click adds its own, and clicks without a box are"
        " followed by one for padding. The image: the picture’s embedding, and at every place the mask prompt or,"
        " without one, the code of “no mask”."
    )
    sheet.step(50, 178, 400, "0", told, TOKEN[1])
    fixed = 1 + len(decode.iou)
    _panel(sheet, decode, 60, "tokens", slots=slice(fixed), short="learned")
    sparse = "prompt_encoder.sparse_embeddings"
    step = _PANEL[0] / len(decode.names)
    extra = step * (len(decode.names) - fixed)
    _panel(sheet, decode, 238 - extra / 2, sparse, slots=slice(fixed, None))
    sheet.text(238, 353, "prompt_encoder.", 12, SOFT, code=True, ha="center")
    for i, name in enumerate(decode.names):
        y = 476 + min(26.0, 182 / len(decode.names)) * i
        sheet.axes.add_patch(Rectangle((290, y), 10, 10, facecolor=token_colour(name), edgecolor="none", zorder=5))
        sheet.text(307, y + 5, name, 13, INK, va="center")
    sheet.arrow([(60 + step * fixed, _TOKENS_AT), (238 - extra / 2, _TOKENS_AT)], TOKEN[1], head=False)
    sheet.arrow([(238 + extra / 2, _TOKENS_AT), (376, _TOKENS_AT)], TOKEN[1])
    _panel(sheet, decode, 380, "tokens")
    # The picture.
    x, y, size = 60, 868, 340
    high, wide = decode.image.shape[:2]
    width, height = size * min(1, wide / high), size * min(1, high / wide)
    sheet.text(x, y - 32, "the picture and the click", 18, INK, bold=True)
    sheet.picture(x, y, width, height, decode.image / (255 if decode.image.dtype == np.uint8 else 1))
    sheet.clicks(decode, x, y, width, height, 12)
    sheet.text(x, y + height + 8, f"{high} × {wide} × 3", 13, SOFT)
    sheet.arrow([(238, y - 42), (238, _FLOOR + 2)], TOKEN[1])
    _named_box(sheet, 148, 745, "prompt encoder", TOKEN[1])
    sheet.words(342, 748, 110, "once for each prompt", 14, SOFT)
    sheet.arrow([(216, y + height + 34), (216, _BELOW - 2)], IMAGE[1])
    _named_box(sheet, 126, 1300, "image encoder", IMAGE[1])
    sheet.words(320, 1303, 110, "once for each picture", 14, SOFT)
    # The image.
    dense = decode["prompt_encoder.dense_embeddings"]
    flat = float(np.ptp(dense, axis=(1, 2)).max()) == 0
    sheet.text(123, 1636, "image embedding", 13, IMAGE[1], bold=True, ha="center")
    sheet.picture(58, 1656, 130, 130, decode.stream["image embedding"])
    sheet.text(123, 1790, decode.shape("src", tight=True), 12, SOFT, ha="center")
    sheet.sign(206, _IMAGE_AT, "+", IMAGE[1])
    plain = np.full((*decode.grid, 3), 0.8)
    sheet.text(260, 1649, "prompt_encoder.", 12, SOFT, code=True, ha="center")
    _tile(sheet, decode, 224, 1685, 72, "prompt_encoder.dense_embeddings", plain if flat else None)
    if flat:
        sheet.text(260, _IMAGE_AT, "the same\neverywhere", 12, INK, ha="center", va="center")
    sheet.sign(314, _IMAGE_AT, "=", IMAGE[1])
    _tile(sheet, decode, 332, 1656, 130, "src", decode.stream["src"], main=True)
    _tile(sheet, decode, 378, 1530, 72, "pos_src")
    told = "The code of each place: sines and cosines. ◎: added to the image’s queries and keys in every attention, as"
    sheet.words(58, 1516, 300, f"{told} the tokens as they came in are to theirs. Never to values.", 14, INK)


def _named_box(sheet: _Sheet, x: Number, y: Number, name: str, edge: str) -> None:
    sheet.box(x, y, 180, 44, "white", edge)
    sheet.text(x + 90, y + 22, name, 18, edge, bold=True, ha="center", va="center")


def _block(sheet: _Sheet, decode: _Decode, number: int, left: Number) -> None:
    """One two-way block: steps (1) to (4)."""
    path = f"transformer.layers.{number}"
    sheet.box(left, 168, 830, _FOOT - 160, "none", "#A0A0A0", dashed=True)
    drawn = sheet.text(left + 300, _FOOT + 14, f"block {number}", 18, SOFT, bold=True)
    after = left + 312 + float(drawn.get_window_extent().width)
    sheet.text(after, _FOOT + 17, path, 15, SOFT, code=True)
    first = left + 12
    _self_attention(sheet, decode, first, f"{path}.self_attn", number)
    _cross(sheet, decode, first + 198, f"{path}.cross_attn_token_to_image", "2", f"{path}.queries_2")
    _mlp(sheet, decode, first + 442, path)
    _image_to_token(sheet, decode, first + 580, path)
    told = f"{decode.grid[0] * decode.grid[1]} image tokens of {decode.width} numbers: the same until step (4)"
    sheet.text(first + 330, _IMAGE_AT + 12, told, 14, IMAGE[1], ha="center")


def _self_attention(sheet: _Sheet, decode: _Decode, x: Number, name: str, number: int) -> None:
    """The tokens read each other: step (1)."""
    told = (
        "The one step in which tokens read tokens: here the mask tokens meet the click."
        if number == 0
        else "The tokens exchange what they found in the image."
    )
    sheet.step(x, 178, 180, "1", told, TOKEN[1])
    _path(sheet, x, name)
    sheet.arrow([(x - 32, _TOKENS_AT), (x + 106, _TOKENS_AT)], TOKEN[1])
    sheet.arrow([(x + 22, _TOKENS_AT), (x + 22, _FLOOR + 2)], TOKEN[1])
    _stripe(sheet, decode, x + 56, 530, f"{name}.out")
    _joins(sheet, x + 73, TOKEN[1], "+" if number else "=")
    _panel(sheet, decode, x + 110, name.replace("self_attn", "queries_1"))
    for i, one in enumerate(("q", "k", "v", "heads")):
        at = x + 2 + 46 * i
        coded = number > 0 and one in "qk"
        sheet.text(at + 18, 752, one + " ◎" * coded, 13, INK, code=True, ha="center")
        sheet.stripes(at, 772, *_STRIPE, decode.stripes(f"{name}.{one}"))
    sheet.text(x + 90, 904, f"each {decode.shape(name + '.q')}", 12, SOFT, ha="center")
    scores, weights = decode[f"{name}.scores"], decode[f"{name}.weights"]
    limit = float(np.quantile(np.abs(scores), 0.98))
    _label(sheet, x, 934, "scores", decode.shape(f"{name}.scores"))
    for i, one in enumerate(scores):
        sheet.matrix(x + 2 + 46 * (i % 4), 954 + 46 * (i // 4), 40, _signed(one, limit))
    _label(sheet, x, 1056, "weights", decode.shape(f"{name}.weights"))
    for i, one in enumerate(weights):
        at_x, at_y = x + 14 + 86 * (i % 2), 1092 + 84 * (i // 2)
        sheet.matrix(at_x, at_y, 78, mpl.colormaps[HEAT](one / float(weights.max()))[..., :3])
        if i < 2:
            _squares(sheet, decode.names, at_x, 1081, 78)
        if i % 2 == 0:
            _squares(sheet, decode.names, x + 2, at_y, 78, upright=True)
    sheet.words(x, 1434, 180, "A matrix per head. Row: who reads; column: who is read.", 13, SOFT)


def _label(sheet: _Sheet, x: Number, y: Number, name: str, shape: str) -> None:
    """A tensor's name and its shape, in one line."""
    drawn = sheet.text(x, y, name, 13, INK, code=True)
    sheet.text(x + float(drawn.get_window_extent().width) + 8, y + 1, shape, 12, SOFT)


def _path(sheet: _Sheet, x: Number, name: str, parts: int = 1) -> None:
    """A module's path, in two lines; so many of its parts in the second."""
    before, last = name.rsplit(".", parts)[0], name.split(".")[-parts:]
    sheet.text(x, _FLOOR + 16, f"{before}.\n{'.'.join(last)}", 13, SOFT, code=True)


def _joins(sheet: _Sheet, x: Number, colour: str, sign: str = "+") -> None:
    """A result comes up and joins the tokens' stream."""
    sheet.arrow([(x, 508), (x, _TOKENS_AT + 9)], colour, 2)
    sheet.sign(x, _TOKENS_AT, sign, colour)


def _crosses(sheet: _Sheet, x: Number, y: Number, down: bool, colour: str) -> None:
    """A triangle on the edge of a lane: here something enters or leaves it."""
    tip = 12 if down else -12
    corners = [(x - 9, y - tip / 2), (x + 9, y - tip / 2), (x, y + tip / 2)]
    sheet.axes.add_patch(Polygon(corners, facecolor=colour, edgecolor="none", zorder=5))


def _maps(sheet: _Sheet, decode: _Decode, x: Number, y: Number, maps: Array) -> None:
    """A map per head over the picture, two in a row."""
    for i, one in enumerate(maps):
        at_x, at_y = x + (_MAP + _GAP) * (i % 2), y + (_MAP + _GAP) * (i // 2)
        sheet.picture(at_x, at_y, _MAP, _MAP, decode.overlay(one))
        sheet.clicks(decode, at_x, at_y, _MAP, _MAP, 5)
        sheet.text(at_x + 5, at_y + 3, str(i), 13, "white", bold=True)


def _small_maps(sheet: _Sheet, decode: _Decode, x: Number, y: Number, maps: Array) -> None:
    """Scores of each head over the grid, four in a row."""
    limit = float(np.quantile(np.abs(maps), 0.98))
    for i, one in enumerate(maps):
        sheet.picture(x + 58 * (i % 4), y + 58 * (i // 4), 52, 52, _signed(one.reshape(decode.grid), limit))


def _cross(sheet: _Sheet, decode: _Decode, x: Number, name: str, step: str, result: str) -> None:
    """The tokens read the image: steps (2) and (6-1)."""
    looking = decode.names[decode.token]
    if step == "2":
        told = "Each token asks all places of the image and fetches what answers best: 8 heads, 8 looks."
    else:
        told = (
            "Step (4) has rewritten the image, so the tokens look once more. What they are now, hs, becomes the masks."
        )
    sheet.step(x, 178, 226, step, told, TOKEN[1])
    _path(sheet, x, name)
    sheet.arrow([(x - 24, _TOKENS_AT), (x + 152, _TOKENS_AT)], TOKEN[1])
    sheet.arrow([(x + 31, _TOKENS_AT), (x + 31, 508)], TOKEN[1], 2)
    _stripe(sheet, decode, x + 14, 530, f"{name}.q", coded=True)
    _crosses(sheet, x + 31, _FLOOR, True, TOKEN[1])
    _stripe(sheet, decode, x + 88, 530, f"{name}.out")
    _crosses(sheet, x + 105, _FLOOR, False, TOKEN[1])
    _joins(sheet, x + 105, TOKEN[1])
    _panel(sheet, decode, x + 156, result)
    _stripe(sheet, decode, x + 186, 764, f"{name}.heads", height=104)
    sheet.words(x, 764, 160, "heads: the values of all places, averaged with the weights.", 13, SOFT)
    _label(sheet, x, 854, "weights", decode.shape(f"{name}.weights"))
    sheet.text(x, 872, f"where {looking} looks", 13, INK)
    _maps(sheet, decode, x, 894, decode[f"{name}.weights"][:, decode.token])
    _label(sheet, x, 1359, "scores", decode.shape(f"{name}.scores"))
    _small_maps(sheet, decode, x, 1379, decode[f"{name}.scores"][:, decode.token])
    from_y = _IMAGE_AT if step == "2" else 1639
    if step != "2":
        sheet.arrow([(x - 18, _IMAGE_AT), (x - 18, from_y), (x + 171, from_y)], IMAGE[1], 2, head=False)
    for at, one in ((20, "k"), (134, "v")):
        sheet.arrow([(x + at + 36, from_y), (x + at + 36, 1620)], IMAGE[1], 2)
        _tile(sheet, decode, x + at, 1530, 72, f"{name}.{one}", coded=one == "k")
        _crosses(sheet, x + at + 36, _BELOW, False, IMAGE[1])


def _mlp(sheet: _Sheet, decode: _Decode, x: Number, path: str) -> None:
    """An MLP on each token: step (3)."""
    name = f"{path}.mlp.hidden"
    hidden = decode[name]
    told = f"Each token alone: to {hidden.shape[1]} numbers, negatives to zero, and back."
    sheet.step(x, 178, 122, "3", told, TOKEN[1])
    _path(sheet, x, f"{path}.mlp", parts=3)
    sheet.text(x + 60, 742, "hidden", 13, INK, code=True, ha="center")
    sheet.arrow([(x - 24, _TOKENS_AT), (x + 46, _TOKENS_AT)], TOKEN[1])
    sheet.arrow([(x + 6, _TOKENS_AT), (x + 6, _FLOOR + 2)], TOKEN[1])
    sheet.arrow([(x + 30, _FLOOR), (x + 30, _TOKENS_AT + 9)], TOKEN[1])
    sheet.sign(x + 30, _TOKENS_AT, "+", TOKEN[1])
    _panel(sheet, decode, x + 50, f"{path}.queries_3")
    _squares(sheet, decode.names, x + 25, 761, 70)
    group = max(1, hidden.shape[1] // 512)
    largest = hidden.T[: len(hidden.T) // group * group].reshape(-1, group, len(hidden)).max(1)
    sheet.stripes(x + 25, 772, 70, 512, largest, top=True)
    sheet.text(x + 60, 1290, decode.shape(name), 13, SOFT, ha="center")
    fire = 100 * float((hidden > 0).mean())
    told = f"{fire:.0f} % of these numbers are above zero. In a row: the largest of {group}."
    sheet.words(x, 1316, 118, told, 13, SOFT)


def _image_to_token(sheet: _Sheet, decode: _Decode, x: Number, path: str) -> None:
    """The image reads the tokens: step (4)."""
    name = f"{path}.cross_attn_image_to_token"
    heard = decode.names[decode.token]
    told = "Now each place asks the tokens, and is rewritten: so the image comes to know what was meant."
    sheet.step(x, 178, 226, "4", told, IMAGE[1])
    _path(sheet, x, name)
    sheet.arrow([(x - 24, _TOKENS_AT), (x + 256, _TOKENS_AT)], TOKEN[1], head=False)
    for at, one in ((34, "k"), (148, "v")):
        sheet.arrow([(x + at + 17, _TOKENS_AT), (x + at + 17, 508)], TOKEN[1], 2)
        _stripe(sheet, decode, x + at, 530, f"{name}.{one}", coded=one == "k")
        _crosses(sheet, x + at + 17, _FLOOR, True, TOKEN[1])
    scores, weights = decode[f"{name}.scores"], decode[f"{name}.weights"]
    _label(sheet, x, 756, "scores", decode.shape(f"{name}.scores"))
    _small_maps(sheet, decode, x, 776, scores[:, :, decode.token])
    _label(sheet, x, 902, "weights", decode.shape(f"{name}.weights"))
    sheet.text(x, 921, f"which places listen to {heard}", 13, INK)
    _maps(sheet, decode, x, 944, weights[:, :, decode.token])
    row, column = _cell(decode)
    here = weights[:, row * decode.grid[1] + column]
    sheet.text(x, 1405, "to whom the clicked place listens", 13, INK)
    _squares(sheet, decode.names, x + 60, 1425, 166)
    colours = mpl.colormaps[HEAT](here / float(here.max()))[..., :3]
    sheet.picture(x + 60, 1435, 166, 56, np.repeat(np.repeat(colours, 8, 0), 24, 1))
    sheet.text(x + 52, 1434, "head 0", 12, SOFT, ha="right")
    sheet.text(x + 52, 1492, f"head {len(here) - 1}", 12, SOFT, ha="right", va="bottom")
    sheet.arrow([(x - 600, _IMAGE_AT), (x + 92, _IMAGE_AT)], IMAGE[1], 4)
    sheet.arrow([(x + 33, _IMAGE_AT), (x + 33, 1622)], IMAGE[1], 2)
    sheet.arrow([(x + 82, 1622), (x + 82, _IMAGE_AT - 9)], IMAGE[1], 2)
    for i, one in enumerate(("q", "out", "heads")):
        _tile(sheet, decode, x + 80 * i, 1530, 66, f"{name}.{one}", coded=one == "q")
    _crosses(sheet, x + 33, _BELOW, False, IMAGE[1])
    _crosses(sheet, x + 193, _BELOW, True, IMAGE[1])
    sheet.sign(x + 82, _IMAGE_AT, "+", IMAGE[1])
    name = f"{path}.keys_4"
    short = "keys_4 = keys" if path.endswith("1") else ""
    _tile(sheet, decode, x + 104, 1656, 130, name, decode.stream[name], main=True, short=short)


def _cell(decode: _Decode) -> tuple[int, int]:
    """The cell of the grid under the first click, as row and column."""
    high, wide = decode.image.shape[:2]
    x, y, _ = decode.clicks[0]
    return int((y + 0.5) * decode.grid[0] / high), int((x + 0.5) * decode.grid[1] / wide)


def _last_look(sheet: _Sheet, decode: _Decode, x: Number) -> None:
    """The tokens read the image a last time: step (6-1)."""
    _cross(sheet, decode, x, "transformer.final_attn_token_to_image", "6-1", "hs")


def _upscaling(sheet: _Sheet, decode: _Decode, x: Number) -> None:
    """The image grows: step (5)."""
    path = "output_upscaling"
    last = decode[f"{path}.activated_twice"]
    told = f"Two transposed convolutions: from {decode.grid[1]} to {last.shape[2]} wide, from {decode.width}"
    sheet.step(x + 246, 1514, 214, "5", f"{told} to {len(last)} channels.", IMAGE[1])
    sheet.arrow([(x - 26, _IMAGE_AT), (x + 480, _IMAGE_AT)], IMAGE[1], 4, head=False)
    for i, name in enumerate(("doubled_once", "normed", "activated_once", "doubled_twice")):
        array = decode[f"{path}.{name}"]
        _tile(sheet, decode, x + 2 + 117 * i, 1672, 106, f"{path}.{name}", three_colours(array[None])[0][0])
    sheet.text(x + 2, 1806, f"{path}.", 13, SOFT, code=True)
    sheet.arrow([(x + 478, _IMAGE_AT + 2), (x + 478, _BELOW - 12)], IMAGE[1], 4)


def _product(sheet: _Sheet, decode: _Decode, x: Number) -> None:
    """Weights from the tokens, channels from the image, and their product: steps (6-2) and (6-3)."""
    weights, channels = decode["hyper_in"], decode["output_upscaling.activated_twice"]
    best, count = decode.best, weights.shape[1]
    order = np.argsort(-weights[best], kind="stable")
    digits = int(np.clip(1 - np.floor(np.log10(np.abs(weights[best]).max() or 1.0)), 0, 3))
    told = (
        f"One MLP for each mask token turns its {decode.width} numbers into {count}: what to make of {count} channels."
    )
    sheet.step(x, 178, 232, "6-2", told, OUT[1])
    sheet.arrow([(2384, _TOKENS_AT), (x + 12, _TOKENS_AT)], TOKEN[1])
    sheet.text(x + 118, 366, "hyper_in", 14, OUT[1], bold=True, code=True, ha="center")
    top = float(np.abs(weights).max()) or 1.0
    for i, row in enumerate(weights):
        middle = 424 + 58 * i
        _bars(sheet, x + 36, middle, 196, 29, row[order] / top, MASK_COLOURS[i % 4])
        sheet.axes.add_patch(Rectangle((x + 20, middle - 5), 10, 10, facecolor=MASK_COLOURS[i % 4], zorder=5))
    sheet.text(x + 118, 663, decode.shape("hyper_in"), 13, SOFT, ha="center")
    _crosses(sheet, x + 134, _FLOOR, True, OUT[1])
    told = f"A pixel’s logit: its {count} channels, each times its weight, added up."
    sheet.step(x, 708, 236, "6-3", told, OUT[1])
    row, column = _pixel(decode, channels.shape[1:])
    terms = weights[best] * channels[:, row, column]
    _bars(sheet, x + 36, 860, 196, 34, terms[order] / (float(np.abs(terms).max()) or 1.0), MASK_COLOURS[best % 4])
    sheet.text(x + 134, 896, f"at the click, mask {best}: sum {terms.sum():.1f}", 13, INK, ha="center")
    _label(sheet, x, 930, "activated_twice", decode.shape("output_upscaling.activated_twice"))
    for i, channel in enumerate(order):
        at_x, at_y = x + 61 * (i % 4), 954 + 67 * (i // 4)
        sheet.picture(at_x, at_y, 52, 52, _signed(_shrunk(channels[channel], 4)))
        sheet.text(at_x + 26, at_y + 53, f"{weights[best, channel]:+.{digits}f}", 12, SOFT, ha="center")


def _shrunk(values: Array, times: int) -> Array:
    """A map made smaller by whole numbers: each block by its mean."""
    high, wide = (side // times for side in values.shape)
    result: Array = values[: high * times, : wide * times].reshape(high, times, wide, times).mean((1, 3))
    return result


def _bars(sheet: _Sheet, x: Number, y: Number, width: Number, high: Number, values: Array, colour: str) -> None:
    """Numbers from -1 to 1 as upright bars about a line."""
    step = width / len(values)
    for i, value in enumerate(values):
        place = (x + i * step + 0.5, y - max(value, 0.0) * high)
        bar = Rectangle(place, step - 1, abs(value) * high, facecolor=colour, edgecolor="none", zorder=5)
        sheet.axes.add_patch(bar)
    sheet.arrow([(x - 4, y), (x + width + 4, y)], SOFT, 1, head=False)


def _pixel(decode: _Decode, size: tuple[int, ...]) -> tuple[int, int]:
    """The first click in a map of another size, as row and column."""
    high, wide = decode.image.shape[:2]
    x, y, _ = decode.clicks[0]
    return int((y + 0.5) * size[0] / high), int((x + 0.5) * size[1] / wide)


def _outputs(sheet: _Sheet, decode: _Decode, x: Number) -> None:
    """What comes out: steps (7) and (8)."""
    told = "From the IoU token alone: how good the decoder believes each of its masks to be."
    sheet.step(x + 8, 178, 257, "7", told, OUT[1])
    sheet.arrow([(2384, 646), (x + 18, 646)], TOKEN[1])
    sheet.text(x + 136, 366, "iou_pred", 14, OUT[1], bold=True, code=True, ha="center")
    for i, value in enumerate(decode.iou):
        y = 404 + 58 * i
        sheet.text(x + 22, y - 8, f"mask {i}", 14, INK)
        length = 150 * max(float(value), 0.0)
        sheet.axes.add_patch(Rectangle((x + 22, y + 14), length, 18, facecolor=MASK_COLOURS[i % 4], zorder=5))
        sheet.text(x + 28 + length, y + 23, f"{value:.2f}", 18, INK, bold=True, va="center")
    sheet.text(x + 136, 663, decode.shape("iou_pred"), 13, SOFT, ha="center")
    told = "multimask_output=True: masks 1 to 3; False: mask 0. A logit above 0 means inside."
    sheet.step(x + 8, 708, 257, "8", told, OUT[1])
    _label(sheet, x + 8, 834, "masks", decode.shape("masks"))
    sheet.text(x + 203, 834, "above 0", 13, INK, ha="center")
    for i, logits in enumerate(decode["masks"]):
        y = 876 + 154 * i
        sheet.text(x + 8, y - 19, f"mask {i}", 13, MASK_COLOURS[i % 4], bold=True)
        sheet.picture(x + 8, y, 124, 124, _signed(logits, _LOGITS))
        sheet.picture(x + 141, y, 124, 124, decode.masked(i))
        for at in (8, 141):
            sheet.clicks(decode, x + at, y, 124, 124, 5)
    sheet.axes.add_patch(Polygon([(x - 9, 992), (x - 9, 1010), (x + 3, 1001)], facecolor=OUT[1], zorder=5))
    best = decode.best
    sheet.text(x + 8, 1514, f"highest predicted IoU: mask {best}", 15, OUT[1], bold=True)
    sheet.picture(x + 8, 1540, 257, 257, decode.masked(best))
    sheet.text(x + 8, 1806, f"{share(decode['masks'][best] > 0)}", 13, SOFT)


def _legend(sheet: _Sheet, decode: _Decode, note: str) -> None:
    """How to read the sheet."""
    best = decode.names[decode.token]
    ramp = np.linspace(0, 1, 136)[None]
    scales = {
        "Panels of tokens": _signed(2 * ramp - 1, 1),
        "Maps of attention": mpl.colormaps[HEAT](0.25 + 0.75 * ramp)[..., :3],
    }
    columns = (
        (
            "Panels of tokens",
            "A column is a token, its colour stands above it; a row is a channel. Red is above zero, blue below. The"
            " channels stand everywhere in the order of what the mask tokens hold at the end, in hs: so order can be"
            " seen to arise. Small stripes: the channels of the heads, one head below the other.",
        ),
        (
            "Pictures of the image",
            "Many numbers at each place, as three colours: the three directions in which they vary most. Like colours"
            " mean like vectors. Image embedding, src and both keys_4 share their directions, so their colours can be"
            " compared. The channels of activated_twice: each on its own scale, red above zero.",
        ),
        (
            "Maps of attention",
            f"A map per head over the picture, all of them of {best}, the one of masks 1 to 3 whose predicted IoU is"
            " highest. Bright: much weight, on a scale of square roots up to the map’s largest. Ticks: the click."
            " Scores, before the softmax: red is above zero.",
        ),
        (
            "Signs",
            "+ : the result is added to the stream, then LayerNorm. = : in block 0 it takes the stream’s place. ◎ :"
            " with the positional codes. Steps (5) and (6-1) do not wait for each other. Bars and channels of (6-3)"
            f" stand in the order of the weights of {best}, which are written below.",
        ),
        (
            "Names and shapes",
            "A full name is the grey path and the tensor’s own: transformer.layers.0.self_attn.q. By it sam_edu.trace"
            f" records it. All shapes have one more axis in front, the prompt sets: here 1. {note}",
        ),
    )
    for i, (title, text) in enumerate(columns):
        x = 50 + 580 * i
        sheet.text(x, 1906, title, 18, INK, bold=True)
        if title in scales:
            sheet.picture(x + 400, 1908, 136, 16, scales[title])
        sheet.words(x, 1932, 536, text, 15, "#444444")


def _in_words(decode: _Decode) -> str:
    """The poster for those who do not see it."""
    best = decode.best
    values = ", ".join(f"mask {i} {value:.2f}" for i, value in enumerate(decode.iou))
    return (
        f"Poster of the mask decoder: all {len(decode.tensors)} tensors of one decode of"
        f" {prompts_in_words(decode.clicks)}, from left to right. The click becomes tokens, which flow along the top as"
        " panels of stripes; the picture becomes image tokens, which flow along the bottom as colour pictures. Between"
        " them stand the steps of two blocks: (1) the tokens read each other, as 7 by 7 matrices; (2) the tokens read"
        f" the image, as heat maps over the picture of where {decode.names[decode.token]} looks in each of the heads;"
        " (3) the MLP; (4) the image reads the tokens. Then the tokens look a last time (6-1) and become the weights"
        " of the masks (6-2) and the predicted IoU (7), the image is upscaled (5), and the product of weights and 32"
        f" channels (6-3) gives the logits of four masks. Predicted IoU: {values}; mask {best}, drawn large at the end,"
        f" covers {share(decode['masks'][best] > 0)}."
    )
