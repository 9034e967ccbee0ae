"""python -m sam_edu: check that the installation is complete and works; `download NAME` fetches one of Meta's files."""

import argparse
import hashlib
import platform
import sys
import time
from collections.abc import Callable, Sequence
from importlib import metadata, util

PACKAGES = ("torch", "numpy", "safetensors", "jaxtyping", "pillow")
OPTIONAL = {
    "segment-anything": "parity with Meta's package",
    "matplotlib": "figures",
    "jupyterlab": "the notebooks",
}


def versions() -> str:
    """Versions of Python and of the packages that are needed; raises where one is missing."""
    found = [f"{name} {metadata.version(name)}" for name in PACKAGES]
    return f"Python {platform.python_version()}, sam_edu {metadata.version('sam-edu')}, " + ", ".join(found)


def optional() -> str:
    """What is missing of the packages that only some things need, and how to get it."""
    missing = [name for name in OPTIONAL if not _installed(name)]
    if not missing:
        return "all there"
    uses = ", ".join(f"{name} (for {OPTIONAL[name]})" for name in missing)
    return f"missing {uses}: pip install {' '.join(missing)}"


def weights() -> str:
    """Compare the weights' SHA-256 with the one stored beside them."""
    from sam_edu.sam import tiny_weights

    path = tiny_weights()
    noted = path.with_suffix(".sha256")
    for file in (path, noted):
        if not file.is_file():
            raise FileNotFoundError(f"{file} is missing: install sam_edu again")
    got = hashlib.sha256(path.read_bytes()).hexdigest()
    wanted = noted.read_text(encoding="utf-8").split()[0]
    if got != wanted:
        raise ValueError(f"{path} has SHA-256 {got}, expected {wanted}: install sam_edu again")
    return f"tiny.safetensors, {path.stat().st_size / 1e6:.1f} MB, SHA-256 {got[:12]}..."


def decode() -> str:
    """Click on the example and compare the best of the three masks with the masks that are there."""
    import sam_edu

    example = sam_edu.example()
    predictor = sam_edu.Predictor(sam_edu.load("tiny"))
    predictor.set_image(example.image)
    masks, _, _ = predictor.predict(point_coords=example.click, point_labels=[1])
    valid = example.masks[example.at(*example.click[0])]
    best = max(float((m & r).sum() / (m | r).sum()) for m in masks for r in valid)
    if best < 0.5:
        raise ValueError(f"a click on the example gives no sensible mask: the best has IoU {best:.2f}")
    return f"a click on the example: {len(masks)} masks, the best with IoU {best:.2f}"


def parity() -> str:
    """Compare the decoder with Meta's on the same weights and inputs."""
    if not _installed("segment-anything"):
        return "not checked: segment-anything is not installed"
    import torch

    import sam_edu
    from sam_edu import official

    model = sam_edu.load("tiny")
    generator = torch.Generator().manual_seed(0)
    inputs = {
        "image_embeddings": torch.randn(1, 256, 16, 16, generator=generator),
        "image_pe": torch.randn(1, 256, 16, 16, generator=generator),
        "sparse_prompt_embeddings": torch.randn(2, 2, 256, generator=generator),
        "dense_prompt_embeddings": torch.randn(2, 256, 16, 16, generator=generator),
        "multimask_output": True,
    }
    comparison = official.compare(model.mask_decoder, official.to_official(model.mask_decoder), inputs)
    if comparison.first_divergence is not None:
        raise ValueError(f"our decoder differs from Meta's, first at {comparison.first_divergence}")
    return f"decoder equals Meta's: largest difference {comparison.max_difference:.1e} over {len(comparison)} tensors"


def _installed(name: str) -> bool:
    return util.find_spec(name.replace("-", "_")) is not None


CHECKS: dict[str, Callable[[], str]] = {
    "versions": versions,
    "optional": optional,
    "weights": weights,
    "decode": decode,
    "parity": parity,
}


def main(arguments: Sequence[str] = ()) -> int:
    """Do what the command line asks for; 0 where all is well.

    Args:
        arguments: none for the checks; "download" and names of Meta's models; "explore" and its options.
    """
    parser = argparse.ArgumentParser(prog="python -m sam_edu", description="Check that sam_edu works.")
    commands = parser.add_subparsers(dest="command", title="commands (without one, the installation is checked)")
    fetch = commands.add_parser("download", help="fetch Meta's weights into the cache, where sam_edu.load finds them")
    fetch.add_argument("names", nargs="+", metavar="NAME", help="vit_b, vit_l or vit_h")
    lab = commands.add_parser("explore", help="open the click lab in a browser: the decoder of a model, live")
    lab.add_argument("--model", default="tiny", help="tiny (the default), vit_b, vit_l or vit_h")
    lab.add_argument("--checkpoint", help="the file of the model's weights, where they are not in the cache")
    lab.add_argument("--notebook", help="what this notebook opens: 00 to 10")
    lab.add_argument("--port", type=int, default=0, help="by default one that is free")
    lab.add_argument("--no-browser", action="store_true", help="print the address, and open nothing")
    given = parser.parse_args(list(arguments))
    if given.command == "download":
        return download(given.names)
    if given.command == "explore":
        return explore(given.model, given.checkpoint, given.port, not given.no_browser, given.notebook)
    return check()


def download(names: Sequence[str]) -> int:
    """Fetch files of Meta's, print where they are; 0 where all is well."""
    import sam_edu

    for name in names:
        try:
            print(f"{name}: {sam_edu.download(name)}")
        except (ValueError, OSError, ImportError) as error:
            print(f"FAILED  {name}: {error}")
            return 1
    return 0


def explore(
    model: str = "tiny",
    checkpoint: str | None = None,
    port: int = 0,
    open_browser: bool = True,
    notebook: str | None = None,
) -> int:
    """Serve the click lab on this machine until Ctrl-C; 0 where all is well."""
    import sam_edu
    from sam_edu.explorer.server import serve
    from sam_edu.explorer.situations import situation

    try:
        state = None if notebook is None else situation(notebook)
        serve(sam_edu.Predictor(sam_edu.load(model, checkpoint=checkpoint)), port, open_browser, state=state)
    except (ValueError, OSError, ImportError) as error:
        print(f"FAILED  explore: {error}")
        return 1
    return 0


def check() -> int:
    """Run all checks, print a line for each; 0 where all is well."""
    started = time.perf_counter()
    failed = 0
    for name, check in CHECKS.items():
        try:
            print(f"  ok    {name:<9} {check()}")
        except metadata.PackageNotFoundError as error:
            failed += 1
            print(f"FAILED  {name:<9} the package {error.name} is not installed: pip install {error.name}")
        except Exception as error:
            failed += 1
            print(f"FAILED  {name:<9} {error}")
    summary = f"{failed} of {len(CHECKS)} failed" if failed else "All is well"
    print(f"{summary}, {time.perf_counter() - started:.1f} s.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
