"""What stands where nothing can be computed: the four masks of one decode, as a figure."""

from collections.abc import Mapping
from typing import Any

from sam_edu import figures
from sam_edu.explorer.service import Service


def still(service: Service, image: str | None = None, prompts: Mapping[str, Any] | None = None) -> figures.Figure:
    """The four masks with their predicted IoU, nothing ablated.

    Args:
        service: of the model.
        image: its name; the first one by default.
        prompts: "points" as (x, y, label), and "box"; the image's own click by default.
    """
    image = service.offered().id if image is None else image
    if prompts is None:
        prompts = {"points": [[*service.offered(image).click, 1]], "box": None}
    t = service.decode(image, prompts)
    masks = service.enlarged(image, t["masks"])[0] > 0
    points = prompts.get("points") or []
    return figures.masks_row(
        service.images[image],
        masks.numpy(),
        numbers=range(len(masks)),
        names=[f"mask {i}" for i in range(len(masks))],
        predicted=t["iou_pred"][0].detach().float().cpu().numpy(),
        points=[point[:2] for point in points] if points else None,
        labels=[point[2] for point in points] if points else None,
        box=prompts.get("box"),
    )
