"""Every public drawing function: a picture, words, the same bytes twice, and a clear refusal."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from drawings import check_drawing
from matplotlib.patches import FancyBboxPatch
from PIL import Image

from sam_edu import figures
from sam_edu.figures import Figure

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 255, (32, 48, 3), dtype=np.uint8)
MASKS = np.zeros((3, 32, 48), bool)
MASKS[0, 4:20, 5:30] = True
MASKS[1, 8:12, 8:14] = True  # the third stays empty: that must draw too
SQUARE = RNG.integers(0, 255, (32, 32, 3), dtype=np.uint8)
NAMES = figures.token_names([1])
CLICK = [[10, 9]]


def softmax(*shape: int) -> torch.Tensor:
    return torch.from_numpy(RNG.normal(size=shape)).softmax(-1)


WEIGHTS = softmax(8, 256)
SELF = softmax(8, 7, 7)
SHARES = softmax(256, 7).T
STATES = torch.from_numpy(RNG.normal(size=(7, 256)))
MAPS = torch.from_numpy(RNG.normal(size=(32, 16, 16)))

LOGITS = RNG.normal(size=(4, 32, 48))
DRAWINGS: dict[str, Callable[[], Figure]] = {
    "decoder_map": lambda: figures.decoder_map(),
    "decoder_map lit": lambda: figures.decoder_map(lit=("2", "(6-1)")),
    "prompts_and_masks": lambda: figures.prompts_and_masks(
        IMAGE, MASKS, points=[[3, 4], [30, 20]], labels=[1, 0], box=[2, 3, 30, 25], title="A picture"
    ),
    "prompts_and_masks bare": lambda: figures.prompts_and_masks(IMAGE / 255.0),
    "masks_row": lambda: figures.masks_row(
        IMAGE, MASKS, predicted=[0.5, 1.02, 0.1], true=[0.4, 0.3, 0.0], truth=MASKS, points=CLICK, numbers=[0, 0, 3]
    ),
    "masks_row single": lambda: figures.masks_row(IMAGE, MASKS[:1]),
    "logits_and_mask": lambda: figures.logits_and_mask(LOGITS, IMAGE, points=CLICK),
    "logits_and_mask zero": lambda: figures.logits_and_mask(np.zeros((2, 32, 48)), IMAGE),
    "token_strip": lambda: figures.token_strip(STATES, NAMES, title="Tokens"),
    "token_strip ordered": lambda: figures.token_strip(STATES[:4, :32], NAMES[1:5], order=range(31, -1, -1)),
    "token_strip per row": lambda: figures.token_strip(STATES[:4, :32] * 0, NAMES[1:5], per_row=True),
    "vector_bars": lambda: figures.vector_bars([0.1, -0.2], ["a", "mask 1"], label="IoU"),
    "vector_bars series": lambda: figures.vector_bars({"predicted": [0.1, 0.2], "true": [0.3, 0.4]}, NAMES[1:3]),
    "token_matrix": lambda: figures.token_matrix(SELF, NAMES),
    "token_matrix table": lambda: figures.token_matrix(SELF[:1, :, :2], NAMES, ["(1)", "(2)"], titles=[""], digits=1),
    "attention_over_image": lambda: figures.attention_over_image(WEIGHTS, SQUARE, points=CLICK),
    "attention_over_image outlined": lambda: figures.attention_over_image(
        WEIGHTS.unflatten(1, (8, 32))[:5], IMAGE, titles=NAMES[:5], outlines=MASKS
    ),
    "attention_over_image ticks": lambda: figures.attention_over_image(WEIGHTS, SQUARE, points=CLICK, ticks=True),
    "token_matrix diverging": lambda: figures.token_matrix(SELF[:1], NAMES, titles=[""], digits=2, middle=1 / 7),
    "who_is_heard limited": lambda: figures.who_is_heard(SHARES, NAMES, points=CLICK, limit=1),
    "cases": lambda: figures.cases(
        [figures.Case(IMAGE, MASKS[0], MASKS[1], np.array([3.0, 4.0]), f"case {i}") for i in range(3)], columns=3
    ),
    "training_curves": lambda: figures.training_curves(
        {"mask": (range(60), [1 / (1 + step) for step in range(60)])}, {"box": ([50], [0.75])}
    ),
    "who_is_heard": lambda: figures.who_is_heard(SHARES, NAMES, outlines=MASKS, points=CLICK),
    "prompts_and_masks truth": lambda: figures.prompts_and_masks(IMAGE, truth=MASKS, points=CLICK),
    "attention_diagram": lambda: figures.attention_diagram(),
    "one_query": lambda: figures.one_query([1, 0.5], STATES[:4, :2], STATES[:4, 2:4], SELF[0, 0, :4], title="One"),
    "matrix_product": lambda: figures.matrix_product(STATES[:3, :2], STATES[:2, :4]),
    "distributions": lambda: figures.distributions({"with": SELF[0], "without": SELF[1]}, columns=NAMES),
    "curves_over": lambda: figures.curves_over([4, 8], {"a": [1, 2]}, xlabel="width", ylabel="entropy", limit=2),
    "head_split": lambda: figures.head_split(STATES[:5, :12], 3),
    "target_and_yours": lambda: figures.target_and_yours(STATES[:4, :9], STATES[:4, 1:10]),
    "effects": lambda: figures.effects({"one": (-0.2, -0.3, -0.1), "two": (0.1, -0.1, 0.2)}, title="Worth"),
    "head_grid": lambda: figures.head_grid(np.stack([SELF[0]] * 3, -1), NAMES),
    "head_spread": lambda: figures.head_spread({"a": SELF[0], "b": SELF[1]}, ylabel="entropy"),
    "channels": lambda: figures.channels(MAPS),
    "channels one by one": lambda: figures.channels(MAPS[:3], per_channel=True, image=SQUARE, cell=4),
    "channels chosen": lambda: figures.channels(MAPS, order=[3, 1], names=["three", "one"]),
    "embeddings": lambda: figures.embeddings(MAPS[None].expand(2, -1, -1, -1), ["a", "b"], image=SQUARE),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_gives_a_picture_with_words(name: str) -> None:
    check_drawing(DRAWINGS[name])


def test_every_public_function_is_drawn_in_a_test() -> None:
    drawn = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    others = {"Figure", "STEPS", "Case", "token_names"}
    assert [name for name in figures.__all__ if name not in others and f"figures.{name}(" not in drawn] == []


@pytest.mark.parametrize("name", [name for name in DRAWINGS if " " not in name])
def test_same_bytes_twice(name: str) -> None:
    if name == "logits_and_mask":
        logits = RNG.normal(size=(4, 32, 48))
        first, second = (figures.logits_and_mask(logits, IMAGE) for _ in range(2))
    else:
        first, second = DRAWINGS[name](), DRAWINGS[name]()
    assert first.png == second.png
    assert first.alt == second.alt


def test_png_holds_no_notes() -> None:
    drawn = Image.open(io.BytesIO(figures.decoder_map().png))
    drawn.load()
    assert set(drawn.info) == {"dpi"}


def test_the_readers_own_settings_do_not_matter() -> None:
    import matplotlib as mpl

    before = DRAWINGS["vector_bars"]().png
    with mpl.rc_context({"font.size": 20, "figure.facecolor": "black"}):
        picture = DRAWINGS["vector_bars"]()
        assert picture.png == before
        assert mpl.rcParams["font.size"] == 20


def test_values_change_the_picture() -> None:
    changed = SELF.clone()
    changed[0, 0] = changed[0, 0].flip(0)
    assert figures.token_matrix(changed, NAMES).png != figures.token_matrix(SELF, NAMES).png


def test_lit_steps_change_the_map() -> None:
    pictures = {step: figures.decoder_map(lit=(step,)) for step in figures.STEPS}
    assert len({picture.png for picture in pictures.values()}) == len(figures.STEPS)
    assert figures.decoder_map(lit="6-1").png == pictures["6-1"].png == figures.decoder_map(lit=("(6-1)",)).png
    assert "In colour: (6-1) tokens read the image, a last time." in pictures["6-1"].alt
    assert figures.decoder_map(lit=()).png not in {picture.png for picture in pictures.values()}


@pytest.mark.parametrize("lit", [(), ("2",), ("0", "6-1", "8")])
def test_the_boxes_of_the_lit_steps_alone_are_in_colour(lit: tuple[str, ...]) -> None:
    def faces(picture: Figure) -> list[tuple[float, ...]]:
        boxes = [one for axes in picture.figure.axes for one in axes.patches if isinstance(one, FancyBboxPatch)]
        return [one.get_facecolor() for one in boxes]  # type: ignore[misc]

    dark, some, every = (faces(figures.decoder_map(lit=steps)) for steps in ((), lit, figures.STEPS))
    assert sum(a != b for a, b in zip(dark, some, strict=True)) == len(lit)
    assert sum(a != b for a, b in zip(some, every, strict=True)) == len(figures.STEPS) - len(lit)


def test_unknown_step_is_refused() -> None:
    with pytest.raises(ValueError, match=r"lit: there is no step 6; the steps are 0, 1, .*6-1.* 8"):
        figures.decoder_map(lit=("6",))


@pytest.mark.parametrize(
    ("labels", "box", "expected"),
    [
        ((), False, []),
        ([1], False, ["click +", "padding"]),
        ([1, 0, 1], False, ["click +", "click −", "click +", "padding"]),
        ((), True, ["corner 1", "corner 2"]),
        ([0], True, ["click −", "corner 1", "corner 2"]),
    ],
)
def test_token_names(labels: list[int], box: bool, expected: list[str]) -> None:
    assert figures.token_names(labels, box) == ["IoU", "mask 0", "mask 1", "mask 2", "mask 3", *expected]


WRONG: list[tuple[Callable[[], object], str]] = [
    (lambda: figures.prompts_and_masks(IMAGE[..., 0]), r"image: expected shape \(height, width, 3\), got \(32, 48\)"),
    (lambda: figures.prompts_and_masks(IMAGE * 2.0), "image: expected bytes, or floats from 0 to 1"),
    (lambda: figures.prompts_and_masks(IMAGE, MASKS[:, 1:]), r"masks: expected shape \(masks, 32, 48\)"),
    (lambda: figures.prompts_and_masks(IMAGE, MASKS, names=["one"]), "names: expected 3, one each, got 1"),
    (lambda: figures.prompts_and_masks(IMAGE, points=[1, 2]), r"points: expected shape \(clicks, 2\)"),
    (lambda: figures.prompts_and_masks(IMAGE, points=CLICK, labels=[1, 0]), r"labels: expected shape \(1,\)"),
    (lambda: figures.prompts_and_masks(IMAGE, box=[[1, 2, 3, 4]]), r"box: expected shape \(4,\), got \(1, 4\)"),
    (lambda: figures.masks_row(IMAGE, MASKS, true=[0.5]), r"true: expected shape \(3,\)"),
    (lambda: figures.masks_row(IMAGE, MASKS, truth=MASKS[:2]), "truth: expected shape"),
    (lambda: figures.masks_row(IMAGE, MASKS, numbers=[1]), "numbers: expected 3"),
    (lambda: figures.masks_row(IMAGE, MASKS[:0]), "masks: expected shape"),
    (lambda: figures.logits_and_mask(np.zeros((4, 8, 8)), IMAGE), "logits: expected shape"),
    (lambda: figures.logits_and_mask(np.full((1, 32, 48), np.nan), IMAGE), "logits: expected shape|not finite"),
    (lambda: figures.token_strip(STATES, NAMES[:3]), "names: expected 7, one each, got 3"),
    (lambda: figures.token_strip(STATES[0], NAMES), r"vectors: expected shape \(rows, channels\), got \(256,\)"),
    (lambda: figures.token_strip(STATES, NAMES, order=[0, 1]), "order: expected each number from 0 to 255 once"),
    (lambda: figures.vector_bars([1.0], ["a", "b"]), r"values: expected shape \(2,\)"),
    (lambda: figures.vector_bars({}, ["a"]), "values: expected at least one series"),
    (lambda: figures.token_matrix(SELF, NAMES[:6]), r"values: expected shape \(panels, 6, 6\)"),
    (lambda: figures.token_matrix(SELF, NAMES, titles=["one"]), "titles: expected 8"),
    (lambda: figures.attention_over_image(WEIGHTS[:, :255], SQUARE), "weights: 255 pixels are no square grid"),
    (lambda: figures.attention_over_image(WEIGHTS, SQUARE, outlines=MASKS), "outlines: expected shape"),
    (lambda: figures.who_is_heard(SHARES, NAMES[:2]), "names: expected 7"),
    (lambda: figures.channels(MAPS, order=[32]), "order: expected numbers from 0 to 31"),
    (lambda: figures.channels(MAPS[0]), r"maps: expected shape \(channels, height, width\)"),
    (lambda: figures.embeddings(MAPS[None, :2], ["a"]), "maps: expected at least 3 channels, got 2"),
    (lambda: Figure(figures.decoder_map().figure, " "), "alt: expected a description"),
    (lambda: figures.decoder_map().save("map.jpg"), "path: expected a name that ends in .png or .svg"),
    (lambda: figures.cases([]), "expected at least one of each"),
    (lambda: figures.cases([figures.Case(IMAGE, MASKS[0], MASKS[1], np.ones(2), "one")], columns=0), "got 1 and 0"),
    (lambda: figures.prompts_and_masks(IMAGE / 255 - 0.1), "image: expected bytes, or floats from 0 to 1"),
    (lambda: figures.prompts_and_masks(IMAGE / 255 * np.nan), "image: holds numbers that are not finite"),
    (lambda: figures.logits_and_mask(np.full((1, 32, 48), np.inf), IMAGE), "logits: holds numbers that are not finite"),
    (lambda: figures.logits_and_mask(np.zeros((1, 32, 48)), IMAGE, limit=0), "limit: expected a positive number"),
    (lambda: figures.channels(MAPS, order=[]), "order: expected numbers from 0 to 31"),
    (lambda: figures.channels(MAPS, order=[3, -1]), "order: expected numbers from 0 to 31"),
    (
        lambda: figures.token_strip(STATES[:, :3], NAMES, order=[0, 1, 1]),
        "order: expected each number from 0 to 2 once",
    ),
    (lambda: figures.training_curves({"mask": ([], [])}, {}), "mask: expected as many values as steps, at least 1"),
    (lambda: figures.training_curves({}, {"box": ([1], [])}), "box: expected as many values as steps"),
    (lambda: figures.training_curves({}, {}), "at least one curve"),
    (lambda: figures.training_curves({"mask": ([1, 2], [0.5])}, {}), "mask: expected as many values as steps"),
]


@pytest.mark.no_shape_check
@pytest.mark.parametrize(("draw", "message"), WRONG, ids=[str(i) for i in range(len(WRONG))])
def test_wrong_input_is_refused(draw: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw()


def test_saves_png_and_svg(tmp_path) -> None:
    picture = figures.decoder_map()
    assert picture.save(tmp_path / "map.png").read_bytes() == picture.png
    first = picture.save(tmp_path / "map.svg").read_text()
    assert first == figures.decoder_map().save(tmp_path / "again.svg").read_text()
    assert "<svg" in first
    assert "<dc:date>" not in first


def test_losses_are_means_over_a_fiftieth_of_the_run_and_scores_are_drawn_as_they_are() -> None:
    values = np.arange(100.0) ** 2
    picture = figures.training_curves({"mask": (range(100), values.tolist())}, {"box": ([50, 99], [0.25, 0.75])})
    [loss], [score] = (axes.lines for axes in picture.figure.axes)
    np.testing.assert_array_equal(loss.get_xdata(), np.arange(1, 100))
    np.testing.assert_allclose(loss.get_ydata(), (values[1:] + values[:-1]) / 2)
    assert list(score.get_ydata()) == [0.25, 0.75]
    assert picture.alt.endswith("Last scores: box 0.75.")
    none_yet = figures.training_curves({"mask": ([0], [1.0])}, {})
    assert none_yet.alt.endswith("Last scores: none yet.")
    assert [axes.get_legend() is not None for axes in none_yet.figure.axes] == [True, False]


def test_cases_are_named_and_what_is_left_of_the_grid_is_empty() -> None:
    panels = [figures.Case(IMAGE, MASKS[0], MASKS[1], np.array([3.0, 4.0]), name) for name in "abc"]
    picture = figures.cases(panels, columns=2)
    assert [axes.get_title() for axes in picture.figure.axes] == ["a", "b", "c", ""]
    assert [axes.axison for axes in picture.figure.axes] == [True, True, True, False]
    assert picture.alt == "Cases: 3 pictures, each with a click and a mask. a; b; c."


def test_half_precision_and_tensors_with_gradients_are_drawn() -> None:
    states = STATES[:, :8].bfloat16().requires_grad_()
    assert figures.token_strip(states, NAMES).alt == figures.token_strip(states.detach().float().numpy(), NAMES).alt


@pytest.mark.parametrize("image", [np.zeros((4, 4, 3)), np.ones((4, 4, 3)), np.full((4, 4, 3), 255, np.uint8)])
def test_all_that_a_picture_may_hold_is_drawn(image: np.ndarray) -> None:
    assert figures.prompts_and_masks(image).png


def edges(picture: Figure) -> list[int]:
    """The number of lines around masks, per panel."""
    collections = [axes.collections for axes in picture.figure.axes]
    return [sum(any(len(path.vertices) for path in line.get_paths()) for line in lines) for lines in collections]


def test_outlines_stand_on_every_panel_and_empty_ones_on_none() -> None:
    # Three masks, one of them empty; the last axes are the colour bar's, which has lines of its own.
    grid = figures.attention_over_image(WEIGHTS.unflatten(1, (8, 32))[:2], IMAGE, outlines=MASKS)
    plain = figures.attention_over_image(WEIGHTS.unflatten(1, (8, 32))[:2], IMAGE)
    assert edges(grid)[:3] == [2, 2, 2]
    assert edges(plain)[:3] == [0, 0, 0]
    heard = figures.who_is_heard(SHARES, NAMES, outlines=MASKS)
    assert edges(heard)[:8] == [2] * 8
    assert edges(figures.who_is_heard(SHARES, NAMES))[:8] == [0] * 8
    row = figures.masks_row(IMAGE, MASKS, truth=MASKS[::-1])
    assert edges(row) == [1, 2, 1]
    assert row.alt.endswith("Dashed: the true mask.")
    assert "Dashed" not in figures.masks_row(IMAGE, MASKS).alt


def test_maps_are_named_as_told_or_by_their_heads() -> None:
    two = WEIGHTS[:2]
    named = figures.attention_over_image(two, SQUARE, titles=["one", "two"])
    assert [axes.get_title().split("\n")[0] for axes in named.figure.axes[:3]] == ["the picture", "one", "two"]
    assert "one at (" in named.alt
    assert " and two at (" in named.alt
    assert "head 0 at (" in figures.attention_over_image(two, SQUARE).alt


def test_scores_stand_above_masks_where_they_are_given() -> None:
    both = figures.masks_row(IMAGE, MASKS[:1], predicted=[0.5], true=[0.25])
    assert both.figure.axes[0].get_title() == "mask 0\nIoU predicted 0.50, true 0.25"
    assert "predicted IoU 0.50, true IoU 0.25" in both.alt
    assert figures.masks_row(IMAGE, MASKS[:1]).figure.axes[0].get_title() == "mask 0"


@pytest.mark.parametrize(
    ("pixels", "told"), [(0, "0 %"), (1, "less than 1 %"), (15, "less than 1 %"), (16, "1 %"), (1536, "100 %")]
)
def test_a_mask_that_is_there_never_covers_nothing(pixels: int, told: str) -> None:
    mask = (np.arange(32 * 48) < pixels).reshape(1, 32, 48)
    assert f"mask 0 covers {told} of the picture" in figures.masks_row(IMAGE, mask).alt


@pytest.mark.parametrize(
    ("points", "labels", "box", "told"),
    [
        ([[3, 4], [30, 20]], [1, 0], None, "a positive click at (3, 4) and a negative click at (30, 20)"),
        ([[3, 4]], None, [2, 3, 30, 25], "a positive click at (3, 4) and a box from (2, 3) to (30, 25)"),
        (None, None, [2, 3, 30, 25], "a box from (2, 3) to (30, 25)"),
    ],
)
def test_prompts_are_told(points: object, labels: object, box: object, told: str) -> None:
    assert told in figures.prompts_and_masks(IMAGE, points=points, labels=labels, box=box).alt
    assert f"the picture with {told}. " in figures.masks_row(IMAGE, MASKS, points=points, labels=labels, box=box).alt


def test_a_limit_ends_the_colours_and_by_default_the_largest_share_does() -> None:
    def ends(picture: Figure) -> set[tuple[float, float]]:
        return {axes.images[0].get_clim() for axes in picture.figure.axes[:7]}

    assert ends(figures.who_is_heard(SHARES, NAMES, limit=0.5)) == {(0.0, 0.5)}
    assert ends(figures.who_is_heard(SHARES, NAMES)) == {(0.0, float(SHARES.float().max()))}


def test_map_in_words_ends_with_what_is_lit() -> None:
    assert figures.decoder_map().alt.endswith("In colour: all steps.")
    assert figures.decoder_map(lit=()).alt.endswith("In colour: none.")
    assert figures.decoder_map(lit=[step for step in figures.STEPS if step != "0"]).alt.count("(0)") == 1


def test_a_strip_is_on_one_scale_or_each_row_on_its_own() -> None:
    rows = np.array([[1.0, -2.0], [10.0, -40.0], [0.0, 0.0]])
    names = NAMES[:3]
    [together], [alone] = (figures.token_strip(rows, names, per_row=one).figure.axes[0].images for one in (False, True))
    np.testing.assert_allclose(together.get_array(), rows)
    assert together.get_clim()[1] == pytest.approx(np.quantile(np.abs(rows), 0.99))
    np.testing.assert_allclose(alone.get_array(), [[0.5, -1.0], [0.25, -1.0], [0.0, 0.0]])
    assert alone.get_clim() == (-1.0, 1.0)


def test_channels_are_on_one_scale_or_each_on_its_own() -> None:
    maps = np.zeros((2, 2, 2))
    maps[0, 0, 0], maps[1] = 2.0, 8.0
    together, alone = figures.channels(maps), figures.channels(maps, per_channel=True)
    assert [axes.get_title() for axes in together.figure.axes[:2]] == ["0", "1"]
    assert [axes.get_title() for axes in alone.figure.axes[:2]] == ["0: 2", "1: 8"]
    assert [axes.images[0].get_array().max() for axes in together.figure.axes[:2]] == [0.25, 1.0]
    assert [axes.images[0].get_array().max() for axes in alone.figure.axes[:2]] == [1.0, 1.0]
    assert "on one colour scale; 0 varies most over the picture, 1 least" in together.alt
    assert "each scaled to its own maximum; 0 varies most" in alone.alt
