"""What every test of figures asks of a drawing."""

import base64
import io
import warnings
from collections.abc import Callable

from PIL import Image

from sam_edu.figures import Figure


def check_drawing(draw: Callable[[], Figure]) -> None:
    """No warning; an opaque picture of a page's size, nothing cut at its corner; words; the same bytes twice."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture, again = draw(), draw()
        data, metadata = picture._repr_mimebundle_()
    drawn = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
    drawn.load()
    assert drawn.mode == "RGB"  # opaque
    assert 100 <= drawn.width <= 1000
    assert 60 <= drawn.height <= 900
    assert drawn.getpixel((drawn.width - 1, drawn.height - 1)) == (255, 255, 255)
    assert len(picture.alt) > 20
    assert metadata["image/png"]["alt"] == picture.alt
    assert "text/plain" in data
    assert picture.png == again.png
    assert picture.alt == again.alt


def texts(picture: Figure) -> list[str]:
    """The words that stand in a picture's axes."""
    return [text.get_text() for axes in picture.figure.axes for text in axes.texts]
