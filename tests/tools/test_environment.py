"""When the environment is made, updated or left alone. Nothing is installed here: pip is replaced by a note of it."""

import ast
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tools import environment as setup_environment
from tools import setup_environment as launcher


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project folder of its own, and a list of what was done in it."""
    venv = tmp_path / ".venv"
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / "constraints.txt").write_text("# pins\ntorch==1.2.3\nnumpy==4\n")
    for name, value in {
        "PROJECT": tmp_path,
        "VENV": venv,
        "STAMP": venv / "complete.stamp",
        "CONSTRAINTS": tmp_path / "constraints.txt",
    }.items():
        monkeypatch.setattr(setup_environment, name, value)
    done = []

    def make_venv(base):
        done.append("made")
        setup_environment.venv_python().parent.mkdir(parents=True, exist_ok=True)
        setup_environment.venv_python().touch()

    monkeypatch.setattr(setup_environment, "make_venv", make_venv)
    monkeypatch.setattr(setup_environment, "install", lambda: done.append("installed"))
    return tmp_path, done


def test_made_once_and_then_left_alone(project, capsys):
    _, done = project
    assert setup_environment.main([]) == 0
    assert done == ["made", "installed"]
    capsys.readouterr()
    assert setup_environment.main([]) == 0
    assert done == ["made", "installed"]
    assert capsys.readouterr().out == ""


def test_interrupted_set_up_is_made_anew(project, monkeypatch, capsys):
    _, done = project

    def interrupted():
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(setup_environment, "install", interrupted)
        assert setup_environment.main([]) == 130
    assert "Run the same command again" in capsys.readouterr().err
    assert not setup_environment.STAMP.exists()
    assert setup_environment.main([]) == 0
    assert done == ["made", "made", "installed"]
    assert "unfinished" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_changed_requirements_update_it(name, project):
    folder, done = project
    setup_environment.main([])
    (folder / name).write_text((folder / name).read_text() + "# changed\n")
    assert setup_environment.main([]) == 0
    assert done == ["made", "installed", "installed"]
    setup_environment.main([])
    assert done == ["made", "installed", "installed"]


def test_lost_python_or_moved_folder_makes_it_anew(project):
    _, done = project
    setup_environment.main([])
    setup_environment.venv_python().unlink()
    setup_environment.main([])
    assert done == ["made", "installed"] * 2
    stamp = setup_environment.STAMP
    stamp.write_text(stamp.read_text().replace(str(setup_environment.VENV), "/elsewhere/.venv"))
    setup_environment.main([])
    assert done == ["made", "installed"] * 3


def test_rebuild_on_demand(project):
    _, done = project
    setup_environment.main([])
    setup_environment.main(["--rebuild"])
    assert done == ["made", "installed"] * 2


def test_another_python_is_found_where_this_one_will_not_do(monkeypatch):
    monkeypatch.setattr(setup_environment, "probe", lambda command: (3, 12) if "12" in command[0] else (3, 8))
    assert setup_environment.find_python() == (["python3.12"], (3, 12))


@pytest.mark.parametrize("version", [(3, 10), (3, 14), (4, 11), (2, 12)])
def test_a_python_outside_the_range_will_not_do(version, monkeypatch):
    monkeypatch.setattr(setup_environment, "probe", lambda command: version)
    with pytest.raises(setup_environment.SetupError, match="Install one from"):
        setup_environment.find_python()


@pytest.mark.parametrize("minor", [11, 12, 13])
def test_any_python_of_the_range_will_do_and_the_newest_is_taken(minor, monkeypatch):
    older = {f"python3.{i}": (3, i) for i in range(8, minor + 1)}
    monkeypatch.setattr(setup_environment, "probe", lambda command: older.get(command[0]))
    assert setup_environment.find_python() == ([f"python3.{minor}"], (3, minor))


def test_without_a_usable_python_the_message_says_what_to_do(monkeypatch, capsys):
    monkeypatch.setattr(setup_environment, "probe", lambda command: None)
    with pytest.raises(setup_environment.SetupError, match=r"needs Python 3\.11 to 3\.13.*Install one from"):
        setup_environment.find_python()


def test_probe_knows_this_python_and_no_other():
    assert setup_environment.probe([sys.executable]) == sys.version_info[:2]
    assert setup_environment.probe(["no-such-python"]) is None
    assert setup_environment.probe([sys.executable, "-c", "raise SystemExit(1)"]) is None


def test_offline_there_is_no_waiting_for_cpu_wheels(monkeypatch):
    def unreachable(url, timeout):
        assert timeout <= 3
        raise OSError("no network")

    monkeypatch.setattr(setup_environment, "has_nvidia_gpu", lambda: False)
    monkeypatch.setattr(setup_environment.urllib.request, "urlopen", unreachable)
    assert not setup_environment.wants_cpu_wheels()


@pytest.mark.parametrize(
    ("platform", "gpu", "wanted"),
    [("linux", False, True), ("linux", True, False), ("darwin", False, False), ("win32", False, False)],
)
def test_cpu_wheels_are_for_linux_without_a_gpu(platform, gpu, wanted, monkeypatch, tmp_path):
    page = tmp_path / "index.html"
    page.touch()
    monkeypatch.setattr(setup_environment.sys, "platform", platform)
    monkeypatch.setattr(setup_environment, "has_nvidia_gpu", lambda: gpu)
    monkeypatch.setattr(setup_environment.urllib.request, "urlopen", lambda url, timeout: page.open())
    assert setup_environment.wants_cpu_wheels() is wanted


def test_cpu_wheels_come_first_and_may_fail(project, monkeypatch):
    commands = []

    def run(command):
        commands.append(command)
        return (1, ["no"]) if "--index-url" in command else (0, [])

    monkeypatch.undo()  # the replaced install of the fixture; what follows replaces what it calls
    folder, _ = project
    monkeypatch.setattr(setup_environment, "PROJECT", folder)
    monkeypatch.setattr(setup_environment, "CONSTRAINTS", folder / "constraints.txt")
    monkeypatch.setattr(setup_environment, "wants_cpu_wheels", lambda: True)
    monkeypatch.setattr(setup_environment, "run", run)
    setup_environment.install()
    first, second = commands
    assert first[-1] == "torch==1.2.3"
    assert first[first.index("--retries") + 1] == "0"
    assert second[-2:] == ["--editable", f"{folder}[dev]"]
    assert "--index-url" not in second


def test_failing_command_is_shown(capfd):
    script = "print('the reason'); raise SystemExit(3)"
    with pytest.raises(setup_environment.SetupError, match="while trying"):
        setup_environment.run_shown_on_failure([sys.executable, "-c", script], "trying")
    assert "the reason" in capfd.readouterr().err
    setup_environment.run_shown_on_failure([sys.executable, "-c", "print('quiet')"], "trying")
    assert "quiet" not in "".join(capfd.readouterr())


def test_it_starts_with_the_standard_library_alone():
    script = os.path.abspath(launcher.__file__)
    result = subprocess.run([sys.executable, "-I", "-S", script, "--help"], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "--rebuild" in result.stdout


def test_it_says_what_it_does(project, monkeypatch, capsys):
    folder, _ = project
    monkeypatch.setattr(setup_environment, "find_python", lambda: (["python3.12"], (3, 12)))
    setup_environment.main([])
    printed = capsys.readouterr().out
    assert "Creating .venv with Python 3.12." in printed
    assert "The environment is ready" in printed
    assert "unfinished" not in printed
    (folder / "constraints.txt").write_text("torch==1.2.4\n")
    setup_environment.main([])
    printed = capsys.readouterr().out
    assert "the project's requirements have changed" in printed
    assert "Creating" not in printed


def test_what_cannot_be_done_ends_with_status_1_and_the_reason(project, monkeypatch, capsys):
    monkeypatch.setattr(setup_environment, "probe", lambda command: None)
    assert setup_environment.main([]) == 1
    printed = capsys.readouterr().err
    assert "The environment could not be set up. It needs Python 3.11 to 3.13" in printed


@pytest.mark.parametrize(
    ("there", "status", "listing", "has_gpu"),
    [
        (True, 0, "GPU 0: NVIDIA A100", True),
        (True, 0, "", False),
        (True, 9, "No GPU was found", False),
        (False, 0, "GPU 0: NVIDIA A100", False),
    ],
)
def test_a_gpu_is_what_the_drivers_tool_lists(there, status, listing, has_gpu, monkeypatch):
    def run(command, **options):
        assert options["encoding"] == "utf-8"
        return subprocess.CompletedProcess(command, status, stdout=listing)

    monkeypatch.setattr(setup_environment.shutil, "which", lambda name: f"/usr/bin/{name}" if there else None)
    monkeypatch.setattr(setup_environment.subprocess, "run", run)
    assert setup_environment.has_nvidia_gpu() is has_gpu


@pytest.mark.parametrize("system", ["nt", "posix"])
@pytest.mark.parametrize("inside", [True, False])
def test_only_windows_cannot_replace_the_python_that_is_running(system, inside, monkeypatch, tmp_path):
    commands = []
    monkeypatch.setattr(setup_environment, "os", SimpleNamespace(name=system))
    monkeypatch.setattr(setup_environment, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(setup_environment.sys, "prefix", str(tmp_path / (".venv" if inside else "elsewhere")))
    monkeypatch.setattr(setup_environment, "run_shown_on_failure", lambda command, doing: commands.append(command))
    if system == "nt" and inside:
        with pytest.raises(setup_environment.SetupError, match="cannot replace a Python that is running"):
            setup_environment.make_venv(["python3"])
        assert commands == []
    else:
        setup_environment.make_venv(["python3"])
        assert commands == [["python3", "-m", "venv", "--clear", str(tmp_path / ".venv")]]


def test_windows_has_a_launcher_and_folders_of_its_own(monkeypatch):
    monkeypatch.setattr(setup_environment, "os", SimpleNamespace(name="nt"))
    monkeypatch.setattr(setup_environment, "probe", lambda command: (3, 11) if command == ["py", "-3.11"] else None)
    assert setup_environment.find_python() == (["py", "-3.11"], (3, 11))
    assert setup_environment.venv_python().parts[-2:] == ("Scripts", "python.exe")


def test_without_a_pin_the_message_names_the_package(project):
    assert setup_environment.pinned("numpy") == "4"
    with pytest.raises(setup_environment.SetupError, match="no line `nump=="):
        setup_environment.pinned("nump")


@pytest.mark.parametrize("live", [True, False])
def test_on_a_terminal_the_latest_line_is_shown_and_wiped(live, monkeypatch, capsys):
    monkeypatch.setattr(setup_environment.sys.stdout, "isatty", lambda: live)
    monkeypatch.setenv("COLUMNS", "9")
    result = setup_environment.run([sys.executable, "-c", "print('one'); print('a line too long')"])
    assert result == (0, ["one", "a line too long"])
    shown = ["", "one     ", "a line t", " " * 8, ""]
    assert capsys.readouterr().out == ("\r".join(shown) if live else "")


# --- Names of folders, and old Pythons ---

DRIVER = """
import sys
sys.path.insert(0, "tools")
import environment
done = []
def make_venv(base):
    environment.venv_python().parent.mkdir(parents=True, exist_ok=True)
    environment.venv_python().touch()
    done.append("made")
environment.make_venv = make_venv
environment.install = lambda: done.append("installed")
assert environment.main([]) == 0
print("done:", *done)
"""
LOCALES = {
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "POSIX, ASCII streams": {
        "LC_ALL": "POSIX",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONIOENCODING": "ascii",
    },
    "UTF-8": {"PYTHONUTF8": "1"},
}


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("name", ["größe", "日本語", "имя с пробелом", "emoji 🦀", "café\u0301", "plain"])
def test_a_folder_of_any_name_is_set_up_once(name, locale, tmp_path):
    folder = tmp_path / name
    (folder / "tools").mkdir(parents=True)
    shutil.copy(setup_environment.__file__, folder / "tools" / "environment.py")
    (folder / "pyproject.toml").write_text("[project]\n", encoding="utf-8")
    (folder / "constraints.txt").write_text("# für alle\ntorch==1.2.3\n", encoding="utf-8")
    environment = {**os.environ, **LOCALES[locale]}
    outputs = []
    for _ in range(2):
        result = subprocess.run(
            [sys.executable, "-c", DRIVER], cwd=folder, env=environment, capture_output=True, check=False
        )
        assert result.returncode == 0, result.stderr
        outputs.append(result.stdout.decode("utf-8", "replace").splitlines()[-1].strip())
    assert outputs == ["done: made installed", "done:"]


def test_the_launcher_is_written_for_old_pythons():
    source = Path(launcher.__file__).read_text(encoding="utf-8")
    tree = ast.parse(source, feature_version=(3, 4))
    newer = (ast.JoinedStr, ast.AnnAssign, ast.NamedExpr, ast.arg, ast.Match, ast.AsyncFunctionDef)
    assert [type(node).__name__ for node in ast.walk(tree) if isinstance(node, newer)] == []
    assert not any(isinstance(node, ast.ImportFrom) for node in ast.walk(tree))  # `from __future__` is new too
    assert source.isascii()  # Python 2 reads no other source without a declaration
    ast.parse(Path(setup_environment.__file__).read_text(encoding="utf-8"), feature_version=(3, 7))


@pytest.mark.parametrize("version", [(2, 7), (3, 4), (3, 6)])
def test_an_old_python_says_one_sentence(version, monkeypatch):
    monkeypatch.setattr(sys, "version_info", (*version, 0))
    with pytest.raises(SystemExit) as caught:
        runpy.run_path(launcher.__file__, run_name="__main__")
    message = str(caught.value)
    assert message.startswith(f"The set-up needs Python 3.11 to 3.13, and this is Python {version[0]}.{version[1]}")
    assert "https://www.python.org/downloads/" in message
    assert "\n" not in message


def test_the_launcher_starts_the_set_up(monkeypatch):
    started = []
    monkeypatch.setattr(launcher.runpy, "run_path", lambda path, run_name: started.append((path, run_name)))
    source = Path(launcher.__file__)
    exec(
        compile(source.read_text(encoding="utf-8"), str(source), "exec"),
        {"__name__": "__main__", "__file__": str(source)},
    )
    assert started == [(str(source.with_name("environment.py")), "__main__")]
