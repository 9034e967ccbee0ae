"""The class Figure: PNG, SVG, alt text: what is drawn, the alt text, and what is refused."""

import io
from collections.abc import Callable

import matplotlib as mpl
import pytest
from PIL import Image

from sam_edu import figures
from sam_edu.figures import Figure


def test_png_holds_no_notes() -> None:
    drawn = Image.open(io.BytesIO(figures.decoder_map().png))
    drawn.load()
    assert set(drawn.info) == {"dpi"}


def test_the_readers_own_settings_do_not_matter() -> None:
    before = figures.vector_bars([0.1, -0.2], ["a", "mask 1"], label="IoU").png
    with mpl.rc_context({"font.size": 20, "figure.facecolor": "black"}):
        figure = figures.vector_bars([0.1, -0.2], ["a", "mask 1"], label="IoU")
        assert figure.png == before
        assert mpl.rcParams["font.size"] == 20


def test_saves_png_and_svg(tmp_path) -> None:
    figure = figures.decoder_map()
    assert figure.save(tmp_path / "map.png").read_bytes() == figure.png
    first = figure.save(tmp_path / "map.svg").read_text()
    assert first == figures.decoder_map().save(tmp_path / "again.svg").read_text()
    assert "<svg" in first
    assert "<dc:date>" not in first


WRONG: list[tuple[Callable[[], object], str]] = [
    (lambda: Figure(figures.decoder_map().figure, " "), "alt: expected a description"),
    (lambda: figures.decoder_map().save("map.jpg"), "path: expected a name that ends in .png or .svg"),
]


@pytest.mark.no_shape_check
@pytest.mark.parametrize(("draw", "message"), WRONG, ids=[str(i) for i in range(len(WRONG))])
def test_wrong_input_is_refused(draw: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw()
