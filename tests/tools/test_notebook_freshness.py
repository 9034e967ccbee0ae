"""What counts as the same result, and what does not: each tolerance from both sides."""

import io

import matplotlib
import numpy as np
import pytest
from PIL import Image

from tools.notebook_freshness import keep_fresh_outputs, outputs_differ, staleness
from tools.output_texts import texts_differ

matplotlib.use("Agg")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("IoU 0.9000", "IoU 0.9008"),
        ("difference 2.4e-07", "difference 7.9e-07"),
        ("tensor([ 0.5000, -0.0000])", "tensor([0.5000, 0.0000])"),
        ("<td>0.12345</td><td>3</td>", "<td>0.12346</td><td>3</td>"),
        ("1.0 and 1", "1 and 1"),
        ("nan, inf", "nan, inf"),
        ("", ""),
    ],
)
def test_texts_within_the_tolerance_are_the_same(old, new):
    assert texts_differ(old, new) is None
    assert texts_differ(new, old) is None


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("IoU 0.9000", "IoU 0.9020"),
        ("0.00010", "0.00012"),
        ("shape (1, 256, 64, 64)", "shape (1, 256, 64, 65)"),
        ("4096 tokens", "4097 tokens"),
        ("0.5", "-0.5"),
        ("0.5", "nan"),
        ("conv1", "conv2"),
        ("layers.0.weight", "layers.1.weight"),
        ("version 1.2.3", "version 1.2.30"),  # no number ends in ".3"
        ("equal: True", "equal: False"),
        ("a\nb", "a b"),
        ("0.5", "0.5 0.6"),
        ("0.5 and more", "0.5"),
        ("<td>0.5</td>", "<th>0.5</th>"),
    ],
)
def test_changed_texts_are_found(old, new):
    assert texts_differ(old, new)
    assert texts_differ(new, old)


def test_difference_says_what_came_out():
    assert texts_differ("IoU 0.90 here", "IoU 0.80 here") == "`0.90` was expected, and `0.80` came out."


@pytest.fixture
def stale(with_output, shown):
    """Whether one PNG in place of another is found to have changed."""

    def compare(old, new):
        return staleness(with_output(shown("image/png", old)), with_output(shown("image/png", new)))

    return compare


@pytest.fixture
def image():
    """A smooth image with noise in it, as of a feature map."""
    rows, columns = np.mgrid[0:200, 0:300]
    return 128 + 80 * np.sin(rows / 20)[..., None] * np.cos(columns / 30)[..., None] * np.array([1, 0.5, -0.5])


def plot(title="score 0.83", values=(1.0, 2.0, 0.5), cmap="viridis"):
    """A small figure of the kind that notebooks hold, as pixels."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3), dpi=80)
    left, right = figure.subplots(1, 2)
    left.plot(values)
    left.set_title(title)
    right.imshow(np.outer(np.arange(16), np.arange(16)), cmap=cmap)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return np.asarray(Image.open(buffer).convert("RGB")).astype(float)


def test_rounding_of_pixels_is_no_change(image, png, stale):
    noisy = image.copy()
    rng = np.random.default_rng(0)
    noisy[rng.random(image.shape[:2]) < 0.1] += 2
    noisy[:5, 0] = 255 - noisy[:5, 0]  # five pixels on an edge tip over
    assert stale(png(image), png(noisy)) == []


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("a patch", lambda p: p[50:56, 50:56].__iadd__(60)),
        ("all colours, slightly", lambda p: p.__iadd__(3)),
        ("a shift", lambda p: p.__setitem__(slice(None), np.roll(p, 3, axis=1))),
    ],
)
def test_changed_figure_is_found(name, change, image, png, stale):
    changed = image.copy()
    change(changed)
    found = stale(png(image), png(changed))
    assert len(found) == 1, name
    assert "the figure has changed" in found[0]


@pytest.mark.parametrize(
    "change", [{"title": "score 0.71"}, {"values": (1.0, 1.9, 0.5)}, {"cmap": "plasma"}, {"title": "score 0.88"}]
)
def test_changed_plot_is_found(change, png, stale):
    assert stale(png(plot()), png(plot())) == []
    assert "the figure has changed" in stale(png(plot()), png(plot(**change)))[0]


def test_each_tolerance_of_pixels_ends_where_it_says(image, png, stale):
    """On the limit an image is the same; one step beyond it is another."""
    image = image.round()

    def off_by(amount, rows, columns, channels=slice(0, 1)):
        changed = image.copy()
        changed[rows, columns, channels] += amount
        return stale(png(image), png(changed)) != []

    assert not off_by(17, slice(0, 30), 0)
    assert not off_by(18, slice(0, 20), 0)
    assert off_by(18, slice(0, 21), 0)
    assert not off_by(2, slice(None), slice(None))  # one channel of four, so that the mean is 0.5
    assert off_by(2, slice(None), slice(None), slice(0, 2))


def test_notes_beside_a_figure_that_are_no_alt_text_are_not_compared(with_output):
    def noted(**metadata):
        output = {"output_type": "display_data", "data": {"text/html": "<b>1</b>"}, "metadata": metadata}
        return with_output(output).cells[0].outputs

    assert outputs_differ(noted(isolated=True), noted(**{"text/html": {"width": 3}})) is None
    alt = noted(**{"text/html": {"alt": "one"}})
    assert outputs_differ(alt, alt) is None
    assert "are now" in outputs_differ(noted(), alt)


def test_other_kinds_of_data_are_compared_as_text(with_output):
    def data(value):
        output = {"output_type": "display_data", "data": {"application/json": value}, "metadata": {}}
        return with_output(output).cells[0].outputs

    assert outputs_differ(data({"a": 1, "b": 2}), data({"b": 2, "a": 1})) is None
    assert "application/json: `2` was expected" in outputs_differ(data({"a": 1, "b": 2}), data({"a": 1, "b": 3}))


def test_long_differences_are_shortened():
    assert texts_differ("a" * 80, "b" * 81) == f"`{'a' * 80}` was expected, and `{'b' * 77}...` came out."


def test_figure_of_another_size_is_found(image, png, stale):
    assert "had 300 x 200 pixels and now has 299 x 200" in stale(png(image), png(image[:, 1:]))[0]


def test_changed_alt_text_is_found(with_output, shown, png, image):
    data = png(image)
    found = staleness(with_output(shown("image/png", data, "a cat")), with_output(shown("image/png", data, "a dog")))
    assert "alt text of image/png: `a cat` was expected" in found[0]


def test_other_outputs_are_found(with_output, printed, shown):
    found = staleness(with_output(printed("1")), with_output(printed("1"), shown("text/html", "<b>1</b>")))
    assert "are now stream (stdout), display_data (text/html)" in found[0]
    assert "are now nothing" in staleness(with_output(printed("1")), with_output())[0]


def test_machine_dependent_cells_are_not_compared(with_output, printed):
    old, new = printed("took 1.0 s"), printed("took 2.0 s")
    assert staleness(with_output(old), with_output(new))
    assert staleness(with_output(old, tags=("machine-dependent",)), with_output(new, tags=("machine-dependent",))) == []


def test_edited_source_is_found(with_output, printed):
    committed = with_output(printed("1"))
    committed.cells[0].source = "run()  # edited"
    assert "Its cells have changed" in staleness(committed, with_output(printed("1")))[0]


def test_notebook_of_another_tool_is_found(with_output, printed, make_notebook):
    assert "never executed by the runner" in staleness(make_notebook("a = 1"), make_notebook("a = 1"))[0]
    committed = with_output(printed("1"))
    committed.cells[0].execution_count = 9
    assert "Something else than the runner" in staleness(committed, with_output(printed("1")))[0]


def test_only_changed_outputs_are_replaced(make_notebook, printed):
    import nbformat

    from tools.notebook_format import normalise

    def executed(*texts):
        notebook = make_notebook("a()", "b()", ("machine-dependent", "c()"))
        for cell, text in zip(notebook.cells, texts, strict=True):
            cell.outputs = [nbformat.from_dict(printed(text))]
        return normalise(notebook)

    kept = keep_fresh_outputs(executed("0.5000", "0.6", "1 s"), executed("0.5001", "0.7", "2 s"))
    assert [cell.outputs[0].text for cell in kept.cells] == ["0.5000", "0.7", "2 s"]


def test_changed_cells_keep_their_new_outputs(make_notebook, printed):
    import nbformat

    from tools.notebook_format import normalise

    def executed(source, text):
        notebook = make_notebook(("markdown", "prose"), source)
        notebook.cells[1].outputs = [nbformat.from_dict(printed(text))]
        return normalise(notebook)

    kept = keep_fresh_outputs(executed("a()", "0.5000"), executed("b()", "0.5001"))
    assert kept.cells[1].outputs[0].text == "0.5001"


def test_an_image_is_compared_at_the_size_in_which_it_is_shown(with_output, shown, png, image):
    """Twice as large a file has four pixels for one on the page: the same change is the same difference."""
    double = image.repeat(2, axis=0).repeat(2, axis=1)

    def stale(pixels, width):
        outputs = [shown("image/png", png(one), "a plot") for one in (double, pixels)]
        for output in outputs:
            output["metadata"]["image/png"]["width"] = width
        return staleness(*map(with_output, outputs))

    changed = double.copy()
    changed[:8, :10] += 60  # 4 x 5 pixels on the page
    assert stale(changed, 300) == []
    assert stale(changed, 600)
    changed[:2, 10:12] += 60
    assert "21 pixels clearly" in stale(changed, 300)[0]


def test_another_width_on_the_page_is_found(with_output, shown, png, image):
    outputs = [shown("image/png", png(image), "a plot") for _ in range(2)]
    for output, width in zip(outputs, (300, 150), strict=True):
        output["metadata"]["image/png"]["width"] = width
    assert "was shown 300 pixels wide and now is 150" in staleness(*map(with_output, outputs))[0]
