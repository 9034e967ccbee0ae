"""Every mask has the colour of its number, whatever its position in a list, and so has a series named after it."""

import importlib
import re
from pathlib import Path

import numpy as np
import pytest
from examples import IMAGE, MASKS
from matplotlib.colors import to_hex

from sam_edu import figures
from sam_edu.figures import block, hypernetwork, masks, postprocessing
from sam_edu.figures.kit.arrays import as_mask_numbers
from sam_edu.figures.kit.colours import MASK_COLOURS, SERIES

CASES_MODULE = importlib.import_module("sam_edu.figures.cases")  # `figures.cases` is the function
CLICK = np.array([3.0, 4.0])
TRUTH, GRID, LOGITS = MASKS[0], np.stack([MASKS, MASKS]), MASKS - 0.5


def draw_cases(numbers: list[int]) -> figures.Figure:
    return figures.cases([figures.Case(IMAGE, MASKS[0], TRUTH, CLICK, "one", number) for number in numbers])


def draw_sized(numbers: list[int]) -> figures.Figure:
    return figures.sized_maps({"a": LOGITS[0]}, image=IMAGE, number=numbers[0])


def draw_corrections(numbers: list[int]) -> figures.Figure:
    shared = {"clicks": {"a": [CLICK] * 3}, "labels": {"a": [1, 0, 1]}, "numbers": {"a": numbers}}
    return figures.corrections(IMAGE, {"a": MASKS}, TRUTH, **shared)


def draw_ways(numbers: list[int]) -> figures.Figure:
    return figures.masks_by_way(IMAGE, {"a": MASKS}, reference=MASKS, names=list("xyz"), numbers=numbers)


DRAWING = {
    "prompts_and_masks": lambda numbers: figures.prompts_and_masks(IMAGE, MASKS, numbers=numbers),
    "masks_row": lambda numbers: figures.masks_row(IMAGE, MASKS, numbers=numbers),
    "logits_and_mask": lambda numbers: figures.logits_and_mask(LOGITS, IMAGE, numbers=numbers),
    "masks_by_prompt": lambda numbers: figures.masks_by_prompt(IMAGE, MASKS, list("xyz"), numbers=numbers),
    "masks_by_way": draw_ways,
    "mask_grid": lambda numbers: figures.mask_grid(IMAGE, GRID[:1], ["r"], list("xyz"), numbers=numbers),
    "corrections": draw_corrections,
    "cases": draw_cases,
    "sized_maps": draw_sized,
}


@pytest.fixture
def colours(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The colours of all masks drawn, in order."""
    found: list[str] = []
    for module in (block, CASES_MODULE, hypernetwork, masks, postprocessing):
        plain = module.draw_mask

        def record(axes, mask, colour, *rest, plain=plain, **options):
            found.append(colour)
            plain(axes, mask, colour, *rest, **options)

        monkeypatch.setattr(module, "draw_mask", record)
    return found


@pytest.mark.parametrize("numbers", [[0, 0, 0], [3, 1, 2], [2, 2, 0]])
@pytest.mark.parametrize("name", DRAWING)
def test_a_mask_has_the_colour_of_its_number(name: str, numbers: list[int], colours: list[str]) -> None:
    DRAWING[name](numbers)
    expected = numbers[:1] if name == "sized_maps" else numbers
    assert colours == [MASK_COLOURS[number] for number in expected]


@pytest.mark.parametrize("name", DRAWING)
def test_a_number_that_no_mask_has_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"expected the numbers of masks, 0 to 3, got \[4"):
        DRAWING[name]([4, 1, 2])


def test_numbers_are_taken_as_given_or_repeated_by_default() -> None:
    assert as_mask_numbers("numbers", None, 4, (1, 2, 3)) == [1, 2, 3, 1]
    assert as_mask_numbers("numbers", range(2, 4), 2, (1,)) == [2, 3]
    with pytest.raises(ValueError, match="numbers: expected 3, one each, got 2"):
        as_mask_numbers("numbers", [0, 3], 3, (1,))


def test_names_by_default_are_those_of_the_colours() -> None:
    legend = figures.prompts_and_masks(IMAGE, MASKS).figure.axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["mask 1", "mask 2", "mask 3"]
    logits = figures.logits_and_mask(LOGITS, IMAGE, numbers=[1, 2, 3])
    assert [axes.get_title() for axes in logits.figure.axes[:3]] == ["mask 1", "mask 2", "mask 3"]


def test_no_drawing_function_takes_a_mask_s_colour_from_its_position() -> None:
    folder = Path(figures.__file__).parent
    drawing = [line for path in folder.glob("*.py") for line in path.read_text(encoding="utf-8").splitlines()]
    drawing = [line.strip() for line in drawing if "draw_mask(" in line and "MASK_COLOURS" in line]
    assert len(drawing) >= 7
    assert [line for line in drawing if not re.search(r"MASK_COLOURS\[(tokens?(\[\w+\])?|number)\]", line)] == []


# --- Series in plots ---

THREE = {"mask 2": [0.2, 0.4], "a formula": [0.3, 0.5], "mask 0": [0.1, 0.7]}
MEANS = {name: {"one": (low, low - 0.1, high)} for name, (low, high) in THREE.items()}
PLOTTING = {
    "curves_along": lambda: figures.curves_along([1, 2], THREE, xlabel="x", ylabel="y"),
    "curves_over": lambda: figures.curves_over([1, 2], THREE, xlabel="x", ylabel="y"),
    "distributions": lambda: figures.distributions({name: [0.5, 0.5] for name in THREE}),
    "effect_dots": lambda: figures.effect_dots(MEANS),
    "effects": lambda: figures.effects(MEANS),
    "line_panels": lambda: figures.line_panels([1, 2], {"a panel": THREE}),
    "means_with_intervals": lambda: figures.means_with_intervals(MEANS),
    "training_curves, losses": lambda: figures.training_curves({name: ([1, 2], y) for name, y in THREE.items()}, {}),
    "training_curves, scores": lambda: figures.training_curves({}, {name: ([1, 2], y) for name, y in THREE.items()}),
}


def colours_in(figure: figures.Figure) -> set[str]:
    """The colours of all lines, marks and bars."""
    axes = figure.figure.axes
    lines = [line for one in axes for line in one.lines]
    parts = [part for one in axes for part in one.patches]
    spans = [colour for one in axes for drawn in one.collections for colour in drawn.get_colors()]
    marks = [line.get_markerfacecolor() for line in lines if line.get_marker() not in (None, "None", "")]
    found = [*marks, *(line.get_color() for line in lines), *(part.get_facecolor() for part in parts), *spans]
    return {to_hex(colour).upper() for colour in found}


@pytest.mark.parametrize("name", PLOTTING)
def test_a_series_that_is_named_after_a_mask_has_its_colour(name: str) -> None:
    found = colours_in(PLOTTING[name]()) & {*MASK_COLOURS, *SERIES[:3]}
    assert found == {MASK_COLOURS[2], SERIES[1], MASK_COLOURS[0]}


def test_only_what_has_no_name_of_its_own_is_coloured_by_its_number() -> None:
    files = {path.name: path.read_text(encoding="utf-8") for path in Path(figures.__file__).parent.glob("*.py")}
    by_number = {name for name, text in files.items() if re.search(r"SERIES\[(?!\d\])|, SERIES, strict", text)}
    assert by_number == {"ladder.py", "positions.py", "speed.py"}  # keys and heads, indices, steps of a decode
