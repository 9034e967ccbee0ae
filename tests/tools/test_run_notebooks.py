"""The runner, with real kernels: few of them, since each takes a second or two to start."""

import contextlib
import io
import json
import re
import shutil

import pytest

from tools import notebook_format
from tools.run_notebooks import Runner, main

FIGURE = """
import base64, io
from IPython.display import display
from PIL import Image
buffer = io.BytesIO()
Image.new("RGB", (64, 48), "red").save(buffer, "png")
data = base64.b64encode(buffer.getvalue()).decode()
display({"image/png": data}, raw=True, metadata={"image/png": {"alt": "a red image"}})
"""
GOOD = [
    ("markdown", "# A good one\n\n![a cat](../images/cat.txt)"),
    "import os\nopen('../images/cat.txt').read()",
    "print(f'{1 / 3:.4f}')",
    ("machine-dependent", "import time\ntime.time()"),
    FIGURE,
    "object()",
    "os.environ['OMP_NUM_THREADS'], os.environ['IPYTHONDIR'] != os.path.expanduser('~/.ipython')",
]
FAILING = ["before = 1", "def halve(x):\n    return x / 0\n\nhalve(before)", "print('never reached')"]
CARELESS = ["import warnings\nwarnings.warn('careful', stacklevel=1)", FIGURE.replace("a red image", "")]


@pytest.fixture(scope="module")
def project(tmp_path_factory, make_notebook):
    """A project with three notebooks, of which one can be committed."""
    root = tmp_path_factory.mktemp("project")
    (root / "notebooks").mkdir()
    (root / "images").mkdir()
    (root / "images" / "cat.txt").write_text("a cat, in words")
    for name, cells in {"00_good": GOOD, "01_failing": FAILING, "02_careless": CARELESS}.items():
        notebook_format.write(make_notebook(*cells), root / "notebooks" / f"{name}.ipynb")
    return root


@pytest.fixture(scope="module")
def sources(project):
    """The notebooks as they were before any run."""
    return {path.name: path.read_bytes() for path in (project / "notebooks").iterdir()}


@pytest.fixture(scope="module")
def first_run(project, sources):
    """`make refresh` on all three: the exit status, and what was printed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        status = main(["--write"], project)
    return status, printed.getvalue()


@pytest.fixture(scope="module")
def second_run(project, first_run):
    """Check of the notebook that passed, and of one whose committed outputs were tampered with, cell by cell."""
    good = project / "notebooks" / "00_good.ipynb"
    tampered = notebook_format.read(good)
    tampered.cells[2].outputs[0].text = "0.3400\n"
    tampered.cells[3].outputs[0].data["text/plain"] = "1.0"
    notebook_format.write(tampered, project / "notebooks" / "03_tampered.ipynb")
    runner = Runner(project, check=True)
    return {report.path.stem: report for report in runner.run(runner.select(["00", "03"]))}


def test_one_failure_does_not_stop_the_others(first_run, project):
    status, printed = first_run
    assert status == 1
    rows = dict(re.findall(r"^(\S+\.ipynb) +[\d.]+  (.+)$", printed, re.MULTILINE))
    assert rows == {"00_good.ipynb": "rewritten", "01_failing.ipynb": "FAILED", "02_careless.ipynb": "breaks rules"}
    assert all(f"[{number}/3]" in printed for number in (1, 2, 3))


def test_failing_cell_is_shown(first_run):
    printed = first_run[1]
    assert "It stopped in code cell 2 (def halve(x):)" in printed
    assert "        return x / 0" in printed
    assert "ZeroDivisionError: division by zero" in printed
    assert "\x1b" not in printed


def test_broken_rules_are_listed(first_run):
    printed = first_run[1]
    assert "code cell 1 (import warnings): a warning on stderr" in printed
    assert "a figure has no alt text" in printed


def test_only_good_outputs_are_written(first_run, project, sources):
    for name in ("01_failing.ipynb", "02_careless.ipynb"):
        assert (project / "notebooks" / name).read_bytes() == sources[name]
    good = json.loads((project / "notebooks" / "00_good.ipynb").read_text())
    assert good["metadata"]["kernelspec"]["name"] == "python3"
    assert len(good["metadata"]["sam_edu"]["source_hash"]) == 64
    assert [cell.get("execution_count") for cell in good["cells"]] == [None, 1, 2, 3, 4, 5, 6]
    outputs = [cell["outputs"][0] for cell in good["cells"][1:]]
    assert outputs[0]["data"]["text/plain"] == ["'a cat, in words'"]
    assert outputs[4]["data"]["text/plain"] == ["<object>"]
    assert outputs[5]["data"]["text/plain"][0].endswith("True)")


def test_results_are_under_build(first_run, project):
    copy = notebook_format.read(project / "build" / "notebooks" / "01_failing.ipynb")
    assert copy.cells[1].outputs[0].ename == "ZeroDivisionError"
    assert (project / "build" / "images" / "cat.txt").is_file()


def test_what_was_written_is_fresh(second_run, project):
    report = second_run["00_good"]
    assert report.passed
    assert report.result == "passed"
    assert report.not_compared == ["code cell 3 (import time)"]


def test_tampered_number_is_found_and_nothing_else(second_run):
    report = second_run["03_tampered"]
    assert report.result == "out of date"
    assert len(report.stale) == 1
    assert "code cell 2" in report.stale[0]
    assert "`0.3400` was expected, and `0.3333` came out" in report.stale[0]


def test_refresh_leaves_fresh_notebooks_alone_and_repairs_the_others(second_run, project, tmp_path):
    shutil.copytree(project / "notebooks", tmp_path / "notebooks")
    shutil.copytree(project / "images", tmp_path / "images")
    good, tampered = (tmp_path / "notebooks" / f"{name}.ipynb" for name in ("00_good", "03_tampered"))
    before = good.read_bytes()
    assert main(["--write", "00_good", "03_tampered.ipynb"], tmp_path) == 0
    assert good.read_bytes() == before
    repaired = notebook_format.read(tampered)
    assert repaired.cells[2].outputs[0].text == "0.3333\n"
    assert repaired.cells[4].outputs == notebook_format.read(good).cells[4].outputs


def test_no_notebooks_is_an_error(tmp_path, capsys):
    (tmp_path / "notebooks").mkdir()
    assert main([], tmp_path) == 2
    assert "There are no notebooks in" in capsys.readouterr().err


def test_unknown_name_is_an_error(project, capsys):
    assert main(["07"], project) == 2
    assert "07 fits no notebook. There are: 00_good, 01_failing" in capsys.readouterr().err
    assert main(["0"], project) == 2
    assert "0 fits more than one notebook" in capsys.readouterr().err


def test_broken_notebooks_are_failures_of_their_own(tmp_path, make_notebook, capsys):
    folder = tmp_path / "notebooks"
    folder.mkdir()
    (folder / "00_broken.ipynb").write_text("{}")
    notebook_format.write(make_notebook("1 / 0"), folder / "01_failing.ipynb")
    assert main([], tmp_path) == 1
    printed = capsys.readouterr().out
    assert "00_broken.ipynb is not a valid notebook" in printed
    assert "ZeroDivisionError" in printed
    assert printed.count("FAILED") == 4  # in the lines of progress, and in the table


def test_notebooks_that_read_images_run_from_the_projects_folder(project, tmp_path, make_notebook, capsys):
    root = tmp_path / "elsewhere"
    (root / "notebooks").mkdir(parents=True)
    (root / "cat.txt").write_text("beside the notebooks' folder", encoding="utf-8")
    notebooks = {
        "00_reads": ["open('cat.txt').read()  # images/", "import os\nprint(os.path.basename(os.getcwd()))"],
        "01_does_not": ["1 + 1", ("markdown", "images/ and sam_edu.image('a.png')")],
        "02_assumes": ["open('../images/cat.txt')"],
    }
    for name, cells in notebooks.items():
        notebook_format.write(make_notebook(*cells), root / "notebooks" / f"{name}.ipynb")
    before = {path.name: path.read_bytes() for path in (root / "notebooks").iterdir()}
    assert main(["--from-root"], root) == 1
    printed = capsys.readouterr().out
    rows = dict(re.findall(r"^(\S+\.ipynb) +[\d.]+  (.+)$", printed, re.MULTILINE))
    assert rows == {"00_reads.ipynb": "passed", "02_assumes.ipynb": "FAILED"}
    copy = notebook_format.read(root / "build" / "from_root" / "notebooks" / "00_reads.ipynb")
    assert copy.cells[1].outputs[0].text == "elsewhere\n"
    assert {path.name: path.read_bytes() for path in (root / "notebooks").iterdir()} == before


@pytest.mark.parametrize(
    ("source", "reads"),
    [
        ('sam_edu.image("chelsea.png")', True),
        ("photographs()", True),
        ('Image.open("a.png")', True),
        ('open("../images/a.json")', True),
        ("example.image", False),
        ("images = [masks]", False),
        ("Image.fromarray(x)", False),
    ],
)
def test_a_notebook_that_reads_images_is_known_by_its_code(source, reads, make_notebook, tmp_path):
    (tmp_path / "notebooks").mkdir()
    path = tmp_path / "notebooks" / "00_a.ipynb"
    notebook_format.write(make_notebook(source), path)
    assert Runner(tmp_path).reading_images([path]) == ([path] if reads else [])
