"""The click lab in Firefox: it loads, decodes, and shows what `sam_edu` computes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click_lab import SITE, served
from firefox import firefox

import sam_edu
from sam_edu.explorer.service import Service

pytestmark = pytest.mark.site

PROMPTS = {"points": [[100, 110, 1]], "box": None}
PART = "transformer.layers.1.self_attn"


def test_in_firefox(tmp_path: Path) -> None:
    service = Service(sam_edu.Predictor(sam_edu.load("tiny")), notes=False)
    ready = "document.querySelector('#explorer').dataset.state === 'ready'"
    with served(SITE) as address, firefox(tmp_path) as window:
        window.open(f"{address}explorer/index.html")
        window.wait(ready)
        window.wait("document.querySelector('.status').dataset.state === 'ready'")
        for off in ([], [PART]):
            state = {**PROMPTS, "panel": "masks", "off": off, "mode": "zero", "mask": 3}
            window.evaluate(f"explorer.set({json.dumps(state)})")
            window.wait(ready)
            change = [{"point": f"{PART}.out", "how": "zero"}] if off else []
            t = service.decode("example", PROMPTS, change)
            shown = window.evaluate(
                "[...document.querySelectorAll('.card dd:nth-of-type(1)')].map(one => Number(one.dataset.value))"
            )
            np.testing.assert_allclose(shown, t["iou_pred"][0].numpy(), atol=1e-4)
            areas = window.evaluate(
                "[...document.querySelectorAll('.card canvas')].map(one => Number(one.dataset.area))"
            )
            wanted = (t["masks"][0] > 0).sum(dim=(1, 2)).numpy()
            np.testing.assert_allclose(areas, wanted, atol=65)
        window.evaluate("explorer.set({ panel: 'channels', off: [] })")
        window.wait(ready)
        assert window.evaluate("document.querySelectorAll('.channel canvas').length") == 32
        assert [line for line in window.messages if not line.startswith(("debug", "info"))] == []
