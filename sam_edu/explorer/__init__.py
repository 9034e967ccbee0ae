"""The click lab: the decoder in a browser, and live in a notebook.

`explore(predictor)` shows it in a notebook, `python -m sam_edu explore` in a browser on this machine, and the site has
it without any installation. One front-end (`web/`, built into `static/`) talks to a back-end: in a page the tiny model
as ONNX (`onnx_graph`), in a notebook and on a server of this machine `service`, with any model.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from sam_edu.predictor import Predictor

if TYPE_CHECKING:
    from sam_edu.explorer.widget import Explorer


def explore(
    predictor: Predictor,
    image: np.ndarray | Image.Image | None = None,
    *,
    state: Mapping[str, Any] | None = None,
    pages: str = "",
) -> "Explorer":
    """The click lab in a notebook, on a predictor's model: click on an image, and see every tensor of the decoder.

    Args:
        predictor: of the model; Meta's checkpoints work too. A fast one is decoded without its short cuts.
        image: one of your own, as for `Predictor.set_image`; the package's images are offered beside it.
        state: what is set at first, as a link of the page holds it: {"points": [[182, 133, 1]], "panel": "attention"}.
        pages: the address of the series' pages, for links to notebooks.

    Returns:
        a widget, for the last line of a cell. Its `prompts` are the arguments of `Predictor.predict`, its `trace` holds
        the tensors that are shown, its `figure()` is a still of it.

    Raises:
        TypeError: no Predictor.
        ModuleNotFoundError: anywidget is not installed, and how to install it.
    """
    if not isinstance(predictor, Predictor):
        raise TypeError(f"predictor: expected a sam_edu.Predictor, got {type(predictor).__name__}")
    try:
        from sam_edu.explorer.widget import Explorer
    except ModuleNotFoundError as error:
        if error.name not in ("anywidget", "traitlets"):
            raise
        raise ModuleNotFoundError(
            'the click lab in a notebook needs anywidget: pip install "sam-edu[notebooks]"', name=error.name
        ) from error
    return Explorer(predictor, image, state, pages)
