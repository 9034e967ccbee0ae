"""What every test of figures asks of a drawing."""

import base64
import io
import warnings
from collections.abc import Callable

from PIL import Image

from sam_edu.figures import Figure


def check_drawing(draw: Callable[[], Figure]) -> None:
    """No warning; an opaque image of a page's size, nothing cut at its corner; words; the same bytes twice."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure, again = draw(), draw()
        data, metadata = figure._repr_mimebundle_()
    drawn = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
    drawn.load()
    assert drawn.mode == "RGB"  # opaque
    assert 100 <= drawn.width <= 1000
    assert 60 <= drawn.height <= 900
    assert drawn.getpixel((drawn.width - 1, drawn.height - 1)) == (255, 255, 255)
    assert len(figure.alt) > 20
    assert metadata["image/png"]["alt"] == figure.alt
    assert "text/plain" in data
    assert figure.png == again.png
    assert figure.alt == again.alt


def texts(figure: Figure) -> list[str]:
    """The words that stand in a figure's axes."""
    return [text.get_text() for axes in figure.figure.axes for text in axes.texts]
