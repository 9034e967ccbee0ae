"""Two decodes side by side: where they are equal, how far apart they are, and what is refused."""

import numpy as np
import pytest
import torch
from drawings import check_drawing
from examples import CLICK, SQUARE, decode
from matplotlib.axes import Axes

import sam_edu
from sam_edu import figures
from sam_edu.figures import Figure
from sam_edu.figures.two_decodes import STOPS, distances, field_of_distances

OTHER_CLICK = [[20, 25]]
ONE, OTHER = decode(0), decode(1)
SHARED = ("src", "transformer.layers.0.cross_attn_token_to_image.k", "transformer.layers.0.cross_attn_token_to_image.v")
ALIKE = {**OTHER, **{name: ONE[name] for name in SHARED}}


def draw(other: dict[str, torch.Tensor] = ALIKE) -> Figure:
    return figures.two_decodes(ONE, other, SQUARE, points=(CLICK, OTHER_CLICK))


def words(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.figure.axes for text in axes.texts]


def test_drawing() -> None:
    check_drawing(draw)


def test_nine_stops_have_a_name_each() -> None:
    assert len(STOPS) == 9
    assert set(STOPS) <= set(words(draw()))


def test_distance_is_in_parts_of_the_length() -> None:
    vectors = np.array([[3.0, 4.0], [1.0, 0.0], [2.0, 0.0]])
    others = np.array([[3.0, 4.0], [0.0, 1.0], [-2.0, 0.0]])
    np.testing.assert_allclose(distances(vectors, others), [0.0, np.sqrt(2), 2.0])


def test_field_is_in_parts_of_the_map_s_mean_length() -> None:
    one, other = np.zeros((2, 1, 2)), np.zeros((2, 1, 2))
    one[0], other[0] = [[1.0, 3.0]], [[1.0, -3.0]]
    np.testing.assert_allclose(field_of_distances(one, other), [[0.0, 3.0]])


def test_what_is_equal_is_said_and_nothing_else() -> None:
    assert words(draw()).count("equal,\nbit for bit") == 2  # src, and what step (2) of block 0 reads of it
    assert words(draw(OTHER)).count("equal,\nbit for bit") == 0
    assert words(draw(ONE)).count("equal,\nbit for bit") == 5
    assert words(draw(ONE)).count("equal") == 4 * 7 + 4


def test_one_bit_is_a_difference() -> None:
    key = ONE[SHARED[1]].clone()
    key[0, 0, 0, 0] += 1e-12
    assert words(draw({**ALIKE, SHARED[1]: key})).count("equal,\nbit for bit") == 1


def test_a_token_s_distance_stands_in_its_row() -> None:
    tokens = ONE["tokens"].clone()
    tokens[0, 5] = -tokens[0, 5]
    first = draw({**ALIKE, "tokens": tokens})
    [column] = [
        axes for axes in first.figure.axes if [t.get_text() for t in axes.texts] == ["equal"] * 5 + ["2.0", "equal"]
    ]
    np.testing.assert_allclose(np.ravel(column.images[0].get_array()), [0, 0, 0, 0, 0, 2, 0], atol=1e-6)
    assert "(0) put together: 1 of 7" in first.alt


def panel_of(figure: Figure, text: str) -> Axes:
    [found] = [axes for axes in figure.figure.axes if text in [one.get_text() for one in axes.texts]]
    return found


def test_the_chosen_mask_is_followed() -> None:
    for mask in (0, 3):
        figure = figures.two_decodes(ONE, ALIKE, SQUARE, points=(CLICK, OTHER_CLICK), mask=mask)
        assert f"mask {mask} reads" in words(figure)
        panel_of(figure, f"{float(ONE['iou_pred'][0, mask]):.2f}")
        lengths = [
            sorted(bar.get_width() for bar in axes.patches) for axes in figure.figure.axes if len(axes.patches) == 4
        ]
        assert any(np.allclose(found, sorted(ONE["hyper_in"][0, mask].tolist())) for found in lengths)


def test_attention_is_that_of_the_click_and_of_the_mask_s_token() -> None:
    reads = [f"transformer.layers.{i}.cross_attn_token_to_image.weights" for i in (0, 1)]
    names, tokens = [*reads, "transformer.final_attn_token_to_image.weights"], (5, 5, 3)  # click, click, mask 2
    cells = (8 * 1 + 2, 8 * 3 + 4, 8 * 6 + 5)
    sharp = dict(ONE)
    for name, token, cell in zip(names, tokens, cells, strict=True):
        weights = torch.full((1, 2, 7, 64), 1 / 64)
        weights[0, :, token] = torch.eye(64)[cell]
        sharp[name] = weights
    black = np.zeros((32, 32, 3), np.uint8)
    figure = figures.two_decodes(sharp, ALIKE, black, points=(CLICK, OTHER_CLICK), mask=2)
    panels = figure.figure.axes[5:8]  # after the paper and the four maps of the first decode
    for panel, cell in zip(panels, cells, strict=True):
        shown = np.asarray(panel.images[0].get_array()).sum(-1).reshape(8, 4, 8, 4).mean((1, 3))
        assert int(shown.argmax()) == cell


def test_image_tokens_lie_as_on_the_image() -> None:
    keys = torch.zeros(1, 64, 16)
    keys[0, 8 * 2 + 5] = 1.0  # row 2, column 5
    changed = {**ALIKE, "transformer.layers.0.keys_4": ONE["transformer.layers.0.keys_4"] + keys}
    arrays = [np.asarray(image.get_array()) for axes in draw(changed).figure.axes for image in axes.images]
    fields = [one for one in arrays if one.shape == (8, 8) and (one > 0).sum() == 1]
    assert [np.argwhere(one > 0).tolist() for one in fields] == [[[2, 5]]]


def test_real_decodes_differ_in_the_image_from_step_4_on() -> None:
    example, model = sam_edu.example(), sam_edu.load("tiny")
    predictor = sam_edu.Predictor(model)
    predictor.set_image(example.image)
    traces = []
    for click in (example.click, example.negative_click):
        with sam_edu.trace(model) as t:
            predictor.predict(click, [1])
        traces.append(t)
    figure = figures.two_decodes(*traces, example.image, points=(example.click, example.negative_click))
    assert words(figure).count("equal,\nbit for bit") == 2
    assert "Keys and values of step (2) in block 0 are equal" in figure.alt


WRONG: list[tuple[dict[str, torch.Tensor], str]] = [
    ({name: ONE[name] for name in ONE if name != "hs"}, "other: expected a trace of a decode, got one without hs"),
    ({**OTHER, "src": ONE["src"].repeat(2, 1, 1, 1)}, r"other\['src'\]: expected shape \(1,"),
    ({**OTHER, "hyper_in": torch.zeros(1, 4, 5)}, r"other: expected hyper_in of shape \(4, 4\)"),
]


@pytest.mark.no_shape_check
@pytest.mark.parametrize(("other", "message"), WRONG, ids=["missing", "two prompt sets", "another shape"])
def test_wrong_decodes_are_refused(other: dict[str, torch.Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        draw(other)


@pytest.mark.no_shape_check
def test_more_than_one_click_is_refused() -> None:
    with pytest.raises(ValueError, match="points: expected one click each, got 2 and 1"):
        figures.two_decodes(ONE, OTHER, SQUARE, points=(CLICK * 2, CLICK))
