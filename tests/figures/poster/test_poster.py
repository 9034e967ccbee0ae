"""The poster: every tensor of a real decode on it, by name and shape; nothing overlaps, nothing is cut."""

import io
import re
from collections.abc import Iterator, Mapping
from itertools import combinations, pairwise

import numpy as np
import pytest
import torch
from matplotlib.text import Text
from PIL import Image

import sam_edu
from sam_edu import figures
from sam_edu.figures.kit.colours import NEGATIVE, POSITIVE
from sam_edu.figures.kit.marks import as_clicks
from sam_edu.figures.poster import Poster
from sam_edu.figures.poster.decode import Decode, quiet_colours, signed_colours
from sam_edu.figures.poster.geometry import BLOCKS, HIGH, IMAGE_AT, MEETING, PHOTOGRAPH, STEP_4, TOKENS_AT, WIDE
from sam_edu.figures.poster.path import THICK
from sam_edu.figures.poster.rows import StepRows
from sam_edu.figures.poster.sheet import points
from sam_edu.tracing import trace_points

EXAMPLE = sam_edu.example()


class Watched(Mapping[str, torch.Tensor]):
    """A trace that knows which of its tensors were looked at."""

    def __init__(self, tensors: Mapping[str, torch.Tensor]) -> None:
        self.tensors = dict(tensors)
        self.seen: set[str] = set()

    def __getitem__(self, name: str) -> torch.Tensor:
        self.seen.add(name)
        return self.tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)


@pytest.fixture(scope="module")
def decode() -> sam_edu.Trace:
    predictor = sam_edu.Predictor(sam_edu.load("tiny"))
    predictor.set_image(EXAMPLE.image)
    with sam_edu.trace(predictor) as t:
        predictor.predict(EXAMPLE.click, [1])
    return t


@pytest.fixture(scope="module")
def watched(decode: sam_edu.Trace) -> Watched:
    return Watched(decode)


@pytest.fixture(scope="module")
def drawn(watched: Watched) -> Poster:
    return figures.poster(watched, EXAMPLE.image, points=EXAMPLE.click, note="A note.")


def texts(poster: Poster) -> list[Text]:
    return [text for text in poster.figure.axes[0].texts if text.get_text()]


def test_every_tensor_of_a_decode_is_drawn(drawn: Poster, watched: Watched) -> None:
    drawn_under_another_name = {"keys"}
    assert watched.seen == set(watched) - drawn_under_another_name
    assert torch.equal(watched.tensors["keys"], watched.tensors["transformer.layers.1.keys_4"])


def test_every_tensor_stands_on_it_with_its_name_and_shape(drawn: Poster, decode: sam_edu.Trace) -> None:
    text_of_all = " ".join(text.get_text() for text in texts(drawn))
    words = re.split(r"[^\w-]+", text_of_all)
    shapes = re.sub(r" (?=×)|(?<=×) ", "", text_of_all)
    for row in decode.shape_table():
        assert row.name.rpartition(".")[2] in words, row.name
        assert re.search(rf"(?<![\d×]){'×'.join(map(str, row.shape[1:]))}(?![\d×])", shapes), row
        assert all(part in words for part in row.name.split(".")), row.name


def test_states_of_the_image_have_the_colours_that_they_have_in_the_notebooks(decode: sam_edu.Trace) -> None:
    embedding = (decode["src"] - decode["prompt_encoder.dense_embeddings"])[0].double()
    after = decode["transformer.layers.1.keys_4"][0].T.unflatten(1, (64, 64)).double()
    basis = figures.embedding_basis(embedding)
    stream = Decode(decode, EXAMPLE.image, as_clicks(EXAMPLE.click, None)).stream
    for name, maps in (("image embedding", embedding), ("src", embedding), ("transformer.layers.1.keys_4", after)):
        np.testing.assert_allclose(stream[name], basis.colours(maps.numpy()), atol=1e-6)


def test_every_step_has_its_number(drawn: Poster) -> None:
    badges = [text.get_text() for text in texts(drawn) if text.get_color() == "white" and text.get_fontsize() > 12]
    assert sorted(badges) == sorted([*figures.STEPS, "1", "2", "3", "4"])  # these four in both blocks


def test_nothing_overlaps_and_nothing_is_cut(drawn: Poster) -> None:
    boxes = [(text.get_text(), text.get_window_extent().extents) for text in texts(drawn)]
    for text, (left, low, right, high) in boxes:
        assert min(left, low, WIDE - right, HIGH - high) >= 20, text
    for (one, (l0, b0, r0, t0)), (other, (l1, b1, r1, t1)) in combinations(boxes, 2):
        across, up = min(r0, r1) - max(l0, l1), min(t0, t1) - max(b0, b1)
        assert across <= 0 or up <= 3, (one, other)  # a line's own room is a little higher than its letters


def test_words_stand_beside_the_images(drawn: Poster) -> None:
    on_maps = {str(head) for head in range(8)} | {"the same\nvector"}
    images = [image.get_window_extent().extents for image in drawn.figure.axes[0].images]
    assert len(images) > 150
    for text in texts(drawn):
        left, low, right, high = text.get_window_extent().extents
        for x0, y0, x1, y1 in images:
            across, up = min(right, x1) - max(left, x0), min(high, y1) - max(low, y0)
            assert across <= 0 or up <= 3 or text.get_text() in on_maps, text.get_text()


def test_images_stand_side_by_side(drawn: Poster) -> None:
    boxes = [image.get_window_extent().extents for image in drawn.figure.axes[0].images]
    for (l0, b0, r0, t0), (l1, b1, r1, t1) in combinations(boxes, 2):
        assert min(r0, r1) - max(l0, l1) <= 0.5 or min(t0, t1) - max(b0, b1) <= 0.5


def test_it_is_as_large_as_a2(drawn: Poster) -> None:
    image = Image.open(io.BytesIO(drawn.png))
    assert image.size == (WIDE, HIGH)
    assert image.mode == "RGB"
    assert set(image.info) == {"dpi"}
    width, height = (side / dots * 25.4 for side, dots in zip(image.size, image.info["dpi"], strict=True))
    assert (round(width), round(height)) == (594, 420)


def test_smallest_letters_can_be_read_on_paper(drawn: Poster) -> None:
    assert min(text.get_fontsize() for text in texts(drawn)) >= 9  # points


def test_svg_holds_the_words_and_the_same_bytes_each_time(drawn: Poster, tmp_path) -> None:
    first = drawn.save(tmp_path / "one.svg").read_text(encoding="utf-8")
    assert first == drawn.save(tmp_path / "two.svg").read_text(encoding="utf-8")
    assert f"<desc>{drawn.alt}</desc>" in first
    assert "<!-- hyper_in -->" in first
    assert first.count("<image ") == len(drawn.figure.axes[0].images)
    assert "pixelated" not in first
    assert "<dc:date>" not in first
    assert len(first) < 2_300_000


def test_words_tell_what_is_to_be_seen(drawn: Poster, decode: sam_edu.Trace) -> None:
    iou = decode["iou_pred"][0]
    best = 1 + int(iou[1:].argmax())
    assert f"mask {best} {iou[best]:.2f}" in drawn.alt
    assert f"of masks 1 to 3 it is highest for mask {best}" in drawn.alt
    for mask in (1, 2, 3):
        assert f"mask {mask} covers {100 * (decode['masks'][0, mask] > 0).float().mean():.0f} %" in drawn.alt
    assert f"all {len(decode)} tensors" in drawn.alt


def test_the_mask_with_the_highest_prediction_is_followed(decode: sam_edu.Trace) -> None:
    changed = {name: decode[name] for name in decode} | {"iou_pred": torch.tensor([[2.0, 0.1, 0.9, 0.3]])}
    lines = [text.get_text() for text in texts(figures.poster(changed, EXAMPLE.image, points=EXAMPLE.click))]
    assert lines.count("where mask 2 attends") == 3  # twice (2), and (6-1)
    assert lines.count("attention to mask 2") == 2
    assert "highest of 1 to 3: mask 2" in lines


def test_each_predicted_iou_stands_once(drawn: Poster, decode: sam_edu.Trace) -> None:
    words = " ".join(text.get_text() for text in texts(drawn)).split()
    for value in decode["iou_pred"][0]:
        assert words.count(f"{value:.2f}") == 1


def test_masks_stand_in_order_and_three_of_them_are_large(drawn: Poster) -> None:
    named = {text.get_text()[:6]: text for text in texts(drawn) if re.match(r"mask \d(: |$)", text.get_text())}
    tops = [named[f"mask {i}"].get_position()[1] for i in range(4)]
    assert tops == sorted(tops)
    wide = [image.get_extent()[1] - image.get_extent()[0] for image in drawn.figure.axes[0].images]
    assert sum(width == 234 for width in wide) == 3
    assert sorted(wide)[-4:-1] == [234] * 3  # larger is the input alone


@pytest.mark.parametrize(("label", "colour"), [(1, POSITIVE), (0, NEGATIVE)])
def test_one_line_leads_from_the_click_to_the_masks(label: int, colour: str) -> None:
    predictor = sam_edu.Predictor(sam_edu.load("tiny"))
    predictor.set_image(EXAMPLE.image)
    with sam_edu.trace(predictor) as t:
        predictor.predict(EXAMPLE.click, [label])
    poster = figures.poster(t, EXAMPLE.image, points=EXAMPLE.click, labels=[label])
    drawn = [line for line in poster.figure.axes[0].lines if line.get_linewidth() == points(THICK)]
    assert {line.get_color() for line in drawn} == {colour}
    _, *ways = [[(float(x), float(y)) for x, y in line.get_xydata()] for line in drawn]  # the first is the heading's
    (x, y), (left, top, size) = EXAMPLE.click[0], PHOTOGRAPH
    click = (left + size * (x + 0.5) / 256, top + size * (y + 0.5) / 256)
    followed = [way for way in ways if way[0] == pytest.approx(click, abs=40)]
    assert len(followed) == 1
    for _ in ways:
        followed += [way for way in ways if way not in followed and any(touching(way, other) for other in followed)]
    assert len(followed) == len(ways)
    assert sum(way[-1] == MEETING for way in ways) == 2  # from the tokens and from the image
    for block in BLOCKS:
        assert any(way[0][1] == TOKENS_AT and way[-1] == (block + STEP_4 + 82, IMAGE_AT) for way in ways)


Way = list[tuple[float, float]]


def touching(one: Way, other: Way) -> bool:
    """Whether one of two lines of upright and level pieces has a corner or an end on the other."""
    return any(on(point, other) for point in one) or any(on(point, one) for point in other)


def on(point: tuple[float, float], way: Way) -> bool:
    return any(
        min(x0, x1) <= point[0] <= max(x0, x1) and min(y0, y1) <= point[1] <= max(y0, y1)
        for (x0, y0), (x1, y1) in pairwise(way)
    )


def test_panels_of_tokens_are_quieter_than_maps_and_masks() -> None:
    values = np.linspace(-1, 1, 9)
    loud, quiet = (1 - colours(values, 1.0).min(-1) for colours in (signed_colours, quiet_colours))
    assert (quiet[[0, -1]] < 0.6 * loud[[0, -1]]).all()
    assert quiet[4] < 0.05
    assert (np.diff(quiet[4:7]) > 0).all()


@pytest.mark.no_shape_check
def test_wrong_input_is_refused(decode: sam_edu.Trace) -> None:
    tensors = {name: decode[name] for name in decode}
    with pytest.raises(ValueError, match="tokens: expected 8, those of 2 clicks, got 7"):
        figures.poster(tensors, EXAMPLE.image, points=[[1, 2], [3, 4]])
    with pytest.raises(ValueError, match="tokens: expected one prompt set, got 2"):
        figures.poster({**tensors, "tokens": tensors["tokens"].expand(2, -1, -1)}, EXAMPLE.image, points=[[1, 2]])
    with pytest.raises(KeyError, match="hyper_in"):
        figures.poster({n: t for n, t in tensors.items() if n != "hyper_in"}, EXAMPLE.image, points=[[1, 2]])
    with pytest.raises(ValueError, match="image: expected shape"):
        figures.poster(tensors, np.zeros((4, 4)), points=[[1, 2]])


@pytest.mark.parametrize(
    ("name", "shape", "order"),
    [
        ("pos_src", (1, 256, 64, 64), (0, 1, 2)),
        ("prompt_encoder.dense_embeddings", (1, 256, 64, 64), (0, 1, 2)),
        ("src", (1, 256, 64, 64), (0, 1, 2)),
        ("transformer.layers.0.keys_4", (1, 4096, 256), (1, 0)),
        ("transformer.layers.0.cross_attn_token_to_image.k", (1, 8, 4096, 16), (0, 2, 1)),
        ("transformer.layers.1.cross_attn_image_to_token.out", (1, 4096, 256), (1, 0)),
    ],
)
def test_rows_and_columns_of_the_grid_are_not_exchanged(
    name: str, shape: tuple[int, ...], order: tuple[int, ...], decode: sam_edu.Trace
) -> None:
    tensor = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    x, y = map(float, EXAMPLE.click[0])
    maps = Decode({**decode, name: tensor}, EXAMPLE.image, [(x, y, 1)]).over_grid(name)
    np.testing.assert_array_equal(maps, tensor[0].double().numpy().transpose(order).reshape(-1, 64, 64))


# --- The table of trace points ---

RENAMED = {
    "prompt_encoder.dense_embeddings": "mask_encoder.dense_embeddings",
    "prompt_encoder.sparse_embeddings": "click_encoder.sparse_embeddings",
    "transformer.layers.{i}.self_attn.q": "transformer.layers.{i}.among_tokens.q",
    "transformer.layers.{i}.cross_attn_image_to_token.q": "transformer.layers.{i}.image_reads.q",
    "transformer.layers.{i}.mlp.hidden": "transformer.layers.{i}.perceptron.hidden",
    "transformer.final_attn_token_to_image.q": "transformer.last_attention.q",
    "output_upscaling.normed": "growing.normed",
}
"""Rows whose tensors get another module; their own names stay."""


def change_rows(monkeypatch: pytest.MonkeyPatch, field: str, values: dict[str, str]) -> None:
    """Give some rows another value of a field."""
    rows = trace_points.TRACE_POINTS
    changed = tuple(row._replace(**{field: values.get(row.name, getattr(row, field))}) for row in rows)
    monkeypatch.setattr(trace_points, "TRACE_POINTS", changed)


def test_paths_are_those_of_the_table(decode: sam_edu.Trace, monkeypatch: pytest.MonkeyPatch) -> None:
    change_rows(monkeypatch, "name", RENAMED)
    tensors = {}
    for name in decode:
        new = RENAMED.get(trace_points.pattern(name), name)
        tensors[new.replace("{i}", "0" if ".0." in name else "1")] = decode[name]
    words = " ".join(text.get_text() for text in texts(figures.poster(tensors, EXAMPLE.image, points=EXAMPLE.click)))
    for new in RENAMED.values():
        assert new.split(".")[-2] in words, new


def test_every_row_of_the_table_is_asked_for(drawn: Poster) -> None:
    assert "Traced too" not in " ".join(text.get_text() for text in texts(drawn))


@pytest.mark.parametrize("row", trace_points.TRACE_POINTS, ids=lambda row: row.name)
def test_a_tensor_that_the_table_has_not_at_its_step_is_missed(
    row: trace_points.TracedTensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    address, own, asked = row.step.strip("()"), row.name.rpartition(".")[2], set[str]()
    assert StepRows(address, 1, asked)[own] == row.name.replace("{i}", "1")
    assert asked == {row.name.replace("{i}", "1")}
    for field, value in (("name", f"{row.name}_renamed"), ("step", "(8)")):
        with monkeypatch.context() as patch:
            change_rows(patch, field, {row.name: value})
            with pytest.raises(KeyError, match=rf"{own}: expected one row of step {address} in TRACE_POINTS, got \[\]"):
                StepRows(address, 1, asked)[own]


def test_a_tensor_with_other_axes_than_the_table_s_is_refused(
    decode: sam_edu.Trace, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_rows(monkeypatch, "axes", {"src": "batch dim image_tokens"})
    with pytest.raises(ValueError, match=r"src: expected shape \(batch, dim, image_tokens\), got \(1, 256, 64, 64\)"):
        figures.poster(decode, EXAMPLE.image, points=EXAMPLE.click)


def test_one_more_trace_point_is_on_the_poster_by_its_row_alone(
    decode: sam_edu.Trace, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = trace_points.TracedTensor(
        "transformer.layers.{i}.mlp.widened", "(3)", "batch tokens mlp_dim", "01", "", "lin1(x)", None
    )
    monkeypatch.setattr(trace_points, "TRACE_POINTS", (*trace_points.TRACE_POINTS, row))
    added = {f"transformer.layers.{i}.mlp.widened": decode[f"transformer.layers.{i}.mlp.hidden"] for i in range(2)}
    poster = figures.poster({**decode, **added}, EXAMPLE.image, points=EXAMPLE.click, note="A note.")
    words = " ".join(" ".join(text.get_text() for text in texts(poster)).split())
    shape = " × ".join(map(str, decode["transformer.layers.0.mlp.hidden"].shape[1:]))
    assert f"Traced too: transformer.layers.0.mlp.widened (3), {shape}; transformer.layers.1.mlp.widened (3)" in words
    test_nothing_overlaps_and_nothing_is_cut(poster)
