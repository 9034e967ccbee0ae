"""Check that the committed outputs do not depend on the processor, by making this one compute as others do.

python -m tools.check_portability          all notebooks, as with `run_notebooks --check`, once for each stand-in
python -m tools.check_portability 01 03    some of them

The last bits of a sum differ between processors, since each has vector instructions of another width. On an x86 machine
torch, oneDNN and MKL can be told to use narrower ones, so that one machine stands in for others. A notebook has to pass
the freshness check under each of them. What moves by more than a tenth of a tolerance is listed too: it is likely to
fail on a machine that nobody has tried.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.run_notebooks import NEAR, PROJECT, Runner, print_results

X86 = ("x86_64", "amd64", "i386", "i686")

STAND_INS: Mapping[str, Mapping[str, str]] = {
    "avx2": {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    },
    "default": {
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
    },
}
"""Environment variables that make torch and its libraries compute as on another x86 processor."""


def stand_ins(machine: str) -> dict[str, dict[str, str]]:
    """The environments to try on a machine of this kind, by name: all on x86, elsewhere torch's plain kernels alone."""
    if machine.lower() in X86:
        return {name: dict(variables) for name, variables in STAND_INS.items()}
    return {"default": {"ATEN_CPU_CAPABILITY": "default"}}


def main(arguments: Sequence[str] | None = None, project: Path = PROJECT, machine: str | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description="Check that the committed outputs do not depend on the processor.")
    parser.add_argument("names", nargs="*", help="notebooks to check, by file name or the start of it; default: all")
    options = parser.parse_args(arguments)
    machine = platform.machine() if machine is None else machine
    environments = stand_ins(machine)
    if len(environments) < len(STAND_INS):
        print(
            f"The stand-ins for other processors ({', '.join(STAND_INS)}) exist on x86 alone, and this machine is"
            f" {machine}. What can be done here: the notebooks run with torch's plain kernels, and `make test` compares"
            " a run of this processor with outputs that another one made."
        )
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    failed = []
    for name, variables in environments.items():
        print(f"\nStand-in {name}: {' '.join(f'{key}={value}' for key, value in variables.items())}", flush=True)
        runner = Runner(project, check=True, build=project / "build" / "portable" / name, variables=variables)
        try:
            reports = runner.run(runner.select(options.names))
        except ValueError as error:
            print(error, file=sys.stderr)
            return 2
        print_results(reports, runner)
        near = [f"  {report.path.name}, {line}" for report in reports for line in report.near]
        if near:
            print(f"\nWithin the tolerances, but beyond {NEAR:.0%} of them:", *near, sep="\n")
        if not all(report.passed for report in reports):
            failed.append(name)
    passed = [name for name in environments if name not in failed]
    print(f"\nThe committed outputs hold under: {', '.join(passed) or 'none of them'}.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
