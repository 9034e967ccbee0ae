"""The glossary: up to date, complete, and with names that Meta's code really has."""

import re
import sys

import pytest
import torch

import sam_edu
from sam_edu import official
from sam_edu.tracing import Row, ShapeTable, trace_points
from tools import make_glossary
from tools.make_glossary import PATH, TERMS, glossary, tensor_lines


@pytest.fixture(scope="module")
def page() -> str:
    return glossary()


@pytest.fixture(scope="module")
def real() -> sam_edu.Trace:
    """The trace of a real decode, of the trained model and for the click of the running example."""
    example, predictor = sam_edu.example(), sam_edu.Predictor(sam_edu.load("tiny"))
    predictor.set_image(example.image)
    with sam_edu.trace(predictor) as t:
        predictor.predict(example.click, [1])
    return t


def test_committed_page_is_up_to_date(page: str) -> None:
    assert PATH.read_text(encoding="utf-8") == page, "run python -m tools.make_glossary"


def test_it_lists_every_tensor_of_a_real_decode_with_its_axes_and_shape(page: str, real: sam_edu.Trace) -> None:
    lines = [line.split(" | ") for line in page.splitlines() if line.startswith("| ")]
    for row in real.shape_table():
        name = "`" + re.sub(r"layers\.\d", "layers.{i}", row.name) + "`"
        [found] = [cells for cells in lines if name in cells[2].split(", ")]
        assert found[3:6] == [row.step, " ".join(row.axes), " x ".join(map(str, row.shape))]
        assert found[6] == f"{row.notebook} |"


def test_it_lists_no_tensor_that_a_decode_does_not_have(page: str, real: sam_edu.Trace) -> None:
    tensors = page.partition("## Tensors")[2]
    names = {
        name for line in tensors.splitlines() if line.startswith("| ") for name in line.split(" | ")[2].split(", ")
    }
    known = {"`" + re.sub(r"layers\.\d", "layers.{i}", name) + "`" for name in real}
    assert names - {"ours"} == known


def test_every_row_of_the_tables_is_in_it(page: str) -> None:
    for row in trace_points.TRACE_POINTS:
        [line] = [line for line in page.splitlines() if f"`{row.name}`" in line]
        cells = line.removeprefix("| ").split(" | ")
        assert [cells[0].strip(), cells[1].strip("`")] == [row.paper, row.official]
    assert all(f"| {term.ours} |" in page for term in TERMS)
    assert len({term.ours for term in TERMS}) == len(TERMS)


def test_rows_have_as_many_cells_as_their_heading(page: str) -> None:
    words, tensors = page.split("## Tensors")
    for part, cells in ((words, 5), (tensors, 7)):
        rows = [line for line in part.splitlines() if line.startswith("|")]
        assert len(rows) > 10
        assert {len(re.findall(r"(?<!\\)\|", line)) - 1 for line in rows} == {cells}


def test_metas_names_are_in_metas_code() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in official.package_folder().rglob("*.py"))
    names = " ".join([row.official for row in trace_points.TRACE_POINTS] + [term.official for term in TERMS])
    identifiers = set(re.findall(r"\b[a-z]\w*_\w+\b|\b[A-Z]\w+[A-Z]\w+\b", names))
    assert len(identifiers) > 25
    assert sorted(name for name in identifiers if not re.search(rf"\b{name}\b", source)) == []


def test_a_tensor_that_is_not_in_the_table_of_trace_points_is_refused() -> None:
    row = Row("transformer.layers.0.brand_new", "(1)", ("batch", "tokens", "dim"), (1, 7, 256), "04")
    with pytest.raises(KeyError, match=r"layers\.\{i\}\.brand_new: not in the table of trace points"):
        list(tensor_lines(ShapeTable([row])))


def test_check_fails_on_a_page_out_of_date(monkeypatch: pytest.MonkeyPatch, tmp_path, capsys) -> None:
    monkeypatch.setattr(make_glossary, "PATH", tmp_path / "GLOSSARY.md")
    monkeypatch.setattr(sys, "argv", ["make_glossary", "--check"])
    with pytest.raises(SystemExit, match="out of date"):
        make_glossary.main()
    assert not make_glossary.PATH.exists()
    monkeypatch.setattr(sys, "argv", ["make_glossary"])
    make_glossary.main()
    assert "written" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["make_glossary", "--check"])
    make_glossary.main()


def test_no_random_number_is_drawn() -> None:
    torch.manual_seed(0)
    expected = torch.randn(3)
    torch.manual_seed(0)
    glossary()
    assert torch.equal(torch.randn(3), expected)
