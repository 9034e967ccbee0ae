"""explore(): the click lab in a notebook, live, with any model."""

import base64
import html
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import anywidget
import numpy as np
import traitlets
from PIL import Image

from sam_edu import figures
from sam_edu.explorer.server import static_file
from sam_edu.explorer.service import Service
from sam_edu.explorer.situations import address
from sam_edu.explorer.still import still
from sam_edu.predictor import Predictor
from sam_edu.tracing import Trace


class Explorer(anywidget.AnyWidget):
    """The click lab on a predictor's model. `sam_edu.explore` makes one.

    Its saved output is a figure of the decode that was shown when the cell ran, with words for those who do not see it,
    and never a widget's state: it is right wherever a notebook is read without a kernel.

    Args:
        predictor: of the model.
        image: an image of one's own to begin with.
        state: what is set at first, as a link of the page holds it; `docs/click_lab.md` lists it.
        pages: the address of the series' pages, for links; "" makes none.
    """

    _esm = traitlets.Unicode("").tag(sync=True)
    _css = traitlets.Unicode("").tag(sync=True)
    state = traitlets.Unicode("").tag(sync=True)
    pages = traitlets.Unicode("").tag(sync=True)

    def __init__(
        self,
        predictor: Predictor,
        image: np.ndarray | Image.Image | None = None,
        state: Mapping[str, Any] | None = None,
        pages: str = "",
    ) -> None:
        self._service = Service(predictor, image=image)
        if pages and not pages.endswith("/"):
            pages += "/"
        super().__init__(
            _esm=static_file("widget.js").decode("utf-8"),
            _css=static_file("explorer.css").decode("utf-8"),
            state=address({**self._start(image), **(state or {})}),
            pages=pages,
        )
        self.on_msg(self._asked)

    def _start(self, image: object) -> dict[str, Any]:
        one = self._service.offered()
        return {"image": one.id, "points": [[*one.click, 1]]}

    @property
    def settings(self) -> dict[str, Any]:
        """All that is set, as in the page's link; what is left out is as at first."""
        return {**self._start(None), **json.loads(unquote(self.state.lstrip("#")) or "{}")}

    @property
    def prompts(self) -> dict[str, Any]:
        """The prompts that are set, as arguments of `Predictor.predict`."""
        settings = self.settings
        found: dict[str, Any] = {}
        if settings.get("points"):
            found["point_coords"] = [[x, y] for x, y, _ in settings["points"]]
            found["point_labels"] = [label for _, _, label in settings["points"]]
        if settings.get("box"):
            found["box"] = list(settings["box"])
        return found

    @property
    def image(self) -> np.ndarray:
        """The image that is shown, (height, width, 3) uint8."""
        return self._service.images[self.settings["image"]]

    @property
    def trace(self) -> Trace:
        """The trace of the decode that was asked for last; before the first one, that of the prompts.

        A panel that decodes several times, as the switchboard does, leaves the last of them.
        """
        if self._service.trace is None:
            settings = self.settings
            prompts = {"points": settings.get("points"), "box": settings.get("box")}
            self._service.trace = self._service.decode(settings["image"], prompts)
        return self._service.trace

    def figure(self) -> figures.Figure:
        """A still of the prompts that are set: the four masks with their predicted IoU, nothing ablated."""
        settings = self.settings
        return still(self._service, settings["image"], settings)

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """The widget for a notebook with a kernel, and the still figure with a link for all who read it without."""
        live = super()._repr_mimebundle_(**options)
        data, metadata = live if isinstance(live, tuple) else (live or {}, {})
        still = self.figure()
        png = base64.b64encode(still.png).decode("ascii")
        link = f'<a href="{html.escape(self.link)}">Open in the click lab</a>' if self.pages else ""
        data = {
            **data,
            "image/png": png,
            "text/html": f'<img alt="{html.escape(still.alt)}" width="{still.width}"'
            f' src="data:image/png;base64,{png}"><br>{link}',
            "text/plain": f"{still.alt} {self.link if self.pages else ''}".strip(),
        }
        return data, {**metadata, "image/png": {"alt": still.alt, "width": still.width}}

    @property
    def link(self) -> str:
        """The address of the page in this state; its beginning is `pages`."""
        return f"{self.pages}explorer/{self.state}"

    def _asked(self, widget: Any, content: Any, buffers: list[bytes]) -> None:
        answer, given = self._service.answer(content, [bytes(one) for one in buffers])
        self.send({**answer, "number": content.get("number")}, given)
