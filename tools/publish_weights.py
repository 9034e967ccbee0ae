"""Put a run's weights into the package, with their hash and a model card: python -m tools.publish_weights RUN."""

import argparse
import hashlib
import json
import os
import shutil
from pathlib import Path

import torch

from sam_edu.evaluation.attention_share import attention_shares, share_table
from sam_edu.evaluation.baselines import DISC_RADII, FLOOD_TOLERANCES
from sam_edu.evaluation.failures import worst_clicks
from sam_edu.evaluation.photograph_scores import photo_table
from sam_edu.evaluation.scores import TEST_STREAMS, area_table, calibration_table, evaluate, head_table, table
from sam_edu.figures import cases
from sam_edu.sam import load
from sam_edu.scenes.scene import MIN_AREA, UNSEEN_FAMILIES, UNSEEN_TEXTURES
from sam_edu.training.batches import SLENDER_SHARE

TINY = Path(__file__).resolve().parent.parent / "sam_edu" / "tiny"
LARGEST = 16_000_000
"""Bytes: a clone carries every version of the weights for ever."""

CARD = Path(__file__).resolve().parent / "model_card_template.md"


def main() -> None:
    """Copy, hash, evaluate, write the card."""
    parser = argparse.ArgumentParser(prog="python -m tools.publish_weights", description=__doc__)
    parser.add_argument("run", type=Path, help="folder of a training run")
    parser.add_argument("--command", required=True, help="the command that made the run, for the card")
    parser.add_argument("--cores", type=int, required=True, help="how many cores it had")
    parser.add_argument("--machine", required=True, help="what kind of machine that was, for the card")
    parser.add_argument(
        "--begun-with", help="for a run from weights: what they were and what they had cost, for the card"
    )
    parser.add_argument("--scenes", type=int, default=500)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    source = args.run / "tiny.safetensors"
    if source.stat().st_size > LARGEST:
        raise SystemExit(f"{source} has {source.stat().st_size} bytes, more than {LARGEST}")
    state = torch.load(args.run / "checkpoint.pt", map_location="cpu", weights_only=True)
    settings = json.loads(state["settings"])
    if (settings["start"] is None) != (args.begun_with is None):
        raise SystemExit(
            f"--begun-with: the run began with {settings['start']}; give it where that is a file, and only there"
        )
    weights = TINY / "tiny.safetensors"
    shutil.copyfile(source, weights)
    sha = hashlib.sha256(weights.read_bytes()).hexdigest()
    (TINY / "tiny.sha256").write_text(f"{sha}  {weights.name}\n")
    torch.set_num_threads(1)
    held_out = evaluate(weights, args.scenes, processes=args.processes)
    unseen = evaluate(weights, args.scenes, "unseen", processes=args.processes)
    slender = evaluate(weights, args.scenes // 5, "slender", processes=args.processes)
    model = load()
    shares = attention_shares(model, args.scenes // 2, TEST_STREAMS["ordinary"])
    parts = {
        name: sum(p.numel() for p in part.parameters())
        for name, part in [
            ("total", model),
            ("encoder", model.image_encoder),
            ("prompt", model.prompt_encoder),
            ("decoder", model.mask_decoder),
        ]
    }
    picture = cases(worst_clicks(model, held_out), title="Where the best of three masks after a random click is worst")
    picture.save(TINY.parent.parent / "images" / "failures.png")
    card = CARD.read_text().format(
        megabytes=weights.stat().st_size / 1e6,
        sha=sha,
        families=" and ".join(UNSEEN_FAMILIES),
        textures=" and ".join(UNSEEN_TEXTURES),
        steps=state["step"],
        images=settings["images"],
        sets=settings["prompt_sets"],
        machine=args.machine,
        core_hours=state["seconds"] * args.cores / 3600,
        rate=settings["learning_rate"],
        decay=settings["decay_share"],
        ema=settings["ema"],
        grids=", then ".join(f"{grid} x {grid}" for _, grid in settings["grids"][bool(settings["start"]) :]),
        command=args.command,
        begun_with=f"It began with {args.begun_with}. " if args.begun_with else "",
        min_area=", ".join(map(str, MIN_AREA)),
        balanced=settings["balanced_until"],
        scenes=args.scenes,
        radii=", ".join(map(str, DISC_RADII)),
        tolerances=", ".join(map(str, FLOOD_TOLERANCES)),
        held_out=table(held_out),
        areas=area_table(held_out),
        head=head_table(held_out),
        calibration=calibration_table(held_out),
        unseen=table(unseen),
        slender=table(slender),
        slender_scenes=args.scenes // 5,
        slender_share=SLENDER_SHARE,
        shares=share_table(shares),
        photographs=photo_table(model, TINY.parent.parent / "images"),
        **parts,
    )
    (TINY / "MODEL_CARD.md").write_text(card)
    print(card)


if __name__ == "__main__":
    main()
