"""Tables: the numbers in the cells, the alt text, and what is refused."""

import numpy as np
import pytest

from sam_edu import figures


def test_signed_matrix_writes_its_numbers() -> None:
    figure = figures.signed_matrix([[1.0, -0.5], [-0.001, 1.0]], ["a", "b"], label="cosine")
    assert [text.get_text() for text in figure.figure.axes[0].texts] == ["1.00", "-0.50", "0.00", "1.00"]
    assert "apart from the diagonal a / b, -0.50" in figure.alt
    assert "furthest from zero c / e, -3.00" in figures.signed_matrix([[1.0, -3.0]], ["c"], ["d", "e"]).alt


def test_symmetric_table_names_each_pair_once() -> None:
    cosines = np.array([[1.0, 0.1, -0.4], [0.1, 1.0, 0.3], [-0.4 + 1e-9, 0.3, 1.0]])
    assert (
        "furthest from zero apart from the diagonal a / c, -0.40."
        in figures.signed_matrix(cosines, ["a", "b", "c"]).alt
    )
    cosines[0, 1] = cosines[1, 0] = 0.4 - 1e-8
    assert (
        "furthest from zero apart from the diagonal a / b and a / c"
        in figures.signed_matrix(cosines, ["a", "b", "c"]).alt
    )


@pytest.mark.no_shape_check
def test_wrong_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"values: expected shape \(2, 2\)"):
        figures.signed_matrix(np.ones((2, 3)), ["a", "b"])
