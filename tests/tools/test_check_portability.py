"""The check of committed outputs under stand-ins for other processors."""

import re

import pytest

from tools import notebook_format
from tools.check_portability import STAND_INS, main, stand_ins

ENVIRONMENT = "import os\nprint(*(os.environ.get(n, '-') for n in ('ATEN_CPU_CAPABILITY', 'ONEDNN_MAX_CPU_ISA')))"


@pytest.fixture
def project(tmp_path, make_notebook):
    """A project whose one notebook prints a number and, not compared, which stand-in it runs under."""
    (tmp_path / "notebooks").mkdir()
    notebook = make_notebook("print('0.5000')", ("machine-dependent", ENVIRONMENT))
    notebook.cells[0].outputs = [notebook_format.nbformat.v4.new_output("stream", text="0.5000\n")]
    notebook_format.write(notebook_format.normalise(notebook), tmp_path / "notebooks" / "00_one.ipynb")
    return tmp_path


def stale(project, text):
    """The same notebook with another committed output."""
    path = project / "notebooks" / "00_one.ipynb"
    notebook = notebook_format.read(path)
    notebook.cells[0].outputs[0].text = text
    notebook_format.write(notebook, path)


def test_kernels_run_under_each_stand_in(project, capsys):
    assert main([], project, machine="x86_64") == 0
    for name, variables in STAND_INS.items():
        copy = notebook_format.read(project / "build" / "portable" / name / "notebooks" / "00_one.ipynb")
        wanted = f"{variables['ATEN_CPU_CAPABILITY']} {variables['ONEDNN_MAX_CPU_ISA']}\n"
        assert copy.cells[1].outputs[0].text == wanted
    printed = capsys.readouterr().out
    assert "The committed outputs hold under: avx2, default." in printed
    assert "beyond 10%" not in printed
    assert not (project / "build" / "notebooks").exists()  # the results of `make notebooks` are left alone


def test_what_differs_fails_and_what_comes_near_is_listed(project, capsys):
    stale(project, "0.5002\n")
    assert main(["00"], project, machine="x86_64") == 0
    printed = capsys.readouterr().out
    near = r"beyond 10% of them:\n  00_one.ipynb, code cell 1 .*`0.5002` was expected, and `0.5000` came out"
    assert len(re.findall(near, printed)) == 2
    stale(project, "0.5100\n")
    assert main(["00"], project, machine="x86_64") == 1
    assert "hold under: none of them." in capsys.readouterr().out


def test_other_machines_do_what_they_can_and_say_so(project, capsys):
    assert main([], project, machine="arm64") == 0
    printed = capsys.readouterr().out
    assert "(avx2, default) exist on x86 alone, and this machine is arm64." in printed
    assert "hold under: default." in printed
    assert list(stand_ins("aarch64")) == ["default"]
    assert list(stand_ins("AMD64")) == list(STAND_INS)


def test_unknown_name_is_an_error(project, capsys):
    assert main(["07"], project, machine="x86_64") == 2
    assert "07 fits no notebook" in capsys.readouterr().err
