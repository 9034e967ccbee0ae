"""Reports of the benchmark: read as they are written, and each that comes with the package."""

from pathlib import Path

import pytest

from sam_edu import benchmarks

FOLDER = Path(__file__).parent.parent / "docs" / "benchmarks"
TEXT = """# A report

- CPU: one
- GPU: another

## Against others (bar: 2)

Words between.

| batch | decoder | ms |
| --- | --- | --- |
| 1 | old | 3.0 |
| 1 | new |  |
| 16 | old | 4.5 |

## Others

| a |
| --- |
| - x |
"""


def test_a_report_is_read() -> None:
    report = benchmarks.read(TEXT)
    assert report.machine == ("CPU: one", "GPU: another")
    assert report.rows("Against others", batch=1) == [
        {"batch": "1", "decoder": "old", "ms": "3.0"},
        {"batch": "1", "decoder": "new", "ms": ""},
    ]
    assert report.rows("Against others", batch=16, decoder="old")[0]["ms"] == "4.5"
    assert report.rows("Others") == [{"a": "- x"}]


def test_every_report_comes_with_the_package() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.md") if path.stem != "README") == sorted(benchmarks.REPORTS)
    for name in benchmarks.REPORTS:
        report = benchmarks.report(name)
        assert report.machine[0].startswith("CPU: ")
        assert len(report.rows("Against Meta's decoder", batch=1)) >= 4
        assert [row["call"] for row in report.rows("The first clicks on a new image, one prompt set a call")] == [
            *"12345"
        ]
    assert "GPU: NVIDIA H200" in benchmarks.report("nvidia_h200").machine


@pytest.mark.no_shape_check
@pytest.mark.parametrize(
    ("heading", "cells", "message"),
    [
        ("Nothing", {}, "heading: "),
        ("Others", {"b": 1}, "cells: "),
        ("Against others", {"batch": 2}, "no row of “Against others”"),
    ],
)
def test_what_is_not_there_is_refused(heading: str, cells: dict[str, str | int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        benchmarks.read(TEXT).rows(heading, **cells)


@pytest.mark.no_shape_check
def test_another_report_is_refused() -> None:
    with pytest.raises(ValueError, match="name: "):
        benchmarks.report("abacus")
