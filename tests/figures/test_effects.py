"""Effects with intervals and the distribution over heads: what is drawn, the alt text, what is refused."""

from collections.abc import Callable

import numpy as np
import pytest

from sam_edu import figures
from sam_edu.ablation import Effect
from sam_edu.figures.kit.colours import REPLICA

RNG = np.random.default_rng(0)
ONE, TWO = Effect(-0.2, -0.3, -0.1, 40), Effect(0.01, -0.02, 0.04, 40)
GRID = np.stack([np.stack([m - 0.0, m - 0.05, m + 0.05], -1) for m in RNG.normal(0, 0.06, (3, 8))])


def dots(figure: figures.Figure) -> list[tuple[float, bool]]:
    """Where the single dots are, and whether they are filled."""
    lines = [line for line in figure.figure.axes[0].lines if len(line.get_xdata()) == 1]
    return [(float(line.get_xdata()[0]), line.get_markerfacecolor() != "white") for line in lines]


def test_effects_are_drawn_with_their_intervals() -> None:
    figure = figures.effects({"one": ONE, "two": TWO}, title="Effects")
    assert dots(figure) == [(-0.2, True), (0.01, False)]
    spans = [tuple(line.get_xdata()) for line in figure.figure.axes[0].lines if len(line.get_xdata()) == 2]
    assert {(-0.3, -0.1), (-0.02, 0.04)} <= set(spans)
    assert "one −0.200 (−0.300 to −0.100); two +0.010 (−0.020 to +0.040)" in figure.alt


def test_effects_can_be_sorted() -> None:
    figure = figures.effects({"two": TWO, "one": ONE}, sort=True)
    assert [label.get_text() for label in figure.figure.axes[0].get_yticklabels()] == ["one", "two"]


def test_effects_in_two_series() -> None:
    figure = figures.effects({"zero": {"a": ONE, "b": TWO}, "mean": {"a": TWO, "b": ONE}})
    assert [mean for mean, _ in dots(figure)] == [-0.2, 0.01, 0.01, -0.2]
    assert "a, zero −0.200" in figure.alt
    assert "a, mean +0.010" in figure.alt


def test_an_interval_that_ends_in_its_mean_and_four_series_are_drawn() -> None:
    figure = figures.effects({name: {"a": (0.5, 0.5, 0.5)} for name in "wxyz"})
    assert [filled for _, filled in dots(figure)] == [True] * 4
    assert "a, z +0.500 (+0.500 to +0.500)" in figure.alt


def test_an_interval_that_ends_in_zero_holds_it() -> None:
    figure = figures.effects({"up": (0.1, 0.0, 0.2), "down": (-0.1, -0.2, 0.0), "off": (-0.1, -0.2, -0.01)})
    assert [filled for _, filled in dots(figure)] == [False, False, True]


def test_effects_stand_in_the_order_given_unless_sorted() -> None:
    figure = figures.effects({"two": TWO, "one": ONE})
    assert [label.get_text() for label in figure.figure.axes[0].get_yticklabels()] == ["two", "one"]


def replica_dots(figure: figures.Figure) -> list[list[float]]:
    """Where the dots of the replicas are, row by row."""
    lines = [line for line in figure.figure.axes[0].lines if line.get_color() == REPLICA]
    return [[float(x) for x in line.get_xdata()] for line in lines if len(line.get_xdata())]


def test_replicas_stand_beside_their_rows() -> None:
    values = {"two": TWO, "one": ONE}
    others = {"first": {"one": (-0.9, -1.0, -0.8), "two": (0.1, 0.0, 0.2)}, "second": {"one": ONE, "two": TWO}}
    figure = figures.effects(values, replicas=others, sort=True)
    assert replica_dots(figure) == [[-0.9, -0.2], [0.1, 0.01]]
    low, high = figure.figure.axes[0].get_xlim()
    assert low < -0.9
    assert high > 0.1
    [legend] = figure.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["replicas"]


@pytest.mark.parametrize("none", [None, {}])
def test_no_replicas_change_nothing(none: dict[str, object] | None) -> None:
    plain, figure = figures.effects({"one": ONE}), figures.effects({"one": ONE}, replicas=none)  # type: ignore[arg-type]
    assert figure.alt == plain.alt
    assert replica_dots(figure) == []
    assert not figure.figure.legends
    assert figure.figure.get_size_inches().tolist() == plain.figure.get_size_inches().tolist()


def test_replicas_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="replicas: first: expected the names of the effects, one, two, got one"):
        figures.effects({"one": ONE, "two": TWO}, replicas={"first": {"one": ONE}})


def test_nothing_is_minus_zero() -> None:
    assert "nothing 0.000 (0.000 to 0.000)" in figures.effects({"nothing": (-1e-9, -1e-8, 0.0)}).alt


def rows(figure: figures.Figure) -> list[str]:
    return [label.get_text() for label in figure.figure.axes[0].get_yticklabels()]


def test_dots_are_hollow_where_the_interval_holds_the_null() -> None:
    values = {"one": ONE, "two": TWO}
    assert [filled for _, filled in dots(figures.effect_dots(values, null=0.03))[:2]] == [True, False]
    assert [filled for _, filled in dots(figures.effect_dots(values, null=(-0.11, -0.05)))[:2]] == [False, True]
    own = figures.effect_dots(values, null={"one": -0.2, "two": (0.1, 0.2)}, null_name="chance")
    assert [filled for _, filled in dots(own)[:2]] == [False, True]
    assert "two 0.010 (−0.020 to 0.040)." in own.alt
    assert "one −0.200 (−0.300 to −0.100), not clear" in own.alt


def numbers(figure: figures.Figure) -> list[str]:
    """What stands at the right of the rows."""
    return [text.get_text() for text in figure.figure.axes[0].texts]


@pytest.mark.parametrize(
    ("null", "expected", "key"),
    [
        (0, ["+0.50", "−0.20"], " (dashed: chance; hollow dot: the interval reaches it)"),
        ({"up": 0, "down": 0.0}, ["+0.50", "−0.20"], " (dashed: chance; hollow dot: the interval reaches it)"),
        (1, ["0.50", "−0.20"], " (dashed: chance; hollow dot: the interval reaches it)"),
        ((-0.1, 0.1), ["0.50", "−0.20"], " (grey: chance; hollow dot: the interval reaches it)"),
        (
            {"up": 0, "down": (0, 1)},
            ["0.50", "−0.20"],
            " (dashed or grey: chance; hollow dot: the interval reaches it)",
        ),
        (None, ["0.50", "−0.20"], ""),
    ],
)
def test_numbers_have_a_sign_where_the_null_is_zero_and_the_label_says_what_the_null_is(
    null: object, expected: list[str], key: str
) -> None:
    values = {"up": (0.5, 0.4, 0.6), "down": (-0.2, -0.3, -0.1)}
    figure = figures.effect_dots(values, null=null, null_name="chance", label="value", digits=2)  # type: ignore[arg-type]
    assert numbers(figure) == expected
    assert f"up {expected[0]} (" in figure.alt
    assert figure.figure.axes[0].get_xlabel() == f"value\nmean and 95 % interval{key}"


def test_without_a_null_all_dots_are_filled_and_no_line_is_drawn() -> None:
    figure = figures.effect_dots({"one": ONE, "two": TWO}, null=None, label="IoU")
    assert [filled for _, filled in dots(figure)] == [True, True]
    assert not [line for line in figure.figure.axes[0].lines if line.is_dashed()]
    assert figure.alt.startswith("Effects: dots with intervals, IoU. one −0.200")
    assert "not clear" not in figure.alt


def test_each_null_is_drawn_where_it_is() -> None:
    figure = figures.effect_dots({"one": ONE, "two": TWO}, null={"one": -0.2, "two": (0.1, 0.2)})
    [band] = figure.figure.axes[0].patches
    assert (band.get_x(), band.get_width()) == pytest.approx((0.1, 0.1))
    assert band.get_y() < 1 < band.get_y() + band.get_height()
    dashed = [line for line in figure.figure.axes[0].lines if line.get_linestyle() == "--" or line.is_dashed()]
    assert [list(line.get_xdata()) for line in dashed] == [[-0.2, -0.2]]


def test_replicas_are_small_grey_dots_below_theirs() -> None:
    figure = figures.effect_dots({"one": ONE, "two": TWO}, replicas={"two": [0.05, 0.06]})
    [small] = [line for line in figure.figure.axes[0].lines if list(line.get_xdata()) == [0.05, 0.06]]
    assert small.get_color() == REPLICA
    assert 1 < small.get_ydata()[0] < 1.5
    assert small.get_markersize() < 5
    [legend] = figure.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["replicas"]


def test_rows_stand_in_their_groups_in_order() -> None:
    values = {"a": (0.1, 0, 0.2), "b": (-0.5, -1, 0), "c": (0.3, 0, 1), "d": (-0.2, -1, 0)}
    groups = {"first": ["a", "c"], "second": ["d", "b"]}
    assert rows(figures.effect_dots(values, groups=groups)) == ["a", "c", "d", "b"]
    assert rows(figures.effect_dots(values, groups=groups, order="largest")) == ["c", "a", "d", "b"]
    assert rows(figures.effect_dots(values, groups=groups, order="lowest")) == ["a", "c", "b", "d"]
    assert rows(figures.effect_dots(values, order="lowest")) == ["b", "d", "a", "c"]
    heads = {text.get_text() for text in figures.effect_dots(values, groups=groups).figure.axes[0].texts}
    assert {"first", "second"} <= heads


def test_grid_frames_what_is_clear() -> None:
    figure = figures.head_grid(GRID, ["a", "b", "c"])
    clear = (GRID[..., 1] > 0) | (GRID[..., 2] < 0)
    assert 0 < clear.sum() < clear.size
    assert len(figure.figure.axes[0].patches) == clear.sum()
    bold = [text.get_fontweight() == "bold" for text in figure.figure.axes[0].texts]
    assert bold == clear.ravel().tolist()
    assert f"a {clear[0].sum()}, b {clear[1].sum()} and c {clear[2].sum()}" in figure.alt


def test_spread_draws_medians_and_the_reference() -> None:
    values = RNG.uniform(size=(50, 8))
    figure = figures.head_distributions(
        {"a": values}, ylabel="share", reference={"a": values[:, 0]}, reference_name="even"
    )
    [line] = [line for line in figure.figure.axes[0].lines if line.get_marker() == "o"]
    np.testing.assert_allclose(line.get_ydata(), np.median(values, axis=0))
    assert f"even {np.median(values[:, 0]):.2f}" in figure.alt
    assert "over 50 prompts" in figure.alt


def test_spread_has_a_panel_for_each() -> None:
    figure = figures.head_distributions(
        {str(i): RNG.uniform(size=(9, 8)) for i in range(7)}, ylabel="entropy", limits=(0, 1)
    )
    assert [axes.get_title() for axes in figure.figure.axes[:7]] == [str(i) for i in range(7)]
    assert figure.figure.axes[0].get_ylim() == (0, 1)
    assert [axes.axison for axes in figure.figure.axes] == [True] * 7 + [False]


@pytest.mark.parametrize(("panels", "rows", "columns"), [(1, 1, 1), (4, 1, 4), (5, 2, 3), (8, 2, 4)])
def test_spread_has_at_most_four_panels_in_a_row_of_few(panels: int, rows: int, columns: int) -> None:
    figure = figures.head_distributions({str(i): np.ones((3, 2)) for i in range(panels)}, ylabel="entropy")
    grid = figure.figure.axes[0].get_gridspec()
    assert (grid.nrows, grid.ncols) == (rows, columns)
    assert figure.figure.axes[0].get_ylim()[0] == 0


def test_spread_names_the_extreme_heads_and_its_reference() -> None:
    values = np.array([[1.0, 3.0, 2.0]] * 4)
    plain = figures.head_distributions({"a": values}, ylabel="entropy")
    assert plain.alt.endswith("Medians: a from 1.00 (head 0) to 3.00 (head 1).")
    assert plain.alt.startswith("entropy: entropy of each head over 4 prompts")
    assert not plain.figure.legends
    held = figures.head_distributions({"a": values}, ylabel="entropy", reference={"a": np.arange(4.0)}, title="Heads")
    assert held.alt.endswith("to 3.00 (head 1), dashed 1.50.")
    assert held.alt.startswith("Heads: ")


WRONG: list[tuple[Callable[[], object], str]] = [
    (lambda: figures.effect_dots({"a": ONE}, null={"b": 0}), "null: expected the names of the effects, a, got b"),
    (lambda: figures.effect_dots({"a": ONE}, null=(1, 0)), r"null: expected a number, or \(low, high\)"),
    (lambda: figures.effect_dots({"a": ONE}, replicas={"b": [0]}), "replicas: expected the names"),
    (lambda: figures.effect_dots({"a": ONE, "b": ONE}, groups={"x": ["a"]}), "groups: expected the names"),
    (lambda: figures.effect_dots({"a": ONE}, groups={"x": ["a", "a"]}), "groups: expected the names"),
    (lambda: figures.effects({}), "values: expected at least one, got none"),
    (lambda: figures.effects({"a": ONE, "b": {"c": ONE}}), "values: expected effects, or series"),
    (lambda: figures.effects({"a": {"x": ONE}, "b": {"y": ONE}}), "values: expected the same names"),
    (lambda: figures.effects({"a": (0.0, 1.0, 2.0)}), "a: expected mean, low, high with low <= mean"),
    (lambda: figures.effects({"a": (3.0, 1.0, 2.0)}), "a: expected mean, low, high with low <= mean"),
    (lambda: figures.effects({"a": {}}), "values: expected the same names in each series, at least one"),
    (lambda: figures.effects({str(i): {"a": ONE} for i in range(5)}), "values: expected at most 4 series"),
    (lambda: figures.head_grid(GRID, ["a"]), "rows: expected 3, one each, got 1"),
    (lambda: figures.head_grid(GRID[..., 0], ["a"] * 3), r"values: expected shape \(rows, heads, 3\)"),
    (lambda: figures.head_distributions({}, ylabel="y"), "values: expected at least one, got none"),
    (
        lambda: figures.head_distributions({"a": np.ones((2, 3))}, ylabel="y", reference={"b": np.ones(2)}),
        "reference: expected",
    ),
    (lambda: figures.head_distributions({"a": np.ones(3)}, ylabel="y"), r"a: expected shape \(prompts, heads\)"),
]


@pytest.mark.no_shape_check
@pytest.mark.parametrize(("draw", "message"), WRONG, ids=[str(i) for i in range(len(WRONG))])
def test_wrong_input_is_refused(draw: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw()
