"""The pages need nothing but a browser."""

import base64

import pytest
from bs4 import BeautifulSoup

from tools.notebook_format import normalise
from tools.notebook_html import formula_problems, index_html, remote_references, title, to_html, to_mathml


@pytest.fixture(scope="module")
def page(make_notebook, shown, printed, png, tmp_path_factory):
    """A page with everything that notebooks hold: formulas, images, links, figures, tables."""
    import nbformat
    import numpy as np

    project = tmp_path_factory.mktemp("project")
    (project / "notebooks").mkdir()
    (project / "images").mkdir()
    (project / "images" / "a.png").write_bytes(b"PNG of a cat")
    notebook = make_notebook(
        ("markdown", "# The *title*\n\nInline $x < \\frac{1}{\\sqrt{d}}$.\n\n$$\\mathrm{softmax}(QK^\\top)$$"),
        ("markdown", "![a cat](../images/a.png) <img src='../images/a.png' alt='again'>"),
        ("markdown", "See [the next](01_next.ipynb#top) and [a site](https://example.org/x.ipynb). \\$5 and `$HOME`"),
        "show()",
    )
    notebook.cells[3].outputs = [
        nbformat.from_dict(output)
        for output in (
            shown("image/png", png(np.zeros((4, 4, 3))), "a black square"),
            shown("image/svg+xml", "<svg><path id='one'/></svg>", 'a "drawing"'),
            shown("text/latex", "$\\alpha$"),
            shown("text/html", "<table><tr><td>0.5</td></tr></table>"),
            printed("plain\n"),
        )
    ]
    return to_html(normalise(notebook), "00_title", project / "notebooks")


def test_page_loads_nothing(page):
    assert remote_references(page) == []
    assert "<script" not in page


def test_formulas_are_mathml(page):
    formulas = BeautifulSoup(page, "html.parser").find_all("math")
    assert [formula["display"] for formula in formulas] == ["inline", "block", "inline"]
    assert formulas[0].find("mfrac")
    assert "α" in formulas[2].text or "&#x003B1;" in str(formulas[2])


def test_dollars_that_are_no_formulas_stay(page):
    assert "<code>$HOME</code>" in page


def test_images_are_in_the_page_with_their_alt_text(page):
    images = BeautifulSoup(page, "html.parser").find_all("img")
    assert [image["alt"] for image in images] == ["a cat", "again", "a black square", 'a "drawing"']
    assert all(image["src"].startswith("data:image/png;base64,") for image in images[:3])


def test_drawings_are_images_so_that_they_share_no_names(page):
    drawing = BeautifulSoup(page, "html.parser").find_all("img")[3]
    kind, _, data = drawing["src"].partition(",")
    assert kind == "data:image/svg+xml;base64"
    assert base64.b64decode(data).decode() == "<svg><path id='one'/></svg>"
    assert "<svg><path id=" not in page


def test_links_lead_to_pages(page):
    links = [link["href"] for link in BeautifulSoup(page, "html.parser").find_all("a")]
    assert "01_next.html#top" in links
    assert "https://example.org/x.ipynb" in links
    assert "index.html" in links


def test_title_is_the_first_heading(page, make_notebook):
    assert "<title>The title</title>" in page
    assert title(make_notebook("# a comment"), "name") == "name"


@pytest.mark.parametrize(
    "formula",
    [
        r"\begin{aligned} a &= b \\ c &= d \end{aligned}",
        r"\begin{equation} a = b \end{equation}",
        r"\operatorname{GELU}(x) \in \mathbb{R}^{N \times C}",
        r"\begin{pmatrix} \cos\theta & -\sin\theta \\ \sin\theta & \cos\theta \end{pmatrix}",
        r"\left\lVert a - b \right\rVert_2 \le 2 \cdot 10^{-6}, \quad \hat{y} = \sum_{i=1}^{n} w_i v_i",
    ],
)
def test_formulas_that_can_be_converted(formula):
    mathml = to_mathml(formula, display=True)
    assert "\\" not in mathml
    assert BeautifulSoup(mathml, "html.parser").math["display"] == "block"


@pytest.mark.parametrize("formula", [r"\foo{x}", "a & b", r"\left( x", "x_a_b"])
def test_formula_that_cannot_be_converted_is_reported_and_shown_as_written(formula, make_notebook, tmp_path):
    notebook = normalise(make_notebook(("markdown", f"Here: ${formula}$")))
    found = formula_problems(notebook)
    assert len(found) == 1
    assert formula in found[0]
    shown = BeautifulSoup(to_html(notebook, "a", tmp_path), "html.parser").find(class_="formula")
    assert shown.text == formula


@pytest.mark.parametrize(
    "markup",
    [
        '<script src="https://example.org/a.js"></script>',
        '<script>import("https://example.org/a.js")</script>',
        '<link rel="stylesheet" href="http://example.org/a.css">',
        '<img src="//example.org/a.png">',
        "<style>@import 'https://example.org/a.css';</style>",
        "<style>a { background: url(https://example.org/a.png) }</style>",
        "<p style=\"background: url('https://example.org/a.png')\">",
        '<iframe src="https://example.org"></iframe>',
    ],
)
def test_remote_references_are_found(markup):
    assert remote_references(f"<html><body>{markup}</body></html>")


def test_links_to_follow_are_no_remote_references():
    assert (
        remote_references('<a href="https://example.org">https://example.org</a><img src="data:image/png;base64,//8">')
        == []
    )


@pytest.mark.parametrize(
    "markup",
    [
        "<style>a { color: red }</style><p>@import 'https://example.org/a.css'</p>",
        "<script>let a = 1</script><p>https://example.org</p>",
        '<p title="url(https://example.org/a.png)" style>',
        '<a style="color: red" href="//example.org">',
    ],
)
def test_what_only_looks_like_a_remote_reference_is_none(markup):
    assert remote_references(f"<html><body>{markup}</body></html>") == []


def test_tags_inside_a_script_do_not_end_it():
    assert remote_references('<script>"</b>"; fetch("https://example.org/a")</script>') == ["https://example.org/a"]


def test_index_lists_the_pages():
    index = index_html([("00_a.html", "First & foremost"), ("01_b.html", "Second")])
    links = BeautifulSoup(index, "html.parser").find_all("a")
    assert [(link["href"], link.text) for link in links] == [("00_a.html", "First & foremost"), ("01_b.html", "Second")]
    assert remote_references(index) == []


def test_dollars_in_code_are_no_formulas(make_notebook):
    assert formula_problems(normalise(make_notebook("print('$\\foo{x}$')"))) == []
