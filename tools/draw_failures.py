"""Draws the held-out clicks at which the embedded model does worst: `python -m tools.draw_failures`.

The weights stay as they are. `python -m tools.publish_weights` draws the same sheet with new ones.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import torch

from sam_edu.evaluation.failures import worst_clicks
from sam_edu.evaluation.scores import Target, evaluate
from sam_edu.figures import Figure, cases
from sam_edu.sam import Sam, load, tiny_weights

TARGET = Path(__file__).resolve().parents[1] / "images" / "failures.png"


def sheet(model: Sam, rows: Sequence[Target]) -> Figure:
    """The worst clicks of each level, each with the best of its three masks, in the colour of the mask's number."""
    return cases(worst_clicks(model, rows), title="Where the best of three masks after a random click is worst")


def main() -> None:
    """Write images/failures.png."""
    parser = argparse.ArgumentParser(prog="python -m tools.draw_failures", description="Draw the worst clicks anew.")
    parser.add_argument("--scenes", type=int, default=500)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = evaluate(tiny_weights(), args.scenes, processes=args.processes)
    print(sheet(load(), rows).save(TARGET))


if __name__ == "__main__":
    main()
