"""python -m sam_edu.training: train the tiny model."""

import argparse
import os
from pathlib import Path

import torch
import torch.distributed as dist

from sam_edu.training.trainer import Settings, Trainer


def main() -> None:
    """Read the command line and train; under torchrun with as many processes as it started."""
    parser = argparse.ArgumentParser(prog="python -m sam_edu.training", description="Train the tiny model.")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoint, log, curves and weights")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--hours", type=float, help="train for this long")
    length.add_argument("--steps", type=int, help="train for this many steps")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    parser.add_argument("--from-weights", help="a weights file (safetensors) of the tiny model to begin with")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--images", type=int, default=Settings.images, help="images a step, over all processes")
    parser.add_argument("--precision", choices=("bfloat16", "float32"), default=Settings.precision)
    parser.add_argument("--validate-every", type=int, default=Settings.validate_every, help="steps")
    args = parser.parse_args()
    settings = Settings(
        steps=args.steps,
        hours=args.hours,
        seed=args.seed,
        images=args.images,
        precision=args.precision,
        start=args.from_weights,
        validate_every=args.validate_every,
    )
    device = torch.device(args.device if args.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu")
    if "LOCAL_RANK" in os.environ:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        if device.type == "cuda":
            device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    try:
        Trainer(settings, args.out, device, args.resume).run()
    except KeyboardInterrupt:
        print(f"Stopped. Everything up to here is in {args.out}; go on with --resume.")
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


if __name__ == "__main__":
    main()
