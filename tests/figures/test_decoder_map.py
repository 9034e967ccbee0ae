"""The map of the decoder: what is drawn, the alt text, and what is refused."""

import pytest
from matplotlib.patches import FancyBboxPatch

from sam_edu import figures
from sam_edu.figures import Figure


def test_lit_steps_change_the_map() -> None:
    drawn = {step: figures.decoder_map(lit=(step,)) for step in figures.STEPS}
    assert len({figure.png for figure in drawn.values()}) == len(figures.STEPS)
    assert figures.decoder_map(lit="6-1").png == drawn["6-1"].png == figures.decoder_map(lit=("(6-1)",)).png
    assert "In colour: (6-1) tokens attend to the image, a last time." in drawn["6-1"].alt
    assert figures.decoder_map(lit=()).png not in {figure.png for figure in drawn.values()}


@pytest.mark.parametrize("lit", [(), ("2",), ("0", "6-1", "8")])
def test_the_boxes_of_the_lit_steps_alone_are_in_colour(lit: tuple[str, ...]) -> None:
    def faces(figure: Figure) -> list[tuple[float, ...]]:
        boxes = [one for axes in figure.figure.axes for one in axes.patches if isinstance(one, FancyBboxPatch)]
        return [one.get_facecolor() for one in boxes]  # type: ignore[misc]

    dark, some, every = (faces(figures.decoder_map(lit=steps)) for steps in ((), lit, figures.STEPS))
    assert sum(a != b for a, b in zip(dark, some, strict=True)) == len(lit)
    assert sum(a != b for a, b in zip(some, every, strict=True)) == len(figures.STEPS) - len(lit)


def test_unknown_step_is_refused() -> None:
    with pytest.raises(ValueError, match=r"lit: there is no step 6; the steps are 0, 1, .*6-1.* 8"):
        figures.decoder_map(lit=("6",))


def test_map_in_words_ends_with_what_is_lit() -> None:
    assert figures.decoder_map().alt.endswith("In colour: all steps.")
    assert figures.decoder_map(lit=()).alt.endswith("In colour: none.")
    assert figures.decoder_map(lit=[step for step in figures.STEPS if step != "0"]).alt.count("(0)") == 1
