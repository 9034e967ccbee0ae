"""Put weights into the package, with their hash and a model card.

python -m tools.publish_weights RUN --command ... --cores ... --machine ...     a run of `python -m sam_edu.training`
python -m tools.publish_weights FILE.safetensors --lineage FILE.md              weights that were trained in another way
"""

import argparse
import hashlib
import json
import os
import shutil
from pathlib import Path

import torch

from sam_edu.evaluation.attention_share import attention_shares, share_table
from sam_edu.evaluation.baselines import DISC_RADII, FLOOD_TOLERANCES
from sam_edu.evaluation.photograph_scores import photo_table
from sam_edu.evaluation.scores import TEST_STREAMS, area_table, calibration_table, evaluate, head_table, table
from sam_edu.sam import load
from sam_edu.scenes.scene import MIN_AREA, UNSEEN_FAMILIES, UNSEEN_TEXTURES
from sam_edu.training.batches import SLENDER_SHARE
from sam_edu.training.trainer import Settings
from tools.draw_failures import sheet

TINY = Path(__file__).resolve().parent.parent / "sam_edu" / "tiny"
LARGEST = 16_000_000
"""Bytes: a clone carries every version of the weights for ever."""

CARD = Path(__file__).resolve().parent / "model_card_template.md"


def main() -> None:
    """Copy, hash, evaluate, write the card."""
    parser = argparse.ArgumentParser(prog="python -m tools.publish_weights", description="Publish the tiny model.")
    parser.add_argument("source", type=Path, help="folder of a training run, or a file of weights")
    parser.add_argument("--lineage", type=Path, help="for a file: a text in Markdown that says how it was trained")
    parser.add_argument("--command", help="for a run: its command")
    parser.add_argument("--cores", type=int, help="for a run: how many cores it had")
    parser.add_argument("--machine", help="for a run: what kind of machine that was")
    parser.add_argument("--begun-with", help="for a run from weights: what they were and what they had cost")
    parser.add_argument("--scenes", type=int, default=500)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    args = parser.parse_args()
    source, lineage = lineage_of_run(args) if args.source.is_dir() else lineage_of_file(args)
    if source.stat().st_size > LARGEST:
        raise SystemExit(f"{source} has {source.stat().st_size} bytes, more than {LARGEST}")
    weights = TINY / "tiny.safetensors"
    if not (weights.is_file() and weights.samefile(source)):
        shutil.copyfile(source, weights)
    sha = hashlib.sha256(weights.read_bytes()).hexdigest()
    (TINY / "tiny.sha256").write_text(f"{sha}  {weights.name}\n", encoding="utf-8")
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
    sheet(model, held_out).save(TINY.parent.parent / "images" / "failures.png")
    card = CARD.read_text(encoding="utf-8").format(
        megabytes=weights.stat().st_size / 1e6,
        sha=sha,
        families=" and ".join(UNSEEN_FAMILIES),
        textures=" and ".join(UNSEEN_TEXTURES),
        lineage=lineage,
        min_area=", ".join(map(str, MIN_AREA)),
        balanced=Settings.balanced_until,
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
    (TINY / "MODEL_CARD.md").write_text(card, encoding="utf-8")
    print(card)


def lineage_of_run(args: argparse.Namespace) -> tuple[Path, str]:
    """A run's weights, and the paragraph of the card that says how they were trained, from its checkpoint."""
    if args.lineage or not (args.command and args.cores and args.machine):
        raise SystemExit("a run is published with --command, --cores and --machine, and without --lineage")
    state = torch.load(args.source / "checkpoint.pt", map_location="cpu", weights_only=True)
    settings = json.loads(state["settings"])
    if (settings["start"] is None) != (args.begun_with is None):
        raise SystemExit(
            f"--begun-with: the run began with {settings['start']}; give it where that is a file, and only there"
        )
    own = [settings[name] for name in ("photographs", "annotated") if settings.get(name)]
    if own:
        raise SystemExit(
            f"the run was trained on other images ({', '.join(own)}): publish its file of weights with --lineage, a "
            "text that names the images and their licences"
        )
    left_out = bool(settings["start"]) and len(settings["grids"]) > 1
    grids = ", then ".join(f"{grid} x {grid}" for _, grid in settings["grids"][left_out:])
    begun_with = f"It began with {args.begun_with}. " if args.begun_with else ""
    return args.source / "tiny.safetensors", (
        f"{state['step']:,} steps of {settings['images']} scenes with {settings['prompt_sets']} prompt sets each,"
        f" {state['seconds'] * args.cores / 3600:.1f} core-hours ({args.machine}; AdamW, bfloat16\nautocast, learning"
        f" rate {settings['learning_rate']:g}, the last {settings['decay_share']:.0%} of the time falling to nearly"
        f" nothing, weights averaged over steps with\n{settings['ema']}). The grid is {grids}. {begun_with}To make it"
        f" again:\n\n    {args.command}"
    )


def lineage_of_file(args: argparse.Namespace) -> tuple[Path, str]:
    """A file's weights, and the paragraph of the card that says how they were trained, from a text."""
    if not args.lineage or args.command or args.cores or args.machine or args.begun_with:
        raise SystemExit("a file is published with --lineage alone, a text that says how it was trained")
    if not args.source.is_file():
        raise SystemExit(f"{args.source} is neither a folder of a run nor a file")
    return args.source, args.lineage.read_text(encoding="utf-8").strip()


if __name__ == "__main__":
    main()
