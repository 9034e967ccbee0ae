"""The class Figure: PNG, SVG, alt text: what is drawn, the alt text, and what is refused."""

import io
from collections.abc import Callable

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from sam_edu import figures
from sam_edu.figures import Figure
from sam_edu.figures.kit.figure import _as_png

IMAGE = np.random.default_rng(0).integers(0, 255, (32, 48, 3), dtype=np.uint8)


def bars(title: str = "", values: tuple[float, ...] = (0.1, -0.2)) -> Figure:
    return figures.vector_bars(values, ["a", "mask 1"], label="IoU", title=title)


def opened(png: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(png))
    image.load()
    return image


def test_png_holds_no_notes_and_is_twice_as_large_as_on_the_page() -> None:
    figure = bars()
    drawn = opened(figure.png)
    assert set(drawn.info) == {"dpi"}
    assert drawn.width == 2 * figure.width
    assert drawn.info["dpi"] == pytest.approx((160, 160), rel=1e-3)


def test_what_holds_pixels_is_png_and_everything_else_svg() -> None:
    plot, metadata = bars()._repr_mimebundle_()
    assert set(plot) == {"text/plain", "image/svg+xml", "image/png"}
    assert metadata["image/svg+xml"]["alt"] == bars().alt
    for figure in (figures.images([IMAGE], ["one"]), figures.token_matrix(np.eye(2)[None], ["a", "b"])):
        data, metadata = figure._repr_mimebundle_()
        assert set(data) == {"text/plain", "image/png"}
        assert metadata == {"image/png": {"alt": figure.alt, "width": figure.width}}


def test_an_image_that_is_not_shown_holds_no_pixels() -> None:
    figure = bars()
    hidden = figure.figure.axes[0].imshow([[1.0]])
    assert figure.holds_pixels
    hidden.set_visible(False)
    assert not figure.holds_pixels


def test_the_readers_own_settings_do_not_matter() -> None:
    before = bars().png, bars().svg
    with mpl.rc_context({"font.size": 20, "figure.facecolor": "black", "svg.fonttype": "none"}):
        assert (bars().png, bars().svg) == before
        assert mpl.rcParams["font.size"] == 20


@pytest.mark.parametrize("colours", [2, 256, 257, 2000])
def test_colours_are_rounded_and_nothing_else_is_lost(colours: int) -> None:
    generator = np.random.default_rng(0)
    palette = generator.permutation(43**3)[:colours]
    pixels = np.stack(np.unravel_index(palette[generator.integers(0, colours, (90, 80))], (43,) * 3), -1) * 6
    pixels.reshape(-1, 3)[:colours] = np.stack(np.unravel_index(palette, (43,) * 3), -1) * 6
    image = opened(_as_png((pixels + 2).astype(np.uint8), 80))
    assert image.mode == ("P" if colours <= 256 else "RGB")
    assert np.array_equal(np.asarray(image.convert("RGB")), pixels)


def test_white_and_black_stay_what_they_are() -> None:
    pixels = np.array([[[255, 255, 255], [0, 0, 0], [253, 2, 128]]], np.uint8)
    assert np.asarray(opened(_as_png(pixels, 80)).convert("RGB")).tolist() == [
        [[255, 255, 255], [0, 0, 0], [252, 0, 126]]
    ]


def test_saves_png_and_svg(tmp_path) -> None:
    figure = bars()
    assert figure.save(tmp_path / "bars.png").read_bytes() == figure.png
    first = figure.save(tmp_path / "bars.svg").read_text(encoding="utf-8")
    assert first == bars().svg
    assert first.startswith("<svg xmlns=")
    assert "<dc:date>" not in first
    assert "matplotlib" not in first


WRONG: list[tuple[Callable[[], object], str]] = [
    (lambda: Figure(bars().figure, " "), "alt: expected a description"),
    (lambda: bars().save("map.jpg"), "path: expected a name that ends in .png or .svg"),
]


@pytest.mark.no_shape_check
@pytest.mark.parametrize(("draw", "message"), WRONG, ids=[str(i) for i in range(len(WRONG))])
def test_wrong_input_is_refused(draw: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw()
