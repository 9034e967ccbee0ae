"""The images that the click lab offers, with their ground truth: the running example, held-out scenes, photographs."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from sam_edu import ablation
from sam_edu.ablation.prompts import prompts_of
from sam_edu.ablation.results import LEVELS
from sam_edu.evaluation.photographs import photographs
from sam_edu.predictor import Predictor
from sam_edu.sam import tiny_weights
from sam_edu.tiny.running_example import example

SCENES = {"scene-1000": 0, "scene-1002": 4, "scene-1055": 134}
"""Held-out scenes by their names here, and the number of the held-out click on each; the last is the one on which the
model does worst."""

PHOTOGRAPHS = ("coins", "chelsea", "coffee")
"""Photographs of the notebooks, without ".png"; the click is on the first outlined object of each."""

OTHERS = ("scene-1000", "scene-1002")
"""Where the clicks are whose tensors "resample" puts in: the first that lies on another image."""


@dataclass(frozen=True, eq=False)
class Offered:
    """One image.

    Attributes:
        id: its name in a link.
        title: its name for people.
        image: the pixels.
        truth: its masks.
        click: (x, y) that is set when the image is chosen.
        target: which of the masks the click is meant for; -1 where nothing is known.
        meant: what that is, for people.
    """

    id: str
    title: str
    image: UInt8[np.ndarray, "height width 3"]
    truth: Bool[np.ndarray, "masks height width"]
    click: tuple[int, int]
    target: int
    meant: str = ""


def offered() -> dict[str, Offered]:
    """All images by their names."""
    one = example()
    x, y = (int(v) for v in one.click[0])
    found = [Offered("example", "the running example", one.image, one.masks, (x, y), one.at(x, y)[0], "the flower")]
    clicks = ablation.load().prompts.clicks
    for name, number in SCENES.items():
        prompt = clicks[number]
        image, masks, _ = prompts_of(prompt.scene)
        meant = f"its target, the {LEVELS[prompt.level]} there"
        found.append(
            Offered(name, f"held-out scene {prompt.scene}", image, masks, (prompt.x, prompt.y), prompt.mask, meant)
        )
    outlined = photographs()
    for name in PHOTOGRAPHS:
        objects = [one for one in outlined if one.name == f"{name}.png"]
        x, y = (int(v) for v in objects[0].click)
        masks = np.stack([one.mask for one in objects])
        found.append(
            Offered(name, f"photograph, {name}", objects[0].image, masks, (x, y), 0, f"the {objects[0].object}")
        )
    return {one.id: one for one in found}


def catalogue(predictor: Predictor, images: Mapping[str, Offered] | None = None, notes: bool = True) -> dict[str, Any]:
    """What the front-end is told of the images and of the model, as JSON can hold it.

    Args:
        predictor: of the model.
        images: from `offered`.
        notes: decode each image's click once, and say how well its best mask fits. For a large model on a processor
            this takes minutes.
    """
    images = offered() if images is None else images
    model = predictor.model
    return {
        "model": "tiny" if _is_tiny(predictor) else "",
        "frame": model.image_size,
        "grid": model.prompt_encoder.image_embedding_size[0],
        "held_out": _is_tiny(predictor),
        "second": [*(int(v) for v in example().negative_click[0]), 0],
        "others": [{"image": name, "prompts": {"points": [[*images[name].click, 1]], "box": None}} for name in OTHERS],
        "images": [
            {
                "id": one.id,
                "title": one.title,
                "note": _note(predictor, one) if notes else "",
                "file": f"images/{one.id}.png",
                "width": one.image.shape[1],
                "height": one.image.shape[0],
                "truth": f"images/{one.id}.masks" if len(one.truth) else "",
                "truths": len(one.truth),
                "click": [*one.click, 1],
            }
            for one in images.values()
        ],
    }


def image_file(name: str, images: Mapping[str, Offered]) -> bytes:
    """The bytes of a file that the catalogue names.

    Raises:
        FileNotFoundError: it names no such file.
    """
    for one in images.values():
        if name == f"images/{one.id}.png":
            file = io.BytesIO()
            Image.fromarray(one.image).save(file, format="PNG", optimize=True)
            return file.getvalue()
        if name == f"images/{one.id}.masks":
            return np.packbits(one.truth, axis=-1).tobytes()
    raise FileNotFoundError(f"{name}: the catalogue names no such file; its images are {', '.join(images)}")


def _note(predictor: Predictor, one: Offered) -> str:
    if one.target < 0:
        return ""
    predictor.set_image(one.image)
    masks, _, _ = predictor.predict([one.click], [1])
    target = one.truth[one.target]
    best = max(float((mask & target).sum() / (mask | target).sum()) for mask in masks)
    return f"At its click, the best of masks 1 to 3 has IoU {best:.2f} with {one.meant}."


def _is_tiny(predictor: Predictor) -> bool:
    """Whether these are the weights that the held-out statistics belong to: the smallest tensors are compared."""
    from safetensors import safe_open

    state = predictor.model.state_dict()
    with safe_open(str(tiny_weights()), framework="pt") as file:
        names = [name for name in file.keys() if name.startswith("mask_decoder.")]  # noqa: SIM118  # no mapping
        if not set(names) <= set(state):
            return False
        for name in names:
            stored, own = file.get_tensor(name), state[name].detach().cpu()
            if stored.shape != own.shape or not bool((stored.float() == own.float()).all()):
                return False
    return True
