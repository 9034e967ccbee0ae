"""The class Figure: PNG, SVG, alt text: what is drawn, the alt text, and what is refused."""

import io
from collections.abc import Callable

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from sam_edu import figures
from sam_edu.figures import Figure
from sam_edu.figures.kit.figure import LEVELS, _as_png

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
    kinds = np.stack(np.unravel_index(generator.permutation(LEVELS**3)[:colours], (LEVELS,) * 3), -1)
    levels = kinds[np.concatenate([np.arange(colours), generator.integers(0, colours, 7200 - colours)])].reshape(
        90, 80, 3
    )
    pixels = np.rint(levels * 255 / (LEVELS - 1))
    noisy = np.clip(pixels + generator.integers(-5, 6, pixels.shape), 0, 255).astype(np.uint8)
    image = opened(_as_png(noisy, 80))
    assert image.mode == ("P" if colours <= 256 else "RGB")
    assert np.array_equal(np.asarray(image.convert("RGB")), pixels)


def test_white_and_black_stay_what_they_are() -> None:
    pixels = np.array([[[255, 255, 255], [0, 0, 0], [251, 4, 128]]], np.uint8)
    drawn = np.asarray(opened(_as_png(pixels, 80)).convert("RGB"))
    assert drawn.tolist() == [[[255, 255, 255], [0, 0, 0], [255, 0, 136]]]


def test_an_enlarged_image_keeps_its_pixels_and_a_reduced_one_is_averaged() -> None:
    stripes = np.repeat(np.indices((600, 600)).sum(0)[..., None] % 2 * 255, 3, axis=2).astype(np.uint8)
    small, large = (figures.images([one], ["one"]) for one in (stripes[:100, :100], stripes))
    for figure, how in ((small, "nearest"), (large, "auto")):
        assert figure.png
        assert figure.figure.axes[0].images[0].get_interpolation() == how


def test_a_map_with_more_numbers_than_pixels_is_averaged_and_stays_where_it_is() -> None:
    figure = figures.channels(np.indices((256, 256)).sum(0)[None] % 2 * 2.0 - 1, image=np.zeros((256, 256, 3)))
    image = figure.figure.axes[1].images[0]
    before = image.get_extent(), figure.figure.axes[1].get_xlim(), figure.figure.axes[1].get_ylim()
    assert figure.png
    assert max(image.get_array().shape) <= image.get_window_extent().width < 256
    assert np.abs(image.get_array()).max() < 1e-12
    assert (image.get_extent(), figure.figure.axes[1].get_xlim(), figure.figure.axes[1].get_ylim()) == before


def test_saves_png_and_svg(tmp_path) -> None:
    figure = bars()
    assert figure.save(tmp_path / "bars.png").read_bytes() == figure.png
    first = figure.save(tmp_path / "bars.svg").read_text(encoding="utf-8")
    assert first == bars().svg
    assert first.startswith("<svg xmlns=")
    assert "<dc:date>" not in first
    assert "matplotlib" not in first


WRONG: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: Figure(bars().figure, " "), ValueError, "alt: expected a description"),
    (lambda: Figure(bars().figure, 3), TypeError, "alt: expected a text, got 3"),  # type: ignore[arg-type]
    (lambda: bars().save("map.jpg"), ValueError, "path: expected a name that ends in .png or .svg"),
    (lambda: bars().save(3), TypeError, "path: expected a path, got 3"),  # type: ignore[arg-type]
]


@pytest.mark.no_shape_check
@pytest.mark.parametrize(("draw", "error", "message"), WRONG, ids=[str(i) for i in range(len(WRONG))])
def test_wrong_input_is_refused(draw: Callable[[], object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        draw()
