"""Measure the effect of every ablation of the tiny model, and store it: python -m tools.make_statistics."""

import argparse
import os
from pathlib import Path

import numpy as np
import torch

from sam_edu import ablation
from sam_edu.ablation.held_out import join, measure_prompts
from sam_edu.ablation.measuring import measure, merge, missing, store
from sam_edu.ablation.prompts import SCENES
from sam_edu.sam import tiny_weights


def main() -> None:
    """Measure, write the file, print a summary."""
    parser = argparse.ArgumentParser(prog="python -m tools.make_statistics", description=__doc__)
    parser.add_argument("--scenes", type=int, default=SCENES, help="held-out scenes, about 2.5 clicks each")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--weights", type=Path, default=tiny_weights(), help="a safetensors file of the tiny model")
    parser.add_argument("--out", type=Path, default=ablation.stored_at(), help="the file to write")
    less = parser.add_mutually_exclusive_group()
    less.add_argument("--new", action="store_true", help="only the ablations that the file does not hold")
    less.add_argument("--only", choices=["prompts"], help="only what is measured without ablations; those stay")
    args = parser.parse_args()
    if args.scenes < 1:
        parser.error(f"--scenes: expected at least 1, got {args.scenes}")
    torch.set_num_threads(1)
    if args.new or args.only:
        before = ablation.read(args.out, weights=args.weights)  # refuses the file of other weights
        scenes = int(before["prompts"][:, 0].max()) + 1 - ablation.FIRST_SCENE
        if args.new:
            new = measure(
                args.weights, scenes, args.processes, names=missing(before), box_names=missing(before, "boxes")
            )
            data = merge(before, new)
        else:
            data = join(before, measure_prompts(args.weights, scenes, args.processes))
    else:
        data = join(
            measure(args.weights, args.scenes, args.processes),
            measure_prompts(args.weights, args.scenes, args.processes),
        )
    store(data, args.out)
    stats = ablation.load(args.out, weights=args.weights)
    print(f"{args.out}: {args.out.stat().st_size:,} bytes\n{stats!r}")
    best, picked = stats.baseline().mean(), stats.baseline("picked").mean()
    print(f"IoU of the unchanged model: best of three {best:.3f}, picked {picked:.3f}")
    for row, position in enumerate(("at the deepest error", "at a random error")):
        print(f"  after 1 to 8 clicks {position}: {_listed(stats.prompts.corrections[row])}")
    print(f"  the same at the deepest, clicks alone: {_listed(stats.prompts.corrections_without)}")
    print(f"  exact box, mask 0: {stats.prompts.boxes_iou.mean():.3f}")
    effects = {name: stats.effect(name) for name in stats.names}
    for mode in ("mean", "resample", "zero"):
        print(f"the largest effects of one part by {mode}")
        of_mode = [name for name in effects if f" {mode}" in name and "token mean" not in name and " + " not in name]
        for name in sorted(of_mode, key=lambda name: effects[name].mean)[:8]:
            mean, low, high, _ = effects[name]
            print(f"  {mean:+.4f} ({low:+.4f} to {high:+.4f})  {name}")


def _listed(scores: np.ndarray) -> str:
    return " ".join(f"{score:.3f}" for score in scores.mean(axis=0))


if __name__ == "__main__":
    main()
