"""ProductStatistics: what was measured of steps (6-2) and (6-3) over the held-out clicks.

    product = ablation.load_product()
    product.kept("silent features constant", mask=3)     # IoU with the unchanged mask, with a 95 % interval
    product.crossing("its MLP")                           # tokens through the MLPs of other masks
    product.reshuffled_crossings("its MLP")               # the same with reshuffled MLPs, each time they are reshuffled

They stand in the file of `sam_edu.ablation.load`, in arrays whose names begin with "product.". Every IoU but those of
the outlines is that with the unchanged decoder's own mask: 1 where nothing is lost.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from sam_edu.ablation.outline_fits import FITS
from sam_edu.ablation.pairs import Pair
from sam_edu.ablation.product_ways import WAYS
from sam_edu.ablation.prompts import Prompt
from sam_edu.ablation.results import COMMAND, Effect, index_of, read
from sam_edu.ablation.token_crossing import CROSSINGS, TOKENS
from sam_edu.evaluation.intervals import SceneBootstrap

PARTS = ("silent", "loud")
REGIONS = ("inside", "outside", "deviation")
ORDERS = ("largest first", "largest first on other scenes", "random", "smallest first")
ZONES = ("image", "edge")
MEASURES_OF_CHANNEL = ("area", "boundary")

_ARRAYS = (
    "definitions",
    "kept",
    "parts",
    "best",
    "growth",
    "terms",
    "channels",
    "crossings",
    "tokens",
    "reshuffled",
    "outlines",
    "outline_clicks",
)
PRODUCT_ARRAYS = tuple(f"product.{name}" for name in _ARRAYS)
"""The arrays of the file."""


class ProductStatistics:
    """The measurements of the product.

    Args:
        data: the arrays of the file, as `sam_edu.ablation.product_measuring` makes them.

    Attributes:
        clicks: the held-out clicks, in the order of every array's axis of that name.
        best: number of the mask, 1 to 3, that fits each click's target best; `growth`, `terms` and `channels` are its.
        pairs: the pairs of clicks of the outlines.
        weights: SHA-256 of the weights that were measured.

    Raises:
        ValueError: the product was not measured, or a definition has changed since.
    """

    def __init__(self, data: Mapping[str, Any]) -> None:
        if any(name not in data for name in PRODUCT_ARRAYS):
            raise ValueError(f"the file lacks the product: {COMMAND} --only product measures it")
        if json.loads(str(data["product.definitions"])) != WAYS:
            raise ValueError(f"the ways have changed since the product was measured: {COMMAND} --only product")
        self.weights = str(data["weights"])
        self.clicks = tuple(Prompt(*map(int, row)) for row in data["prompts"])
        self.pairs = tuple(
            Pair("other object", *(Prompt(*map(int, click)) for click in clicks))
            for clicks in data["product.outline_clicks"]
        )
        self.best = np.asarray(data["product.best"], np.int64)
        self._data = {
            name.removeprefix("product."): np.asarray(data[name], np.float64)
            for name in PRODUCT_ARRAYS
            if data[name].dtype.kind == "f"
        }
        self._bootstrap = SceneBootstrap([click.scene for click in self.clicks])

    def __repr__(self) -> str:
        scenes = len({click.scene for click in self.clicks})
        return f"<ProductStatistics: {len(self.clicks)} clicks on {scenes} held-out scenes, {len(self.pairs)} pairs>"

    def interval(self, values: Float[np.ndarray, "clicks"]) -> Effect:
        """The mean of one value per click, with its interval by scene."""
        return Effect(*self._bootstrap.interval(values), len(values))

    def ious(self, way: str) -> Float[np.ndarray, "clicks 4"]:
        """IoU of each mask with its unchanged self, under one of `WAYS`.

        Raises:
            ValueError: another way.
        """
        return self._data["kept"][:, index_of("way", way, tuple(WAYS))]

    def kept(self, way: str, mask: int) -> Effect:
        """The mean of `ious` of a mask, with its interval. Arguments and errors as there; mask 0 to 3."""
        return self.interval(self.ious(way)[:, _mask_number(mask)])

    def part(self, part: str, region: str, mask: int) -> Effect:
        """What silent or loud features add to a mask's logits.

        Args:
            part: one of `PARTS`.
            region: "inside" or "outside" the unchanged mask, the mean there; or "deviation", the standard deviation
                over all pixels.
            mask: 0 to 3.

        Raises:
            ValueError: another one of these.
        """
        where = index_of("part", part, PARTS), index_of("region", region, REGIONS), _mask_number(mask)
        return self.interval(self._data["parts"][:, *where])

    def growth(self, order: str) -> Float[np.ndarray, "clicks channels"]:
        """IoU with the whole mask after one channel, two, three and so on, in one of `ORDERS`.

        Raises:
            ValueError: another order.
        """
        return self._data["growth"][:, index_of("order", order, ORDERS)]

    def terms(self, zone: str) -> Float[np.ndarray, "clicks channels"]:
        """The mean absolute value of each channel's term, over the "image" or the band along the "edge".

        Raises:
            ValueError: another zone.
        """
        return self._data["terms"][:, index_of("zone", zone, ZONES)]

    def channels(self, measure: str) -> Float[np.ndarray, "clicks channels"]:
        """What is lost of the mask when one channel's term becomes its mean over positions and other scenes' clicks.

        Args:
            measure: "area", 1 less the IoU with the unchanged mask, or "boundary", 1 less the boundary IoU with it.

        Raises:
            ValueError: another measure.
        """
        return 1 - self._data["channels"][:, index_of("measure", measure, MEASURES_OF_CHANNEL)]

    def crossing(self, what: str) -> Effect:
        """IoU of tokens sent through the MLPs of other masks, with one of `CROSSINGS`.

        Raises:
            ValueError: another one.
        """
        return self.interval(self._data["crossings"][:, index_of("what", what, CROSSINGS)])

    def reshuffled_crossings(self, what: str) -> Float[np.ndarray, "lots"]:
        """The same with reshuffled MLPs, each time the mean over the clicks. Argument and errors as there."""
        return self._data["reshuffled"][:, index_of("what", what, CROSSINGS)]

    def token(self, token: str, mask: int) -> Effect:
        """IoU of a mask with its unchanged self when its MLP gets another token.

        Args:
            token: one of `TOKENS`: "one mean token", the mean of all mask tokens over clicks of other scenes; or
                "zero token".
            mask: 0 to 3.

        Raises:
            ValueError: another token or mask.
        """
        where = index_of("token", token, TOKENS), _mask_number(mask)
        return self.interval(self._data["tokens"][:, *where])

    def reshuffled_tokens(self, token: str, mask: int) -> Float[np.ndarray, "lots"]:
        """The same with reshuffled MLPs, each time the mean over the clicks. Arguments and errors as there."""
        column = len(CROSSINGS) + 4 * index_of("token", token, TOKENS) + _mask_number(mask)
        return self._data["reshuffled"][:, column]

    def outlines(self, fit: str) -> Effect:
        """The mean IoU over the pairs of one of `FITS`, with its interval.

        Raises:
            ValueError: another fit.
        """
        values = self.outline_ious(fit)
        return Effect(*SceneBootstrap([pair.a.scene for pair in self.pairs]).interval(values), len(values))

    def outline_ious(self, fit: str) -> Float[np.ndarray, "pairs"]:
        """The IoU of each pair. Argument and errors as for `outlines`."""
        return self._data["outlines"][:, index_of("fit", fit, FITS)]


def _mask_number(mask: int) -> int:
    if isinstance(mask, bool) or mask not in range(4):
        raise ValueError(f"mask: expected one of 0, 1, 2, 3, got {mask!r}")
    return mask


def load_product(path: Path | None = None, *, weights: Path | None = None) -> ProductStatistics:
    """Read the results of the product. Arguments and errors as for `sam_edu.ablation.load`."""
    return ProductStatistics(read(path, weights=weights))
