"""Measure the effect of every ablation of the tiny model, and store it: python -m tools.make_statistics."""

import argparse
import os
from pathlib import Path

import numpy as np
import torch

from sam_edu import ablation
from sam_edu.ablation.attention_statistics import measure_attention
from sam_edu.ablation.block_ways import measure_block_ways
from sam_edu.ablation.coarse_channels import measure_coarse_channels
from sam_edu.ablation.corrected import measure_corrected
from sam_edu.ablation.doors import measure_doors
from sam_edu.ablation.exchanged_maps import measure_exchanged_maps
from sam_edu.ablation.grid_clicks import measure_grid_clicks
from sam_edu.ablation.half_precision import measure_half_precision
from sam_edu.ablation.head_paths import measure_head_paths
from sam_edu.ablation.held_out import join, measure_prompts
from sam_edu.ablation.hidden_unit_measuring import measure_hidden_units
from sam_edu.ablation.mask_likeness import measure_mask_likeness
from sam_edu.ablation.mask_numbers import measure_mask_numbers
from sam_edu.ablation.measuring import measure, merge, missing, store
from sam_edu.ablation.pair_measuring import add_pairs, measure_pairs
from sam_edu.ablation.product_measuring import measure_product
from sam_edu.ablation.prompt_changes import measure_prompt_changes
from sam_edu.ablation.prompts import SCENES
from sam_edu.ablation.resampled_tokens import measure_resampled_tokens
from sam_edu.ablation.score_terms import measure_score_terms
from sam_edu.ablation.streams import measure_streams
from sam_edu.ablation.thresholds import measure_thresholds
from sam_edu.ablation.upscaling_measuring import measure_upscaling
from sam_edu.sam import tiny_weights

UNCHANGED = {
    "attention": measure_attention,
    "prompts": measure_prompts,
    "product": measure_product,
    "terms": measure_score_terms,
    "block": measure_block_ways,
    "streams": measure_streams,
    "maps": measure_exchanged_maps,
    "units": measure_hidden_units,
    "forms": measure_prompt_changes,
    "numbers": measure_mask_numbers,
    "upscaling": measure_upscaling,
    "half": measure_half_precision,
    "corrected": measure_corrected,
    "thresholds": measure_thresholds,
    "grid": measure_grid_clicks,
    "likeness": measure_mask_likeness,
    "tokens": measure_resampled_tokens,
    "coarse": measure_coarse_channels,
}
"""What is measured beside the ablations, by its name on the command line."""


def main() -> None:
    """Measure, write the file, print a summary."""
    parser = argparse.ArgumentParser(prog="python -m tools.make_statistics", description=__doc__)
    parser.add_argument("--scenes", type=int, default=SCENES, help="held-out scenes, about 2.5 clicks each")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--weights", type=Path, default=tiny_weights(), help="a safetensors file of the tiny model")
    parser.add_argument(
        "--out", type=Path, help="the file to write; for weights of another training it has to be given"
    )
    less = parser.add_mutually_exclusive_group()
    less.add_argument("--new", action="store_true", help="only the ablations that the file does not hold")
    less.add_argument(
        "--only",
        choices=[*UNCHANGED, "paths", "pairs", "doors"],
        help="only this part: the attention maps, the prompts, the product (6-3), the four terms of the scores, the"
        " blocks built in other ways, the streams, the exchanged maps, the hidden units, the other forms of prompts,"
        " the numbers of mask prompts, step (5), half precision, corrected clicks, other thresholds, grids of clicks,"
        " how alike masks are, resampled tokens, channels beside masks,"
        " the paths of heads (chosen by the effects that the file holds), the transplants between pairs of clicks, or"
        " those of what is read of the click's token; all else stays",
    )
    args = parser.parse_args()
    if args.scenes < 1:
        parser.error(f"--scenes: expected at least 1, got {args.scenes}")
    if args.out is None and args.weights.resolve() != tiny_weights().resolve():
        parser.error(
            "--out: expected a file, as these are not the package's weights; for a replica: "
            f"{ablation.replicas_at() / args.weights.stem}.npz"
        )
    args.out = args.out or ablation.stored_at()
    torch.set_num_threads(1)
    if args.new or args.only:
        before = ablation.read(args.out, weights=args.weights)  # refuses the file of other weights
        scenes = int(before["prompts"][:, 0].max()) + 1 - ablation.FIRST_SCENE
        if args.new:
            new = measure(
                args.weights, scenes, args.processes, names=missing(before), box_names=missing(before, "boxes")
            )
            data = merge(before, new)
        elif args.only == "pairs":
            data = add_pairs(before, measure_pairs(args.weights, scenes, args.processes))
        elif args.only == "doors":
            data = add_pairs(before, measure_doors(args.weights, scenes, args.processes))
        elif args.only == "paths":
            data = join(before, measure_head_paths(before, args.weights, scenes, args.processes))
        else:
            data = join(before, UNCHANGED[args.only](args.weights, scenes, args.processes))
    else:
        parts = (part(args.weights, args.scenes, args.processes) for part in UNCHANGED.values())
        data = join(measure(args.weights, args.scenes, args.processes), *parts)
        data = join(data, measure_head_paths(data, args.weights, args.scenes, args.processes))
        data = add_pairs(data, measure_pairs(args.weights, args.scenes, args.processes))
        data = add_pairs(data, measure_doors(args.weights, args.scenes, args.processes))
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
    if set(ablation.PAIR_ARRAYS) <= set(data):
        _summarise(ablation.load_pairs(args.out, weights=args.weights))


def _summarise(pairs: ablation.PairStatistics) -> None:
    """Print which transplants bring A's decode closest to B's target mask, kind by kind."""
    print(f"{pairs!r}: IoU of A's decode with B's target mask")
    kinds = {pair.kind for pair in pairs.pairs}
    for kind in [kind for kind in ablation.PAIR_KINDS if kind in kinds]:
        means = {name: pairs.mean(name, kind=kind, measure="iou_b") for name in (*ablation.UNCHANGED, *pairs.names)}
        highest = sorted(pairs.names, key=lambda name: -means[name].mean)[:6]
        print(f"  {kind}, {len(pairs.of_kind(kind))} pairs")
        for name in (*ablation.UNCHANGED, *highest):
            mean, low, high, _ = means[name]
            print(f"    {mean:.3f} ({low:.3f} to {high:.3f})  {name}")


def _listed(scores: np.ndarray) -> str:
    return " ".join(f"{score:.3f}" for score in scores.mean(axis=0))


if __name__ == "__main__":
    main()
