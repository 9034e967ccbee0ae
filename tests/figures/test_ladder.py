"""The ladder's figures: what they compute themselves, and what they refuse."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from sam_edu import figures

RNG = np.random.default_rng(0)


def test_diagram_names_every_shape() -> None:
    alt = figures.attention_diagram(4096, 7, dim=256, internal=128, heads=8).alt
    for part in ("4096 queries", "7 keys", "256 to 128", "8 heads of width 16", "8 by 4096 by 7", "128 to 256"):
        assert part in alt
    assert figures.attention_diagram().png != figures.attention_diagram(internal=256).png


def test_diagram_lights_the_parts_named() -> None:
    figure = figures.attention_diagram(lit=("scores", "softmax"))
    assert figure.alt.endswith("In colour: scores and softmax.")
    assert figure.png != figures.attention_diagram().png
    assert "queries from tokens + PE" in figure.alt
    assert "values from image tokens alone" in figure.alt
    assert figures.attention_diagram(lit=()).alt.endswith("In colour: none.")


def test_one_query_says_weights_and_result() -> None:
    values = np.array([[2.0, 0.0], [0.0, 4.0]])
    figure = figures.one_query([1.0, 0.0], [[1.0, 0.0], [0.0, 1.0]], values, [0.25, 0.75])
    assert "key 0 0.25 and key 1 0.75" in figure.alt
    assert "(0.50, 3.00)" in figure.alt


def test_product_is_the_product() -> None:
    left, right = torch.eye(3)[:2], torch.arange(12.0).reshape(3, 4)
    figure = figures.matrix_product(left, right, names=("a", "b", "c"))
    assert "a, 2 by 3, times b, 3 by 4, gives c, 2 by 4" in figure.alt
    drawn = figure.figure.axes[2].images[0].get_array()
    np.testing.assert_allclose(drawn, (left @ right).numpy())


def test_product_is_written_with_as_many_digits_as_asked() -> None:
    figure = figures.matrix_product([[0.126]], [[1.0]], digits=2)
    assert [text.get_text() for axes in figure.figure.axes for text in axes.texts] == ["0.13", "1.00", "0.13"]


def test_no_cell_reads_minus_zero() -> None:
    figure = figures.matrix_product([[-0.01]], [[1.0]])
    assert [text.get_text() for axes in figure.figure.axes for text in axes.texts] == ["0.0", "1.0", "0.0"]


def test_entropy_of_even_and_of_certain_weights() -> None:
    figure = figures.distributions({"even": [[0.25] * 4], "certain": [[1.0, 0.0, 0.0, 0.0]]}, columns=["four"])
    assert f"even four {np.log(4):.2f}; certain four 0.00" in figure.alt
    titles = [axes.get_title() for axes in figure.figure.axes]
    assert titles == [f"four\nentropy {np.log(4):.2f}", "entropy 0.00"]  # a column's name stands on top alone


def test_heads_are_neighbouring_channels() -> None:
    vectors = RNG.normal(size=(5, 12))
    panels = figures.head_split(vectors, 3).figure.axes
    titles = ["before: 5 × 12", "head 0: 5 × 4", "head 1: 5 × 4", "head 2: 5 × 4"]
    assert [axes.get_title() for axes in panels] == titles
    for i, axes in enumerate(panels[1:]):
        np.testing.assert_allclose(axes.images[0].get_array(), vectors[:, 4 * i : 4 * i + 4])


def test_as_many_heads_as_there_are_colours_are_drawn() -> None:
    assert len(figures.head_split(RNG.normal(size=(2, 8)), 8).figure.axes) == 9


def test_difference_is_drawn() -> None:
    target, yours = torch.zeros(2, 3, 4), torch.zeros(2, 3, 4)
    yours[1, 2, 3] = 0.5
    figure = figures.target_and_yours(target, yours)
    assert "6 rows and 4 columns" in figure.alt
    assert "at most 0.5" in figure.alt
    assert float(figure.figure.axes[2].images[0].get_array()[5, 3]) == 0.5


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_drawn_all_the_same(value: float) -> None:
    yours = torch.full((2, 3), value)
    assert figures.target_and_yours(torch.ones(2, 3), yours).png


def test_target_of_no_axis() -> None:
    assert "1 rows and 1 columns" in figures.target_and_yours(torch.tensor(1.0), torch.tensor(2.0)).alt


WRONG: list[tuple[Callable[[], object], str]] = [
    (lambda: figures.attention_diagram(internal=100), "heads: must divide the internal width, 100, got 8"),
    (lambda: figures.attention_diagram(lit=["sum"]), "lit: there is no part sum"),
    (lambda: figures.one_query([1, 2, 3], np.ones((4, 2)), np.ones((4, 2)), np.ones(4)), r"query: expected shape \(2,"),
    (lambda: figures.one_query([1, 2], np.ones((4, 2)), np.ones((3, 2)), np.ones(4)), r"values: expected shape \(4, 2"),
    (lambda: figures.one_query([1, 2], np.ones((9, 2)), np.ones((9, 2)), np.ones(9)), "keys: expected at most 8"),
    (lambda: figures.matrix_product(np.ones((2, 3)), np.ones((2, 3))), r"right: expected shape \(3, columns\)"),
    (lambda: figures.distributions({}), "rows: expected at least one"),
    (lambda: figures.distributions({"a": np.ones((2, 3)) / 3, "b": np.ones(3) / 3}), "rows: expected as many"),
    (lambda: figures.curves_over([1], {}, xlabel="x", ylabel="y"), "curves: expected at least one"),
    (lambda: figures.curves_over([1], {"a": [1, 2]}, xlabel="x", ylabel="y"), r"a: expected shape \(1,\)"),
    (lambda: figures.head_split(np.ones((2, 7)), 3), "heads: must divide 7 and be at most 8, got 3"),
    (lambda: figures.head_split(np.ones((2, 9)), 9), "heads: must divide 9 and be at most 8, got 9"),
    (lambda: figures.target_and_yours(np.ones((2, 3)), np.ones((3, 2))), r"yours: expected shape \(2, 3\), got \(3, 2"),
]


@pytest.mark.no_shape_check
@pytest.mark.parametrize(("draw", "message"), WRONG, ids=[str(i) for i in range(len(WRONG))])
def test_wrong_input_is_refused(draw: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw()
