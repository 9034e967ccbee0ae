"""The set-up of the project's environment in `.venv`; `setup_environment.py` starts it.

Uses the standard library alone, and runs under any Python from 3.7 on. A stamp file, written last, says what the
environment was made from; without a stamp the last set-up did not finish. Text is read and written as UTF-8, whatever
the terminal's encoding is: the name of the folder may contain any character.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import platform
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
VENV = PROJECT / ".venv"
STAMP = VENV / "complete.stamp"
CONSTRAINTS = PROJECT / "constraints.txt"

OLDEST, NEWEST = (3, 11), (3, 13)
SUPPORTED = [(3, minor) for minor in range(NEWEST[1], OLDEST[1] - 1, -1)]
CPU_WHEELS = "https://download.pytorch.org/whl/cpu"

# Prints "3 12" where Python can make a complete environment; Debian ships venv without ensurepip.
PROBE = "import sys, venv, ensurepip; print(sys.version_info[0], sys.version_info[1])"


class SetupError(Exception):
    """Something that the person at the keyboard can put right; the message says how."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Bring `.venv` up to date; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="setup_environment.py", description="Create or complete the project's environment in .venv."
    )
    parser.add_argument("--rebuild", action="store_true", help="start again from an empty environment")
    options = parser.parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a character that the terminal lacks is no reason to stop
            stream.reconfigure(errors="backslashreplace")
    try:
        set_up(rebuild=options.rebuild)
    except SetupError as error:
        print(f"\nThe environment could not be set up. {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted. Run the same command again to complete the environment.", file=sys.stderr)
        return 130
    return 0


def set_up(rebuild: bool = False) -> None:
    """Make the environment match the project's files, doing no more than is needed."""
    before = read_stamp()
    version = made_with(before)
    if before is not None and before == stamp_text(version) and not rebuild:
        return

    started = time.monotonic()
    # Only a finished environment that still stands where it was made is worth updating. What an interrupted pip
    # leaves behind can look installed and be empty, so such an environment is made anew: pip kept its downloads.
    keep = before is not None and not rebuild and before.splitlines()[:2] == stamp_text(version).splitlines()[:2]
    if STAMP.exists():
        STAMP.unlink()
    if keep:
        print("Updating .venv: the project's requirements have changed.", flush=True)
    else:
        if VENV.exists():
            print("Found an unfinished or outdated .venv: making it anew.", flush=True)
        base, version = find_python()
        print(f"Creating .venv with Python {version[0]}.{version[1]}.", flush=True)
        make_venv(base)
    install()
    STAMP.write_bytes(stamp_text(version).encode("utf-8", "surrogateescape"))
    print(f"The environment is ready ({time.monotonic() - started:.0f} s).", flush=True)


def read_stamp() -> str | None:
    """The stamp of a finished environment, or None."""
    if not (STAMP.is_file() and venv_python().exists()):
        return None
    return STAMP.read_bytes().decode("utf-8", "surrogateescape")


def stamp_text(version: tuple[int, int]) -> str:
    """What an environment made now would be stamped with: its place, its Python, its requirements."""
    requirements = hashlib.sha256()
    for path in (PROJECT / "pyproject.toml", CONSTRAINTS):
        requirements.update(path.read_bytes())
    # The name's bytes, which are the same under every locale; as text they are not.
    place = os.fsencode(VENV).decode("utf-8", "surrogateescape")
    return f"{place}\nPython {version[0]}.{version[1]}\nrequirements {requirements.hexdigest()}\n"


def made_with(stamp: str | None) -> tuple[int, int]:
    """The Python version in a stamp, or (0, 0) where there is none."""
    found = re.search(r"^Python (\d+)\.(\d+)$", stamp or "", re.MULTILINE)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def venv_python() -> Path:
    """The environment's own interpreter."""
    return VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def find_python() -> tuple[list[str], tuple[int, int]]:
    """A command that starts a usable Python, and its version: this one if it will do, else the newest found."""
    # Inside the environment itself, the Python that it was made with is what can make it anew.
    candidates = [[getattr(sys, "_base_executable", None) or sys.executable]]
    for major, minor in SUPPORTED:
        candidates.append([f"python{major}.{minor}"])
        if os.name == "nt":
            candidates.append(["py", f"-{major}.{minor}"])
    for command in candidates:
        version = probe(command)
        if version in SUPPORTED:
            return command, version
    raise SetupError(
        f"It needs Python {OLDEST[0]}.{OLDEST[1]} to {NEWEST[0]}.{NEWEST[1]} with the venv module. "
        f"This is Python {platform.python_version()} ({sys.executable}), and no python{NEWEST[0]}.{NEWEST[1]} to "
        f"python{OLDEST[0]}.{OLDEST[1]} that can make environments is on the PATH. Install one from "
        "https://www.python.org/downloads/ (on Debian and Ubuntu: `sudo apt install python3 python3-venv`)."
    )


def probe(command: list[str]) -> tuple[int, int] | None:
    """The version of the Python that a command starts, or None if it cannot make environments."""
    if shutil.which(command[0]) is None:
        return None
    result = output_of([*command, "-c", PROBE])
    if result.returncode != 0:
        return None
    major, minor = result.stdout.split()
    return int(major), int(minor)


def make_venv(base: list[str]) -> None:
    """An empty environment, whatever stood there before."""
    if Path(sys.prefix).resolve() == VENV.resolve() and os.name == "nt":
        raise SetupError("Windows cannot replace a Python that is running: `deactivate`, then try again.")
    run_shown_on_failure([*base, "-m", "venv", "--clear", str(VENV)], "making the environment")


def install() -> None:
    """Everything that the notebooks and the tests need, in the versions that were proved together."""
    pip = [str(venv_python()), "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    if wants_cpu_wheels():
        # --no-deps: the second install brings what torch depends on. A failure costs nothing: that install would
        # then bring torch as well, only larger.
        print("Installing PyTorch for CPU (about 200 MB).", flush=True)
        source = ["--index-url", CPU_WHEELS, "--retries", "0", "--timeout", "5"]
        run([*pip, "--no-deps", *source, f"torch=={pinned('torch')}"])
    print("Installing the project and what it needs; the first time takes a minute or more.", flush=True)
    project = ["--constraint", str(CONSTRAINTS), "--editable", f"{PROJECT}[dev]"]
    run_shown_on_failure([*pip, *project], "installing the packages")


def wants_cpu_wheels() -> bool:
    """Whether the CPU build of torch is better fetched from PyTorch's own index.

    Only Linux: elsewhere PyPI's build is for CPUs already. Only without an NVIDIA GPU, and only if the index answers
    at once, so that somebody offline waits for nothing.
    """
    if sys.platform != "linux" or has_nvidia_gpu():
        return False
    try:
        with urllib.request.urlopen(f"{CPU_WHEELS}/torch/", timeout=3):
            return True
    except OSError:
        return False


def has_nvidia_gpu() -> bool:
    """Whether the driver's tool lists a GPU."""
    if shutil.which("nvidia-smi") is None:
        return False
    listing = output_of(["nvidia-smi", "--list-gpus"])
    return listing.returncode == 0 and "GPU" in listing.stdout


def pinned(package: str) -> str:
    """The version of a package in constraints.txt."""
    found = re.search(rf"^{re.escape(package)}==(\S+)", CONSTRAINTS.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise SetupError(f"constraints.txt has no line `{package}==...`.")
    return found[1]


def output_of(command: list[str]) -> subprocess.CompletedProcess[str]:
    """What a command prints, and its status."""
    return subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=False)


def run(command: list[str]) -> tuple[int, list[str]]:
    """Run a command quietly; on a terminal its latest line shows that something is going on."""
    lines: list[str] = []
    width = shutil.get_terminal_size().columns - 1
    live = sys.stdout.isatty()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", errors="replace"
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line.rstrip())
            if live:
                print("\r" + lines[-1][:width].ljust(width), end="", flush=True)
    if live:
        print("\r" + " " * width + "\r", end="", flush=True)
    return process.returncode, lines


def run_shown_on_failure(command: list[str], doing: str) -> None:
    """Run a command quietly, and show all it said if it fails."""
    status, lines = run(command)
    if status != 0:
        print("\n".join(lines), file=sys.stderr)
        raise SetupError(
            f"Something went wrong while {doing}: the lines above say what. Check the network and the free space on "
            "the disk (3 GB are enough), then run the same command again."
        )


if __name__ == "__main__":
    sys.exit(main())
