"""Each rule for executed notebooks: what keeps it and what breaks it."""

import pytest

from tools.notebook_format import normalise
from tools.notebook_rules import code_lines, problems


def test_good_notebook_has_no_problems(with_output, printed, shown):
    notebook = with_output(
        printed("fine\n"),
        shown("image/png", "iVBORw0KGgo="),
        shown("image/svg+xml", '<svg role="img" aria-label="a map"></svg>'),
        shown("text/html", '<img alt="a map" src="data:image/png;base64,x">'),
    )
    assert problems(notebook) == []


@pytest.mark.parametrize(
    ("mime", "data", "message"),
    [
        ("image/png", "iVBORw0KGgo=", "a figure has no alt text"),
        ("image/jpeg", "iVBORw0KGgo=", "a figure has no alt text"),
        ("image/svg+xml", "<svg></svg>", "a drawing has no alt text"),
        ("image/svg+xml", "<svg aria-label=' '><title> </title></svg>", "a drawing has no alt text"),
        ("text/html", "<img src='x'>", "an image has no alt text"),
        ("text/html", "<img src='x' alt=' '>", "an image has no alt text"),
    ],
)
def test_images_need_alt_text(mime, data, message, with_output, shown):
    found = problems(with_output(shown(mime, data, alt=None)))
    assert len(found) == 1
    assert message in found[0]
    assert "code cell 1 (run())" in found[0]


def test_drawings_hold_no_pixels(with_output, shown):
    svg = "<svg><title>a map</title><image href='data:image/png;base64,x'/></svg>"
    assert "holds an image of pixels" in problems(with_output(shown("image/svg+xml", svg)))[0]


@pytest.mark.parametrize("alt", ["", "   "])
def test_empty_alt_text_is_none(alt, with_output, shown):
    assert "no alt text" in problems(with_output(shown("image/png", "iVBORw0KGgo=", alt=alt)))[0]


@pytest.mark.parametrize("prose", ["![](../images/a.png)", '<img src="../images/a.png">'])
def test_images_in_prose_need_alt_text(prose, make_notebook):
    found = problems(normalise(make_notebook(("markdown", f"# Title\n\n{prose}"))))
    assert len(found) == 1
    assert "markdown cell 1 (# Title): an image has no alt text" in found[0]


def test_stderr_and_warnings_are_problems(with_output, printed):
    found = problems(with_output(printed("loading\n", name="stderr")))
    assert found == ["code cell 1 (run()): text on stderr: loading"]
    found = problems(with_output(printed("a.py:1: UserWarning: careful\n", name="stderr")))
    assert "a warning on stderr" in found[0]


def test_error_is_a_problem(with_output):
    error = {"output_type": "error", "ename": "ValueError", "evalue": "too wide", "traceback": []}
    assert "it raises ValueError: too wide" in problems(with_output(error))[0]


def test_time_stamp_is_a_problem_unless_tagged(with_output, printed, shown):
    stamp = printed("made 2025-03-01 12:00:01\n")
    assert "time stamp" in problems(with_output(stamp))[0]
    assert "time stamp" in problems(with_output(shown("text/html", "<b>2025-03-01T12:00</b>")))[0]
    assert problems(with_output(shown("application/json", "2025-03-01 12:00"))) == []
    assert problems(with_output(stamp, tags=("machine-dependent",))) == []
    assert problems(with_output(printed("released 2025-03-01\n"))) == []


def test_code_cells_are_short(make_notebook):
    assert problems(normalise(make_notebook("a = 1\n" * 30 + "# a comment\n\n"))) == []
    assert "31 lines of code" in problems(normalise(make_notebook("a = 1\n" * 31)))[0]
    assert code_lines("# a\n\na = 1  # b\n   \n") == 1


def test_notebook_is_small(with_output, printed):
    assert "It takes 3." in problems(with_output(printed("x" * 3_000_001)))[0]


def test_kernelspec_is_kept(make_notebook):
    assert "kernelspec" in problems(make_notebook("a = 1"))[0]
