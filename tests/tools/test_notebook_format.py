"""Notebooks are stored without anything that changes from run to run."""

import hashlib

import nbformat
import pytest

from tools import notebook_format


def test_runs_leave_no_trace(make_notebook, printed):
    notebook = make_notebook("a = 1", "", ("markdown", "prose"), "print(object())")
    notebook.metadata["widgets"] = {"state": {}}
    notebook.cells[0].metadata["execution"] = {"iopub.execute_input": "2025-01-01T00:00:00Z"}
    notebook.cells[0].metadata["tags"] = ["kept"]
    notebook.cells[0].execution_count = 17
    notebook.cells[3].outputs = [nbformat.from_dict(printed("<object object at 0x7f0123456789>\n"))]

    result = notebook_format.normalise(notebook)

    assert [cell.get("execution_count") for cell in result.cells] == [1, None, None, 2]
    assert result.cells[0].metadata == {"tags": ["kept"]}
    assert result.cells[3].outputs[0].text == "<object object>\n"
    assert set(result.metadata) == {"kernelspec", "language_info", "sam_edu"}
    assert result.metadata.kernelspec.name == "python3"
    assert notebook.cells[0].execution_count == 17, "the original is left alone"


def test_displayed_text_loses_addresses_and_nothing_else(with_output, shown):
    table = shown("text/html", " <td>object at 0x7f0123456789</td>\n")
    plot = shown("image/png", "iVBORw0KGgo=\n")
    assert [output.data for output in with_output(table, plot).cells[0].outputs] == [
        {"text/html": " <td>object</td>\n"},
        {"image/png": "iVBORw0KGgo="},
    ]


def test_label_counts_among_its_kind_and_is_short(make_notebook):
    notebook = make_notebook("a" * 50, ("markdown", "prose"), f"{'b' * 51}\nmore", "")
    assert [notebook_format.label(notebook, index) for index in range(4)] == [
        f"code cell 1 ({'a' * 50})",
        "markdown cell 1 (prose)",
        f"code cell 2 ({'b' * 47}...)",
        "code cell 3 ((empty))",
    ]


def test_a_stream_cut_in_pieces_is_one_output(with_output, printed):
    notebook = with_output(printed("one "), printed("two"), printed("oh", name="stderr"), printed("three"))
    assert [output.text for output in notebook.cells[0].outputs] == ["one two", "oh", "three"]


def test_hash_is_of_types_and_sources(make_notebook, printed):
    notebook = make_notebook("print(1)", ("markdown", "prose"))
    before = notebook_format.source_hash(notebook)
    notebook.cells[0].outputs = [nbformat.from_dict(printed("1\n"))]
    assert notebook_format.source_hash(notebook) == before
    assert notebook_format.source_hash(make_notebook("print(1)", ("markdown", "prosa"))) != before
    assert notebook_format.source_hash(make_notebook("print(1)", "prose")) != before
    assert notebook_format.source_hash(make_notebook("print(1)prose")) != before
    # Another way to compute it would make every stored notebook out of date.
    known = hashlib.sha256('[["code", "print(1)"], ["markdown", "é"]]'.encode()).hexdigest()
    assert notebook_format.source_hash(make_notebook("print(1)", ("markdown", "é"))) == known


def test_written_notebook_reads_back_the_same(make_notebook, tmp_path):
    path = tmp_path / "a.ipynb"
    notebook = notebook_format.normalise(make_notebook("a = 1\nb = 2", ("markdown", "é")))
    notebook_format.write(notebook, path)
    first = path.read_bytes()
    assert notebook_format.read(path) == notebook
    notebook_format.write(notebook_format.read(path), path)
    assert path.read_bytes() == first
    assert first.endswith(b"}\n")


@pytest.mark.parametrize("text", ["", "{", '{"cells": 3, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'])
def test_broken_file_is_named(text, tmp_path):
    path = tmp_path / "broken.ipynb"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"broken\.ipynb is not a valid notebook"):
        notebook_format.read(path)
