"""One decode as arrays: what the whole sheet needs from the tensors."""

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.colors import to_rgb
from PIL import Image

from sam_edu.figures.kit.arrays import Array, Number, as_array
from sam_edu.figures.kit.basis import embedding_basis
from sam_edu.figures.kit.colours import MASK_COLOURS, SIGNED
from sam_edu.figures.kit.marks import Click
from sam_edu.figures.kit.overlay import overlay
from sam_edu.figures.poster.rows import StepRows, axes_of, listed_in_table
from sam_edu.figures.tokens import token_names


class Decode:
    """The tensors without their first axis, and what the whole sheet needs from them."""

    def __init__(self, tensors: Mapping[str, Any], image: Array, clicks: list[Click]) -> None:
        self.tensors, self.image, self.clicks = tensors, image, clicks
        self._asked: set[str] = set()
        self.names = token_names([label for *_, label in clicks])
        inputs = self.step("0")
        tokens = self[inputs["tokens"]]
        self.width = tokens.shape[1]
        if len(tokens) != len(self.names):
            raise ValueError(f"tokens: expected {len(self.names)}, those of {len(clicks)} clicks, got {len(tokens)}")
        self.grid = self[inputs["src"]].shape[1:]
        self.iou = self[self.step("7")["iou_pred"]]
        self.masks = self[self.step("6-3")["masks"]]
        self.best = 1 + int(self.iou[1:].argmax())
        self.token = 1 + self.best
        # Channels in the order of what the mask tokens hold in the end, so that order can be seen to arise.
        self.order = np.argsort(-self[self.step("6-1")["hs"]][1 : 1 + len(self.iou)].mean(0), kind="stable")

    def __getitem__(self, name: str) -> Array:
        """A tensor as an array, without the axis of prompt sets."""
        given = self.tensors[name]
        array = as_array(name, given, axes_of(name))
        if len(array) != 1:
            raise ValueError(f"{name}: expected one prompt set, got {len(array)}")
        array = array[0]
        return array.astype(np.float64) if array.dtype.kind == "f" else array

    def step(self, address: str, block: int | None = None) -> StepRows:
        """The rows of a step in the table of trace points; of a step inside a block, with the block's number."""
        return StepRows(address, block, self._asked)

    @property
    def without_drawing(self) -> list[str]:
        """The traced tensors of the table that no part of the sheet has asked for yet."""
        return [name for name in listed_in_table(self.tensors) if name not in self._asked]

    def shape(self, name: str, tight: bool = False) -> str:
        """A tensor's shape, for example "8 × 7 × 16"."""
        sizes = zip(axes_of(name), np.shape(self.tensors[name]), strict=True)
        return ("×" if tight else " × ").join(str(size) for axis, size in sizes if axis != "batch")

    def over_grid(self, name: str) -> Array:
        """Image tokens, (heads, image_tokens, channels) or (image_tokens, channels), or a map, as (channels, *grid)."""
        array, axes = self[name], axes_of(name)
        if axes[-2:] == ("height", "width"):
            return array
        array = array.transpose(0, 2, 1) if "heads" in axes else array.T
        return array.reshape(-1, *self.grid)

    def stripes(self, name: str) -> Array:
        """A tensor of tokens, (heads, tokens, channels) or (tokens, channels), as (channels, tokens)."""
        array = self[name]
        if "heads" not in axes_of(name):
            return array[:, self.order].T if array.shape[1] == self.width else array.T
        return array.transpose(0, 2, 1).reshape(-1, array.shape[1])

    @cached_property
    def stream(self) -> dict[str, Array]:
        """The states of the image as colours, in the one basis of the image's embedding."""
        src = self.step("0")["src"]
        names = [self.step("4", i)["keys_4"] for i in range(2)]
        embedding = self[src] - self[self.step("prompt")["dense_embeddings"]]
        maps = np.stack([embedding, self[src], *map(self.over_grid, names)])
        return dict(zip(["image embedding", src, *names], embedding_basis(embedding).colours(maps), strict=True))

    def ground(self, height: int, width: int) -> Array:
        """The image in another size, (height, width, 3) from 0 to 1."""
        image = self.image if self.image.dtype == np.uint8 else (self.image * 255).round().astype(np.uint8)
        return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BOX)) / 255

    def overlay(self, weights: Array) -> Array:
        """Attention over the grid, laid over the image in grey: dark where there is none."""
        height, width = (2 * side for side in self.grid)
        return overlay(
            weights.reshape(self.grid), self.ground(height, width).mean(-1), max(float(weights.max()), 1e-12)
        )

    def masked(self, number: int) -> Array:
        """The image in grey, with one mask on it."""
        inside = self.masks[number] > 0
        ground = self.ground(*inside.shape)
        colour = np.array(to_rgb(MASK_COLOURS[number % 4]))
        padded = np.pad(inside, 2, mode="edge")
        high, wide = inside.shape
        shifts = [padded[2 + y : 2 + y + high, 2 + x : 2 + x + wide] for y, x in ((-2, 0), (2, 0), (0, -2), (0, 2))]
        edge = inside & ~np.logical_and.reduce(shifts)
        grey = 0.2 + 0.5 * ground.mean(-1, keepdims=True)
        filled = np.where(inside[..., None], 0.4 * ground + 0.6 * colour, grey)
        result: Array = np.where(edge[..., None], colour, filled)
        return result


def signed_colours(values: Array, limit: Number | None = None) -> Array:
    """Numbers as colours: red above zero, blue below, white at zero; the strongest 2 % share one colour."""
    limit = limit or float(np.quantile(np.abs(values), 0.98)) or 1.0
    result: Array = mpl.colormaps[SIGNED](0.5 + 0.5 * np.clip(values / limit, -1, 1))[..., :3]
    return result


def quiet_colours(values: Array, limit: Number | None = None) -> Array:
    """The colours of `signed_colours`, paler and greyer: a texture behind what the sheet is about."""
    colours = signed_colours(values, limit)
    result: Array = 0.4 + 0.42 * colours + 0.18 * colours.mean(-1, keepdims=True)
    return result


def block_means(values: Array, times: int) -> Array:
    """A map made smaller by whole numbers: each block by its mean."""
    high, wide = (side // times for side in values.shape)
    result: Array = values[: high * times, : wide * times].reshape(high, times, wide, times).mean((1, 3))
    return result


def clicked_cell(decode: Decode, size: tuple[int, ...]) -> tuple[int, int]:
    """The first click in a map of a size, as row and column."""
    high, wide = decode.image.shape[:2]
    x, y, _ = decode.clicks[0]
    return int((y + 0.5) * size[0] / high), int((x + 0.5) * size[1] / wide)
