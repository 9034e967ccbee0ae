"""python -m sam_edu.training: train the tiny model."""

import argparse
import os
from pathlib import Path

import torch
import torch.distributed as dist

from sam_edu.training.interrupt import Interrupt
from sam_edu.training.settings import GRIDS, PARTS, PRECISIONS, Settings
from sam_edu.training.trainer import Trainer


def options() -> argparse.ArgumentParser:
    """What can be asked for. The names are those of `Settings` where there is one; its checks are made there."""
    parser = argparse.ArgumentParser(prog="python -m sam_edu.training", description="Train the tiny model.")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoint, log, curves and weights")
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--hours", type=float, help="train for this long")
    length.add_argument("--steps", type=int, help="train for this many steps")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument(
        "--workers",
        type=int,
        help="processes that draw scenes ahead; 0 draws between the steps. By default 0 on a CPU; with a GPU one for "
        "each core but one, at most 16. The run is the same with any number",
    )

    recipe = parser.add_argument_group("recipe")
    recipe.add_argument(
        "--from-weights",
        dest="start",
        metavar="FILE",
        help="weights (safetensors) of the tiny model to begin with, or 'tiny' for those of the package",
    )
    recipe.add_argument("--seed", type=int, default=Settings.seed)
    recipe.add_argument("--images", type=int, default=Settings.images, help="images a step, over all processes")
    recipe.add_argument("--prompt-sets", type=int, default=Settings.prompt_sets, help="per image")
    recipe.add_argument(
        "--followed", type=int, default=Settings.followed, help="prompt sets of an image that go on to corrections"
    )
    recipe.add_argument("--box-share", type=float, default=Settings.box_share, help="boxes among the first prompts")
    recipe.add_argument("--learning-rate", type=float, default=Settings.learning_rate, help="its highest value")
    recipe.add_argument("--warm-up", type=int, default=Settings.warm_up, help="steps in which the rate rises")
    recipe.add_argument(
        "--decay-share", type=float, default=Settings.decay_share, help="share of the run in which the rate falls"
    )
    recipe.add_argument(
        "--restart-at",
        type=float,
        metavar="SHARE",
        help="share of the run after which it begins again with its averaged weights, a fresh optimizer and a warm-up; "
        "the rate is level before, and falls over --decay-share of the rest",
    )
    recipe.add_argument(
        "--grid", type=int, metavar="N", help=f"one grid for the whole run, of {', '.join(map(str, GRIDS))}"
    )
    recipe.add_argument("--precision", choices=PRECISIONS, default=Settings.precision)
    recipe.add_argument(
        "--freeze", action="append", default=[], metavar="PART", help=f"leave as it is: {', '.join(PARTS)}; repeatable"
    )

    own = parser.add_argument_group("images of your own")
    own.add_argument("--photographs", metavar="FOLDER", help="take fills and backgrounds of the scenes from its images")
    own.add_argument(
        "--photograph-share", type=float, help=f"of fills and backgrounds; {Settings.photograph_share} by default"
    )
    own.add_argument("--annotated", metavar="FILE", help="images with outlined objects, in COCO's JSON")
    own.add_argument("--annotated-images", metavar="FOLDER", help="where they are, if not beside the file")
    own.add_argument(
        "--annotated-share",
        type=float,
        help=f"of the images of a step; 1: no scenes; {Settings.annotated_share} by default",
    )

    watch = parser.add_argument_group("watching")
    watch.add_argument("--validate-every", type=int, default=Settings.validate_every, help="steps")
    watch.add_argument("--validation-scenes", type=int, default=Settings.validation_scenes)
    return parser


def settings_of(args: argparse.Namespace) -> Settings:
    """The settings that the options ask for.

    Raises:
        ValueError: a value that a run cannot have.
    """
    given = {name: getattr(args, name) for name in Settings.__dataclass_fields__ if hasattr(args, name)}
    for share, source in (("photograph_share", "photographs"), ("annotated_share", "annotated")):
        if given[share] is None:
            del given[share]
        elif given[source] is None:
            raise ValueError(f"{share}: the share of what --{source} gives was asked for without it; give that too")
    given["freeze"] = tuple(dict.fromkeys(args.freeze))
    if args.grid is not None:
        given["grids"] = ((0.0, args.grid),)
    return Settings(**given)


def device_of(name: str) -> torch.device:
    """The device of that name; "auto" takes a GPU that is there. Under torchrun each process has a GPU of its own.

    Raises:
        ValueError: no such device here.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise ValueError(f"device: expected auto, cpu, cuda or cuda:N, got {name!r}")
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device: {name} was asked for, and torch finds no CUDA here; give --device cpu")
    if device.type == "cuda" and gpus and (device.index or 0) >= gpus:
        raise ValueError(f"device: expected one of the {gpus} GPUs from cuda:0 on, got {name}")
    if device.type == "cuda" and "LOCAL_RANK" in os.environ:
        return torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    return device


def usual_workers(device: torch.device) -> int:
    """How many processes draw ahead unless that is said."""
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return min(16, max(1, ((os.cpu_count() or 1) - 1) // processes)) if device.type == "cuda" else 0


def what_is_left(step: int, saved: int, out: Path) -> str:
    """What a run leaves that was interrupted after so many steps, and how to go on with it."""
    if step == 0:
        return "Stopped before the first step; nothing was written."
    if saved == step:
        return f"Stopped after {step} steps. Everything up to here is in {out}; go on with --resume."
    if saved == 0:
        return f"Stopped at once after {step} steps; nothing was written."
    return f"Stopped at once after {step} steps. The first {saved} are in {out}; go on with --resume."


def main() -> None:
    """Read the command line and train; under torchrun with as many processes as it started."""
    parser = options()
    args = parser.parse_args()
    trainer: Trainer | None = None
    interrupt: Interrupt | None = None
    if "LOCAL_RANK" in os.environ:
        # One process that stopped before the run began would leave the others waiting for it. torchrun may hand on a
        # signal twice, the second time when the run is over.
        interrupt = Interrupt(alone=False)
        interrupt.listen()
    try:
        try:
            settings, device = settings_of(args), device_of(args.device)
            if "LOCAL_RANK" in os.environ:
                dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
            workers = usual_workers(device) if args.workers is None else args.workers
            trainer = Trainer(settings, args.out, device, args.resume, workers)
        except (ValueError, OSError, ImportError) as error:
            parser.error(str(error))
        trainer.run(interrupt)
    except KeyboardInterrupt:
        if trainer is None:
            print(what_is_left(0, 0, args.out), flush=True)
        elif trainer.rank == 0:
            print(what_is_left(trainer.step, trainer.saved, args.out), flush=True)
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


if __name__ == "__main__":
    main()
