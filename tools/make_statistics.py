"""Measure what every part of the embedded model is worth, and store it: python -m tools.make_statistics."""

import argparse
import os
from pathlib import Path

import numpy as np
import torch

from sam_edu import statistics
from sam_edu.sam import tiny_weights
from sam_edu.training.switched import measure, merge, missing, store

SCENES = 100


def main() -> None:
    """Measure, write the file, say what was found."""
    parser = argparse.ArgumentParser(prog="python -m tools.make_statistics", description=__doc__)
    parser.add_argument("--scenes", type=int, default=SCENES, help="held-out scenes, about 2.2 clicks each")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--weights", type=Path, default=tiny_weights(), help="a safetensors file of the tiny model")
    parser.add_argument("--out", type=Path, default=statistics.stored_at(), help="the file to write")
    parser.add_argument("--new", action="store_true", help="only the switches that the file does not hold")
    args = parser.parse_args()
    if args.scenes < 1:
        parser.error(f"--scenes: expected at least 1, got {args.scenes}")
    torch.set_num_threads(1)
    if args.new:
        statistics.load(args.out, weights=args.weights)  # refuses the file of other weights
        with np.load(args.out, allow_pickle=False) as file:
            before = {name: file[name] for name in file.files}
        scenes = int(before["prompts"][:, 0].max()) + 1 - statistics.FIRST_SCENE
        data = merge(before, measure(args.weights, scenes, args.processes, names=missing(before)))
    else:
        data = measure(args.weights, args.scenes, args.processes)
    store(data, args.out)
    stats = statistics.load(args.out, weights=args.weights)
    print(f"{args.out}: {args.out.stat().st_size:,} bytes\n{stats!r}")
    print(f"IoU as it is: best of three {stats.baseline().mean():.3f}, picked {stats.baseline('picked').mean():.3f}")
    effects = {name: stats.effect(name) for name in stats.names}
    for name in sorted(effects, key=lambda name: effects[name].mean)[:12]:
        mean, low, high, _ = effects[name]
        print(f"  {mean:+.4f} ({low:+.4f} to {high:+.4f})  {name}")


if __name__ == "__main__":
    main()
