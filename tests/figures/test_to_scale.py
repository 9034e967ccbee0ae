"""The decoder to scale: areas are counts of numbers."""

import numpy as np
import pytest
from drawings import check_drawing
from examples import decode
from matplotlib.patches import Rectangle

import sam_edu
from sam_edu import figures
from sam_edu.figures import Figure

TENSORS = decode(0)


def rectangles(figure: Figure) -> list[float]:
    return [p.get_width() * p.get_height() for p in figure.figure.axes[0].patches if isinstance(p, Rectangle)]


def test_drawing() -> None:
    check_drawing(lambda: figures.decoder_to_scale(TENSORS))


def test_areas_are_counts_of_numbers() -> None:
    areas = rectangles(figures.decoder_to_scale(TENSORS))
    count = TENSORS["output_upscaling.activated_twice"].numel()
    unit = max(areas) / count
    found = sorted(round(area / unit, 6) for area in areas)
    tokens = [16.0] * 7
    enlarged = [16.0 * 8 * 8 / 4] * 7
    expected = [*tokens, *enlarged, 16.0 * 64, float(count), *[4.0] * 4, *[1024.0] * 4, *[1.0] * 4]
    np.testing.assert_allclose(found, sorted(expected), rtol=1e-4)


def test_real_decoder_has_a_cell_per_image_token() -> None:
    example, model = sam_edu.example(), sam_edu.load("tiny")
    predictor = sam_edu.Predictor(model)
    predictor.set_image(example.image)
    with sam_edu.trace(model) as t:
        predictor.predict(example.click, [1])
    figure = figures.decoder_to_scale(t)
    lines = [len(one.get_segments()) for one in figure.figure.axes[0].collections]
    assert lines == [2 * 63, 31]
    assert "src 256 by 64 by 64, 1,048,576 numbers" in figure.alt
    check_drawing(lambda: figures.decoder_to_scale(t))


@pytest.mark.no_shape_check
def test_a_missing_tensor_is_named() -> None:
    with pytest.raises(ValueError, match="tensors: expected a trace of a decode, got one without src"):
        figures.decoder_to_scale({name: TENSORS[name] for name in TENSORS if name != "src"})
