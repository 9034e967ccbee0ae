"""The site's pages: figures as files, folds, addresses, links, cards."""

import base64
import json
import re
from urllib.parse import unquote

import nbformat
import numpy as np
import pytest
from PIL import Image

from sam_edu.explorer.parts import BY_NAME
from sam_edu.explorer.situations import SITUATIONS
from tools import site_pages
from tools.draw_thumbnails import PROJECT, SIZE, figure_of, fitted, stale, thumbnails
from tools.site_pages import (
    KEY_FIGURES,
    answers,
    cards,
    drawn,
    is_folded,
    needs,
    page,
    rows_of_readme,
)

NAME = "07_title"


@pytest.fixture
def notebook(make_notebook, shown, png):
    result = make_notebook(
        ("markdown", "# 07 · The *title*\n\nFirst sentence, long enough to be one. A second one. See [it](x.md)."),
        ("markdown", "Run this first."),
        "import a",
        "figures.one(x)",
        "x = 1\ny = 2\nz = 3\nfigures.one(x)",
        ("markdown", "## More\n\nSee [the page](../README.md) and [08](08_next.ipynb)."),
    )
    for cell, name in zip(result.cells, ("title", "setup-prose", "setup", "first", "second", "more"), strict=True):
        cell.id = name
    pixels = png(np.zeros((4, 8, 3)))
    result.cells[3].outputs = [nbformat.from_dict(shown("image/png", pixels, 'a "black" one'))]
    both = shown("image/png", pixels, "a drawing")
    both["data"]["image/svg+xml"] = "<svg/>"
    both["metadata"]["image/png"]["width"] = 100
    result.cells[4].outputs = [nbformat.from_dict(both)]
    return result


def test_figures_become_files_with_their_size_and_alt_text(notebook):
    result, files = page(notebook, NAME, None)
    assert [(one.file, one.width, one.height) for one in files] == [("first.png", 8, 4), ("second.svg", 100, 50)]
    assert files[0].data == base64.b64decode(notebook.cells[3].outputs[0].data["image/png"])
    assert files[1].data == b"<svg/>"
    shown = [cell.outputs[0].data["text/html"] for cell in result.cells if cell.get("outputs")]
    assert 'src="../_static/figures/07/first.png" alt="a &quot;black&quot; one" width="8" height="4"' in shown[0]
    assert 'href="../_static/figures/07/second.svg"' in shown[1]
    assert notebook.cells[3].outputs[0].data["image/png"]  # what was given stays


def test_set_up_and_drawing_calls_are_folded(notebook):
    result, _ = page(notebook, NAME, None)
    folded = [cell.id for cell in result.cells if site_pages.FOLDED in cell.metadata.get("tags", ())]
    assert folded == ["setup", "first"]
    assert not is_folded(notebook.cells[4])
    assert "<details><summary>To run it yourself, also in Colab</summary>" in result.cells[1].source


def test_every_cell_has_its_address_and_links_lead_to_pages(notebook):
    result, _ = page(notebook, NAME, None)
    sources = "\n".join(cell.source for cell in result.cells if cell.cell_type == "markdown")
    for cell in notebook.cells:
        assert sources.count(f'<a class="cell" id="{cell.id}"></a>') == 1
    assert "](../index.md)" in sources
    nbformat.validate(result)


def test_buttons_lead_to_colab_and_the_source_where_the_repository_is_known(notebook):
    for repository, links in ((None, 2), ("someone/sam-edu", 4)):
        first = page(notebook, NAME, repository)[0].cells[0].source
        assert first.count("<a href=") == links
        assert f'href="../_static/notebooks/{NAME}.ipynb" download' in first
    assert "colab.research.google.com/github/someone/sam-edu/blob/main/notebooks/07_title.ipynb" in first
    assert "https://github.com/someone/sam-edu/blob/main/notebooks/07_title.ipynb" in first


def test_each_notebook_opens_a_situation_of_the_click_lab_that_its_address_can_hold(notebook):
    names = {path.name[:2] for path in (PROJECT / "notebooks").glob("[0-9][0-9]_*.ipynb")}
    assert set(SITUATIONS) == names
    fields = re.findall(
        r"^\| `(\w+)` \|", (PROJECT / "docs" / "click_lab.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    for state in SITUATIONS.values():
        assert set(state) <= set(fields)
        assert set(state.get("off", [])) <= set(BY_NAME)
    first = page(notebook, NAME, None)[0].cells[0].source
    address = re.search(r'href="\.\./explorer/index\.html#([^"]+)"', first)
    assert json.loads(unquote(address[1])) == SITUATIONS[NAME[:2]]


def test_what_a_notebook_needs_is_in_its_own_words(notebook, make_notebook):
    asking = make_notebook(("markdown", "# A\n\n**You need** notebook 00, and `nn.Linear`.<br>\n**Time**: 5 minutes."))
    assert needs(asking) == "notebook 00, and nn.Linear."
    with pytest.raises(ValueError, match="says below its title what it needs"):
        needs(notebook)
    with pytest.raises(ValueError, match="00_a: a notebook begins with a heading"):
        page(make_notebook(("markdown", "no heading")), "00_a", None)


def test_answers_lead_to_cells():
    assert (
        answers("[05](05_two_way.ipynb) read-src: `word`")
        == '<a href="05_two_way.html#read-src">05 read-src</a>: `word`'
    )


def test_every_notebook_has_a_card():
    rows = rows_of_readme((PROJECT / "README.md").read_text(encoding="utf-8"))
    assert [row.name for row in rows] == sorted(path.stem for path in (PROJECT / "notebooks").glob("*.ipynb"))
    assert all(row.minutes > 5 and row.seconds > 5 and len(row.learn) > 30 for row in rows)
    shown = cards(rows, {row.name: f"what {row.name} asks." for row in rows})
    assert shown.count("grid-item-card") == len(rows)
    assert (
        f"{rows[3].minutes} minutes to read, {rows[3].seconds} seconds to run. You need what {rows[3].name} asks."
        in shown
    )


def test_thumbnails_belong_to_the_committed_figures(tmp_path):
    now = thumbnails()
    assert list(now) == sorted(KEY_FIGURES)
    assert stale(now) == []
    assert stale(now, tmp_path)[0] == "00.png is missing"
    other = {"01": Image.new("RGB", SIZE, "black")}
    assert stale(other) == ["01.png is not what the notebook shows"]


def test_a_wide_figure_shows_its_left_part_and_a_missing_one_is_named(tmp_path, make_notebook):
    strip = np.zeros((10, 100, 3), np.uint8)
    strip[:, :50] = 255, 0, 0
    card = np.asarray(fitted(Image.fromarray(strip), (40, 40)))
    assert card[20, 5].tolist() == [255, 0, 0]
    assert card[0, 0].tolist() == [255, 255, 255]
    path = tmp_path / "03_none.ipynb"
    nbformat.write(make_notebook("1"), path)
    with pytest.raises(ValueError, match=r"03_none.ipynb: no figure in the cell r5-picture"):
        figure_of(path)


def test_every_figure_of_the_series_has_an_alt_text():
    for path in sorted((PROJECT / "notebooks").glob("*.ipynb")):
        for cell in nbformat.read(path, 4).cells:
            assert all(len(figure.alt) > 20 for _, figure in drawn(cell))
