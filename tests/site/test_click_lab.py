"""The click lab in Chromium: what the page shows is what `sam_edu` computes."""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from click_lab import CLICK, DATA, SITE, Lab, alike, chromium, coloured, logit_end, masked, served
from PIL import Image
from playwright.sync_api import Browser

import sam_edu
from sam_edu.ablation import Statistics
from sam_edu.explorer.parts import BY_NAME, MODES, PARTS
from sam_edu.explorer.service import Service
from sam_edu.explorer.situations import SITUATIONS
from sam_edu.explorer.situations import address as address_of
from sam_edu.explorer.stops import COLOURED, STOPS
from sam_edu.figures import embedding_basis
from sam_edu.figures.kit.colours import MASK_COLOURS
from sam_edu.figures.two_decodes import UPSCALED, distances, field_of_distances
from sam_edu.tracing import Trace

pytestmark = pytest.mark.site

WCAG = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")
OTHER = [100, 110, 1]
PROMPTS: dict[str, dict[str, Any]] = {
    "one click": {"points": [CLICK], "box": None},
    "elsewhere": {"points": [[61, 95, 1]], "box": None},
    "two points": {"points": [CLICK, [127, 134, 0]], "box": None},
    "box": {"points": [], "box": [104, 65, 245, 203]},
    "point and box": {"points": [OTHER], "box": [20, 40, 125, 140]},
}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    assert (SITE / "explorer" / "index.html").is_file(), f"{SITE} holds no click lab: make site"
    with served(SITE) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def lab(browser: Browser, address: str) -> Iterator[Lab]:
    """One page for the tests that do not mind what came before."""
    found = Lab(browser, address)
    found.model()
    yield found
    assert found.messages == []
    found.close()


@pytest.fixture(scope="module")
def service() -> Service:
    return Service(sam_edu.Predictor(sam_edu.load("tiny")), notes=False)


@pytest.fixture(scope="module")
def stats() -> Statistics:
    return sam_edu.ablation.load()


def masks_of(service: Service, image: str, t: Trace) -> np.ndarray:
    return service.enlarged(image, t["masks"])[0].numpy() > 0


def assert_cards(lab: Lab, service: Service, image: str, t: Trace) -> None:
    """The four cards show the masks and their predicted IoU."""
    shown = lab.values(".card dd:nth-of-type(1)")
    np.testing.assert_allclose(shown, t["iou_pred"][0].numpy(), atol=2e-3)
    words = lab.page.locator(".card dd:nth-of-type(1)").all_inner_texts()
    assert [float(word) for word in words] == [round(value, 3) for value in shown]
    pixels = service.images[image]
    for number, mask in enumerate(masks_of(service, image, t)):
        assert alike(lab.pixels(f".card[data-mask='{number}'] canvas"), masked(pixels, mask, number)), number


# --- The first screen ---


def test_first_screen_is_stored_and_right(lab: Lab, service: Service) -> None:
    lab.open()
    assert lab.page.get_attribute(".provenance", "data-provenance") == "stored"
    t = service.decode("example", PROMPTS["one click"])
    assert_cards(lab, service, "example", t)


def test_stored_decodes_have_every_panel(lab: Lab) -> None:
    stored = json.loads((SITE / "explorer" / "model.json").read_text(encoding="utf-8"))["stored"]
    assert len(stored) == 3
    for one in stored:
        prompts = one["request"]["prompts"]
        lab.open(prompts)
        for panel in ("masks", "attention", "channels", "clicks"):
            lab.set(panel=panel)
            assert lab.page.get_attribute(".provenance", "data-provenance") == "stored"
        for attention in DATA["attentions"]:
            lab.set(panel="attention", attention={"of": attention["path"], "token": 1, "scale": "shared"})
            assert lab.page.get_attribute(".provenance", "data-provenance") == "stored"


def test_page_says_something_without_scripts(browser: Browser, address: str) -> None:
    window = browser.new_context(java_script_enabled=False).new_page()
    window.goto(f"{address}explorer/index.html")
    assert window.locator("#still img").evaluate("image => image.naturalWidth > 500")
    assert "computes in your browser" in window.inner_text("noscript")
    window.context.close()


# --- What is shown is what is computed ---


@pytest.mark.parametrize("kind", PROMPTS)
def test_masks_of_any_prompt(lab: Lab, service: Service, kind: str) -> None:
    lab.set(image="example", panel="masks", off=[], weights={}, mask=2, other=None, **PROMPTS[kind])
    t = service.decode("example", PROMPTS[kind])
    assert_cards(lab, service, "example", t)
    logits = t["masks"][0, 2].numpy()
    high = logit_end(logits)
    assert alike(lab.pixels(".map.large"), coloured(logits, -high, high, signed=True))
    assert lab.page.get_attribute(".panel h3", "data-tensor") == "masks"
    assert lab.page.get_attribute(".panel h3", "data-shape") == "1 x 4 x 256 x 256"


@pytest.mark.parametrize("attention", DATA["attentions"], ids=lambda one: one["path"])
def test_attention_maps(lab: Lab, service: Service, attention: dict[str, Any]) -> None:
    prompts = PROMPTS["two points"]
    t = service.decode("example", prompts)
    weights = t[attention["tensor"]][0].numpy()
    for token, scale in ((5, "shared"), (2, "per head")):
        chosen = {"of": attention["path"], "token": token, "scale": scale}
        lab.set(image="example", panel="attention", off=[], attention=chosen, **prompts)
        assert lab.page.get_attribute(".panel h3", "data-tensor") == attention["tensor"]
        assert lab.page.get_attribute(".panel h3", "data-shape") == " x ".join(map(str, (1, *weights.shape)))
        for head in range(8):
            if attention["queries"] == attention["keys"]:
                values = weights[head]
            else:
                side = weights[head][token] if attention["keys"] == "image" else weights[head][:, token]
                values = side.reshape(64, 64)
            high = values.max() if scale == "per head" else weights_max(weights, attention, token)
            shown = lab.pixels(f".heads canvas[data-head='{head}']")
            assert alike(shown, coloured(values, 0, high, signed=False, root=True), levels=6), head


def weights_max(weights: np.ndarray, attention: dict[str, Any], token: int) -> float:
    """The end of the scale that all heads share; that of maps of a token lies below a few peaks."""
    if attention["queries"] == attention["keys"]:
        return float(weights.max())
    if attention["keys"] == "image":
        return float(np.quantile(weights[:, token], 0.998))
    return float(weights[:, :, token].max())


def test_pointing_at_a_map_tells_the_weights_there(lab: Lab, service: Service) -> None:
    t = service.decode("example", PROMPTS["one click"])
    for path, reads in (
        ("transformer.layers.0.cross_attn_image_to_token", lambda w: w[:, 40 * 64 + 20].mean(axis=0)),
        ("transformer.layers.1.cross_attn_token_to_image", lambda w: w[:, 3, 40 * 64 + 20]),
    ):
        lab.set(
            image="example",
            panel="attention",
            off=[],
            attention={"of": path, "token": 3, "scale": "shared"},
            **PROMPTS["one click"],
        )
        box = lab.page.locator(".heads .under").first.bounding_box()
        assert box is not None
        lab.page.mouse.move(box["x"] + box["width"] * 20.5 / 64, box["y"] + box["height"] * 40.5 / 64)
        wanted = reads(t[f"{path}.weights"][0].numpy())
        np.testing.assert_allclose(lab.values(".read-out .bars dd"), wanted, atol=1e-4)


def test_channels_and_their_weights(lab: Lab, service: Service) -> None:
    t = service.decode("example", PROMPTS["one click"])
    channels, weights = t["output_upscaling.activated_twice"][0].numpy(), t["hyper_in"][0].numpy()
    lab.set(image="example", panel="channels", off=[], weights={}, channels=32, mask=3, **PROMPTS["one click"])
    titles = lab.page.eval_on_selector_all(
        ".panel h3", "all => all.map(one => [one.dataset.tensor, one.dataset.shape])"
    )
    assert titles == [["output_upscaling.activated_twice", "1 x 32 x 256 x 256"], ["hyper_in", "1 x 4 x 32"]]
    for channel in range(32):
        row = f".channel[data-channel='{channel}']"
        shown = float(lab.page.get_attribute(row, "data-weight") or "nan")
        assert shown == pytest.approx(float(weights[3, channel]), abs=1e-3 * float(abs(weights[3]).max()))
        size = np.abs(channels[channel]).max()
        assert alike(lab.pixels(f"{row} canvas"), coloured(channels[channel], -size, size, signed=True), levels=6)
    # In the order of their contribution.
    order = [int(x) for x in lab.page.eval_on_selector_all(".channel", "all => all.map(one => one.dataset.channel)")]
    contribution = np.abs(weights[3]) * np.abs(channels).mean(axis=(1, 2))
    assert order == list(np.argsort(-contribution))


def test_pointing_at_the_mask_tells_its_32_terms(lab: Lab, service: Service) -> None:
    t = service.decode("example", PROMPTS["one click"])
    channels, weights = t["output_upscaling.activated_twice"][0].numpy(), t["hyper_in"][0, 3].numpy()
    lab.set(image="example", panel="channels", off=[], weights={}, channels=32, mask=3, **PROMPTS["one click"])
    box = lab.page.locator(".desk canvas").bounding_box()
    assert box is not None
    lab.page.mouse.move(box["x"] + box["width"] * 180.5 / 256, box["y"] + box["height"] * 130.5 / 256)
    order = np.argsort(-np.abs(weights) * np.abs(channels).mean(axis=(1, 2)))
    shown = lab.values(".desk .bars dd")
    np.testing.assert_allclose(shown, (weights * channels[:, 130, 180])[order], atol=0.02)
    assert sum(shown) == pytest.approx(float(t["masks"][0, 3, 130, 180]), abs=0.1)


def test_weights_that_are_moved_and_muted_make_the_mask_that_intervene_makes(lab: Lab, service: Service) -> None:
    prompts = PROMPTS["one click"]
    t = service.decode("example", prompts)
    values = t["hyper_in"][0, 3].clone()
    values[18], values[2] = 5.0, 0.0
    moved = [{"point": "hyper_in", "how": "values", "values": values.tolist(), "select": {"masks": [3]}}]
    expected = masks_of(service, "example", service.decode("example", prompts, moved))
    lab.set(image="example", panel="channels", off=[], weights={"18": 5, "2": 0}, channels=32, mask=3, **prompts)
    image = service.images["example"]
    assert alike(lab.pixels(".desk canvas"), masked(image, expected[3], 3))
    lab.set(panel="masks")
    assert alike(lab.pixels(".card[data-mask='3'] canvas"), masked(image, expected[3], 3))
    lab.set(weights={})


def test_sum_of_the_first_channels(lab: Lab, service: Service) -> None:
    prompts = PROMPTS["one click"]
    t = service.decode("example", prompts)
    channels, weights = t["output_upscaling.activated_twice"][0].numpy(), t["hyper_in"][0, 3].numpy()
    order = np.argsort(-np.abs(weights) * np.abs(channels).mean(axis=(1, 2)))
    for count in (1, 5, 20):
        lab.set(image="example", panel="channels", off=[], weights={}, channels=count, mask=3, **prompts)
        mask = np.tensordot(weights[order[:count]], channels[order[:count]], 1) > 0
        assert alike(lab.pixels(".desk canvas"), masked(service.images["example"], mask, 3))
        full = t["masks"][0, 3].numpy() > 0
        shown = float(lab.page.get_attribute(".changed", "data-value") or "nan")
        assert shown == pytest.approx((mask & full).sum() / (mask | full).sum(), abs=5e-3)


@functools.cache
def unchanged(service: Service, image: str, prompts: str) -> Trace:
    return service.decode(image, json.loads(prompts))


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_every_switch_in_every_mode(lab: Lab, service: Service, stats: Statistics, part: Any) -> None:
    prompts = PROMPTS["elsewhere"]  # nothing of it is stored
    lab.set(image="example", panel="switches", weights={}, mask=3, off=[part.name], **prompts)
    before = masks_of(service, "example", unchanged(service, "example", json.dumps(prompts)))[3]
    other = lab.page.evaluate("explorer.otherClick")
    with_other = unchanged(service, other["image"], json.dumps(other["prompts"]))
    for mode in MODES:
        references = sam_edu.ablation.References(held_out=stats.means, other=with_other)
        predictor = service._predictor("example")
        with sam_edu.ablation.ablated(predictor.model, part.ablation(mode), references), sam_edu.trace(predictor) as t:
            predictor.predict([prompts["points"][0][:2]], [1])
        after = masks_of(service, "example", t)[3]
        canvas = f".modes figure[data-mode='{mode}'] canvas"
        assert lab.page.get_attribute(canvas, "data-provenance") == "now"
        lost, gained = (int(lab.page.get_attribute(canvas, f"data-{name}") or -1) for name in ("lost", "gained"))
        allowed = 1e-3 * before.size
        assert abs(lost - int((before & ~after).sum())) <= allowed
        assert abs(gained - int((after & ~before).sum())) <= allowed
        predicted = float(
            lab.page.get_attribute(f".modes figure[data-mode='{mode}'] .scores", "data-predicted") or "nan"
        )
        assert predicted == pytest.approx(float(t["iou_pred"][0, 3]), abs=5e-3)
        effect = stats.effect(part.ablation(mode))
        row = lab.page.locator(f".stored tr[data-ablation='{part.ablation(mode)}'] td")
        assert float(row.get_attribute("data-mean") or "nan") == pytest.approx(effect.mean, abs=1e-4)
    lab.set(off=[])


@pytest.mark.parametrize("number", [0, 1, 2])
def test_stored_masks_of_ablated_steps(lab: Lab, service: Service, number: int) -> None:
    stored = json.loads((SITE / "explorer" / "model.json").read_text(encoding="utf-8"))["ablated"][number]
    prompts = stored["prompts"]
    single = len(prompts["points"]) == 1
    steps = [part for part in PARTS if part.head is None]
    assert len(stored["ablations"]) == len(steps) * (len(MODES) if single else 1)
    before = masks_of(service, "example", service.decode("example", prompts))[1]
    for part in steps:
        lab.set(image="example", panel="switches", weights={}, mask=1, off=[part.name], **prompts)
        for mode in MODES if single else ("zero",):
            t = service.ablated("example", prompts, part, mode)
            after = masks_of(service, "example", t)[1]
            figure = f".modes figure[data-mode='{mode}']"
            shown = [lab.page.get_attribute(f"{figure} canvas", f"data-{x}") for x in ("provenance", "lost", "gained")]
            assert shown == ["stored", str((before & ~after).sum()), str((after & ~before).sum())]
            predicted = float(lab.page.get_attribute(f"{figure} .scores", "data-predicted") or "nan")
            assert predicted == pytest.approx(float(t["iou_pred"][0, 1]), abs=1e-5)
    lab.set(off=[], mask=None)


def test_several_switches_and_steps_contain_their_heads(lab: Lab) -> None:
    step = "transformer.layers.1.self_attn"
    lab.set(image="example", panel="switches", off=[], **PROMPTS["one click"])
    for name in (f"{step} head 0", f"{step} head 7", "transformer.layers.0.mlp"):
        lab.page.click(f"[data-part='{name}']")
    lab.settle()
    assert lab.state()["off"] == [f"{step} head 0", f"{step} head 7", "transformer.layers.0.mlp"]
    assert lab.page.locator(".stored table").count() == 0
    lab.page.click(f"[data-part='{step}']")
    lab.settle()
    assert lab.state()["off"] == ["transformer.layers.0.mlp", step]
    lab.page.click("[data-act=all-on]")
    lab.settle()
    assert lab.state()["off"] == []


def shown_ablations_are_right(lab: Lab, service: Service, part: str, click: list[int], mask: int) -> None:
    """What zero, mean and resample of one part show."""
    before = masks_of(service, "example", service.decode("example", {"points": [click], "box": None}))[mask]
    for mode in MODES:
        t = service.ablated("example", {"points": [click], "box": None}, BY_NAME[part], mode)
        after = masks_of(service, "example", t)[mask]
        canvas = lab.page.locator(f".modes figure[data-mode={mode}] canvas")
        for name, wanted in (("lost", before & ~after), ("gained", after & ~before)):
            shown = int(canvas.get_attribute(f"data-{name}") or "-1")
            assert abs(shown - int(wanted.sum())) <= 1e-3 * wanted.size, (mode, name)


def test_second_worker_computes_beside_the_first_and_gives_its_memory_back(lab: Lab, service: Service) -> None:
    parts = ("transformer.layers.0.mlp", "transformer.layers.1.cross_attn_image_to_token")
    lab.set(image="example", panel="switches", off=[parts[0]], mask=3, points=[CLICK])
    lab.page.wait_for_function("explorer.backend.second !== null", timeout=60_000)
    lab.page.evaluate(
        """() => {
            const { second } = explorer.backend, ask = second.ask.bind(second);
            self.answered = 0;
            second.ask = async (question, given) => {
                const answer = await ask(question, given);
                if (question.kind === "decode") self.answered++;
                return answer;
            };
        }"""
    )
    for part, click in zip(parts, ([90, 70, 1], [60, 180, 1]), strict=True):
        before = lab.page.evaluate("answered")
        lab.set(off=[part], points=[click])
        shown_ablations_are_right(lab, service, part, click, 3)
        assert lab.page.evaluate("answered") > before
    assert lab.page.evaluate("explorer.backend.ofSecond") == "example"
    assert lab.page.evaluate("explorer.backend.waiting.length") == 0
    assert len(lab.page.workers) == 2
    lab.set(off=[], panel="masks", mask=None, points=[CLICK])
    lab.page.wait_for_function("explorer.backend.second === null", timeout=60_000)
    wait_for_workers(lab, 1)

    lab.set(panel="switches", off=[parts[1]], mask=3, points=[[60, 170, 1]])
    lab.page.wait_for_function("explorer.backend.second !== null", timeout=60_000)
    lab.page.evaluate("explorer.backend.second.end('gone')")  # from now on the first one does all
    lab.set(points=[[200, 60, 1]])
    shown_ablations_are_right(lab, service, parts[1], [200, 60, 1], 3)
    lab.set(off=[], panel="masks", mask=None, points=[CLICK])
    lab.page.wait_for_function("explorer.backend.second === null", timeout=60_000)


def wait_for_workers(lab: Lab, count: int) -> None:
    """The browser tells of a worker's end after the page does."""
    for _ in range(1000):
        if len(lab.page.workers) != count:
            lab.page.evaluate("new Promise(requestAnimationFrame)")
    assert len(lab.page.workers) == count


def test_without_a_second_worker_the_first_one_does_all(lab: Lab, service: Service) -> None:
    lab.page.evaluate("""() => {
        self.kept = Worker;
        self.Worker = class { constructor() { throw new Error("no second worker"); } };
    }""")
    part = "transformer.layers.1.mlp"
    for click in ([90, 70, 1], [60, 180, 1]):
        lab.set(image="example", panel="switches", off=[part], mask=3, points=[click])
        shown_ablations_are_right(lab, service, part, click, 3)
    assert lab.page.evaluate("explorer.backend.second") is None
    lab.page.evaluate("() => { self.Worker = self.kept; }")
    lab.set(off=[], panel="masks", mask=None, points=[CLICK])


IMAGE_TO_TOKEN = "transformer.layers.{}.cross_attn_image_to_token"
SUMS = {
    "two heads": [(f"{IMAGE_TO_TOKEN.format(0)}.heads", [3]), (f"{IMAGE_TO_TOKEN.format(0)}.heads", [0, 6])],
    "a head twice": [(f"{IMAGE_TO_TOKEN.format(1)}.heads", [5]), (f"{IMAGE_TO_TOKEN.format(1)}.heads", [5, 2])],
    "both blocks": [(f"{IMAGE_TO_TOKEN.format(0)}.heads", None), (f"{IMAGE_TO_TOKEN.format(1)}.heads", [1])],
    "the output": [(f"{IMAGE_TO_TOKEN.format(1)}.out", None)],
    "the output after a head": [(f"{IMAGE_TO_TOKEN.format(0)}.heads", [2]), (f"{IMAGE_TO_TOKEN.format(0)}.out", None)],
}


def test_a_step_that_is_off_has_all_its_heads_off_in_an_address_too(lab: Lab) -> None:
    step, other = IMAGE_TO_TOKEN.format(0), IMAGE_TO_TOKEN.format(1)
    names = [f"{step} head 3", step, f"{other} head 1", f"{other} head 1", f"{other} head 2"]
    lab.page.evaluate("hash => (location.hash = hash)", address_of({"off": names}))
    lab.page.wait_for_function("explorer.state.off.length > 0")
    lab.settle()
    assert lab.state()["off"] == [step, f"{other} head 1", f"{other} head 2"]
    lab.set(off=[], panel="masks", mask=None, points=[CLICK])


@pytest.mark.parametrize("kind", SUMS)
def test_what_step_4_adds_elsewhere_is_put_in(lab: Lab, service: Service, kind: str) -> None:
    prompts, source = (
        {"points": [CLICK], "box": None},
        {"image": "scene-1000", "prompts": {"points": [OTHER], "box": None}},
    )
    changes = [
        {"point": point, "how": "transplant", "from": source, **({} if heads is None else {"select": {"heads": heads}})}
        for point, heads in SUMS[kind]
    ]
    request = {"image": "example", "prompts": prompts, "interventions": changes, "outputs": ["masks"]}
    got = lab.page.evaluate("async request => [...(await explorer.decode(request)).tensors.masks.data]", request)
    wanted = service.decode("example", prompts, changes)["masks"].numpy()
    unchanged = service.decode("example", prompts)["masks"].numpy()
    scale = np.abs(wanted).max()
    assert np.abs(np.reshape(got, wanted.shape) - wanted).max() <= 5e-4 * scale
    assert np.abs(unchanged - wanted).max() > 0.01 * scale


def test_mean_and_resample_need_one_click(lab: Lab) -> None:
    lab.set(image="example", panel="switches", off=["transformer.layers.0.mlp"], mask=0, **PROMPTS["two points"])
    assert lab.page.locator(".modes figure[data-mode=zero] canvas").get_attribute("data-lost") is not None
    for mode in ("mean", "resample"):
        figure = lab.page.locator(f".modes figure[data-mode={mode}]")
        assert "exactly one point" in figure.inner_text()
        assert figure.locator("canvas").is_hidden()
    lab.set(off=[], panel="masks", mask=None)


def test_two_clicks_and_a_transplant(lab: Lab, service: Service) -> None:
    kept, now = {"points": [CLICK], "box": None}, {"points": [OTHER], "box": None}
    path = "transformer.layers.1.cross_attn_image_to_token"
    lab.set(image="example", panel="clicks", off=[], weights={}, mask=3, other=kept, transplant=path, **now)
    t, other = service.decode("example", now), service.decode("example", kept)
    source = {"image": "example", "prompts": kept}
    changes = [{"point": f"{path}.{x}", "how": "transplant", "from": source} for x in "kv"]
    mixed = masks_of(service, "example", service.decode("example", now, changes))[3]
    image = service.images["example"]
    for number, mask in enumerate((masks_of(service, "example", other)[3], masks_of(service, "example", t)[3], mixed)):
        assert alike(lab.pixels(f".two figure:nth-of-type({number + 1}) canvas"), masked(image, mask, 3)), number
    lab.set(other=None, transplant="", panel="masks", mask=None)


def as_map(tensor: Any) -> np.ndarray:
    """Image tokens, or channels, as (channels, height, width)."""
    values = tensor[0].numpy()
    return values if values.ndim == 3 else values.T.reshape(-1, 64, 64)


def small(maps: np.ndarray) -> np.ndarray:
    """Maps on the grid of 64 x 64: the means of squares, where they are larger."""
    times = maps.shape[-1] // 64
    return maps.reshape(len(maps), 64, times, 64, times).mean(axis=(2, 4))


@pytest.mark.parametrize("tokens_alike", [True, False])
def test_streams_of_two_clicks_side_by_side(lab: Lab, service: Service, tokens_alike: bool) -> None:
    kept = {"points": [CLICK], "box": None}
    now = {"points": [OTHER] if tokens_alike else [OTHER, [30, 30, 0]], "box": None}
    lab.set(image="example", panel="clicks", off=[], weights={}, mask=3, other=kept, transplant="", **now)
    both = [service.decode("example", kept), service.decode("example", now)]
    bases = {name: embedding_basis(small(as_map(both[0][name]))) for name in ("src", UPSCALED)}
    fields = {name: field_of_distances(*(small(as_map(t[name])) for t in both)) for name in COLOURED}
    attentions = [stop.shows for stop in STOPS if stop.shows.endswith(".weights")]
    looks = {
        name: [t[name][0, :, 4 if "final" in name else 5].mean(0).reshape(64, 64).numpy() for t in both]
        for name in attentions
    }
    bright = float(np.quantile(np.stack([*looks.values()]), 0.998))
    for stop in STOPS:
        row = f".stop[data-stop='{stop.shows}']"
        shown = [f"{row} > :nth-child({i}) canvas" for i in (2, 3, 4)]
        if stop.shows in COLOURED:
            basis = bases.get(stop.shows, bases["src"])
            for canvas, t in zip(shown, both, strict=False):
                colours = 255 * basis.colours(small(as_map(t[stop.shows])))
                assert alike(lab.pixels(canvas), colours, levels=4, share=0.005), stop
            top = max(float(field.max()) for field in fields.values())
            if stop.shows == "src":
                assert not fields["src"].any()
                assert lab.page.locator(f"{row} .scores").last.inner_text() == "equal"
                assert lab.page.locator(shown[2]).is_hidden()
            else:
                distance = coloured(fields[stop.shows], 0, top, signed=False)
                assert alike(lab.pixels(shown[2]), distance, levels=6, share=0.005), stop
            mean = float(lab.page.get_attribute(row, "data-apart") or "nan")
            assert mean == pytest.approx(float(fields[stop.shows].mean()), abs=2e-3)
        elif stop.shows in attentions:
            for canvas, values in zip(shown, looks[stop.shows], strict=False):
                assert alike(lab.pixels(canvas), coloured(values, 0, bright, signed=False, root=True), levels=6), stop
        elif stop.shows == "hyper_in":
            for i, t in enumerate(both, start=2):
                weights = lab.values(f"{row} > :nth-child({i}) .weight-bars span")
                np.testing.assert_allclose(weights, t["hyper_in"][0, 3].numpy(), atol=2e-3)
        else:
            high = logit_end(*(t["masks"][0, 3].numpy() for t in both))
            for canvas, t in zip(shown, both, strict=False):
                assert alike(lab.pixels(canvas), coloured(t["masks"][0, 3].numpy(), -high, high, signed=True)), stop
        if stop.tokens and (tokens_alike or stop.tokens == "hyper_in"):
            wanted = distances(*(t[stop.tokens][0].numpy() for t in both))
            np.testing.assert_allclose(lab.values(f"{row} .bars dd"), wanted, atol=2e-3)
        else:
            assert lab.values(f"{row} .bars dd") == []
    lab.set(other=None, panel="masks", mask=None, points=[CLICK])


# --- Images of any shape ---


def drawing(width: int, height: int) -> Image.Image:
    """A bright ellipse off the middle."""
    y, x = np.mgrid[:height, :width]
    inside = ((x - 0.6 * width) / (0.25 * width)) ** 2 + ((y - 0.4 * height) / (0.3 * height)) ** 2 < 1
    pixels = np.where(inside[..., None], (230, 190, 40), (40, 70, 120)).astype(np.uint8)
    noise = np.random.default_rng(0).integers(0, 12, pixels.shape, dtype=np.uint8)
    return Image.fromarray(pixels + noise)


def png(image: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format="PNG", **options)
    return file.getvalue()


def choose(lab: Lab, name: str, data: bytes, kind: str = "image/png") -> None:
    lab.set(panel="own", off=[], weights={}, other=None, mask=None)
    lab.page.locator(".drop input").first.set_input_files({"name": name, "mimeType": kind, "buffer": data})


@pytest.mark.parametrize("size", [(256, 256), (300, 200), (200, 300), (641, 97), (64, 255), (1000, 31), (1024, 700)])
def test_masks_of_an_own_image_lie_where_they_belong(lab: Lab, service: Service, size: tuple[int, int]) -> None:
    image = drawing(*size)
    choose(lab, "one.png", png(image))
    lab.page.wait_for_function(f"explorer.shown?.info.id === 'own' && explorer.shown.info.width === {size[0]}")
    click = [int(0.6 * size[0]), int(0.4 * size[1]), 1]
    lab.set(points=[click])
    predictor = sam_edu.Predictor(sam_edu.load("tiny"))
    predictor.set_image(np.asarray(image))
    masks, iou, _ = predictor.predict([click[:2]], [1])
    np.testing.assert_allclose(lab.values(".card dd:nth-of-type(1)")[1:], iou, atol=2e-3)
    for number, mask in enumerate(masks, start=1):
        assert alike(lab.pixels(f".card[data-mask='{number}'] canvas"), masked(np.asarray(image), mask, number))


def test_results_of_an_own_image_are_not_kept_for_the_next_one(lab: Lab, service: Service) -> None:
    """The second has the first one's name, size and click."""
    part, click = "transformer.layers.0.mlp", [150, 110, 1]
    kept = {"points": [[60, 200, 1]], "box": None}
    images = [np.asarray(drawing(256, 256)), np.asarray(drawing(256, 256).rotate(90))]
    for number, image in enumerate(images):
        lab.page.evaluate(
            """async bytes => {
                await explorer.setOwn(new Blob([Uint8Array.from(bytes)], { type: "image/png" }));
            }""",
            list(png(Image.fromarray(image))),
        )
        lab.page.wait_for_function(f"explorer.shown?.info.id === 'own' && explorer.owned >= {number + 1}")
        lab.set(panel="switches", off=[part], points=[click], mask=3)
        service.set_image("own", image)
        after = masks_of(
            service, "own", service.ablated("own", {"points": [click], "box": None}, BY_NAME[part], "zero")
        )[3]
        before = masks_of(service, "own", service.decode("own", {"points": [click], "box": None}))[3]
        lost = int(lab.page.get_attribute(".modes figure[data-mode=zero] canvas", "data-lost") or "-1")
        assert abs(lost - int((before & ~after).sum())) <= 1e-3 * before.size
        lab.set(panel="clicks", off=[], other=kept)
        theirs = masks_of(service, "own", service.decode("own", kept))[3]
        assert alike(lab.pixels(".two figure:nth-of-type(1) canvas"), masked(image, theirs, 3))
    lab.set(image="example", panel="masks", other=None, mask=None, points=[CLICK])


def test_large_image_is_made_smaller_and_a_turned_one_upright(lab: Lab) -> None:
    choose(lab, "large.png", png(drawing(2400, 1200)))
    lab.page.wait_for_function("explorer.shown?.info.width === 1024 && explorer.shown.info.height === 512")
    file, turned = io.BytesIO(), Image.Exif()
    turned[0x0112] = 6  # the camera was turned: shown upright, width and height are exchanged
    drawing(300, 200).save(file, format="JPEG", exif=turned)
    choose(lab, "turned.jpg", file.getvalue(), "image/jpeg")
    lab.page.wait_for_function("explorer.shown?.info.width === 200 && explorer.shown.info.height === 300")
    lab.settle()
    assert lab.page.locator(".problem").is_hidden()


BAD: dict[str, tuple[bytes, str, str]] = {
    "a PDF": (b"%PDF-1.7 nothing", "application/pdf", "application/pdf, not an image"),
    "a text": (b"hello", "text/plain", "text/plain, not an image"),
    "a text that says it is a PNG": (b"hello", "image/png", "could not be read"),
    "nothing": (b"", "image/png", "could not be read"),
    "one pixel": (png(Image.new("RGB", (1, 1))), "image/png", "1 × 1 pixels"),
    "a strip": (png(Image.new("RGB", (500, 3))), "image/png", "500 × 3 pixels"),
    "60 megapixels": (png(Image.new("1", (10_000, 6_000))), "image/png", "10000 × 6000 pixels. Make it smaller"),
    "cut off": (png(drawing(300, 200))[:60], "image/png", "could not be read"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_files_are_answered_kindly(lab: Lab, kind: str) -> None:
    data, media, words = BAD[kind]
    lab.set(image="example", points=[CLICK], box=None)
    choose(lab, "file", data, media)
    lab.page.wait_for_selector(".problem:not([hidden])")
    assert words in lab.page.inner_text(".problem")
    lab.set(panel="masks")
    assert lab.state()["image"] == "example"  # what was there stays
    lab.page.wait_for_selector(".problem", state="hidden")


@pytest.mark.parametrize(
    "hash_",
    [
        "#%7B",
        "#nonsense",
        "#[1,2]",
        "#%7B%22points%22%3A%5B%5B-5%2C9999%2C7%5D%5D%7D",
        '#{"image":"own"}',
        '#{"image":"x","off":["y"],"mask":9}',
    ],
)
def test_senseless_addresses_start_anew(browser: Browser, address: str, hash_: str) -> None:
    lab = Lab(browser, address, hash_)
    state = lab.state()
    assert (state["image"], state["points"], state["off"], state["mask"]) == ("example", [CLICK], [], None)
    assert lab.messages == []
    lab.close()


# --- Acting on it ---


def test_points_by_mouse_dragged_undone_and_cleared(lab: Lab) -> None:
    lab.set(image="example", panel="masks", points=[CLICK], box=None, mask=None, off=[], other=None)
    box = lab.page.locator(".image").bounding_box()
    assert box is not None

    def at(x: float, y: float) -> tuple[float, float]:
        return box["x"] + (x + 0.5) * box["width"] / 256, box["y"] + (y + 0.5) * box["height"] / 256

    lab.page.click("[data-tool=negative]")
    lab.page.mouse.click(*at(127, 134))
    lab.settle()
    assert lab.state()["points"] == [CLICK, [127, 134, 0]]
    lab.page.mouse.move(*at(127, 134))
    lab.page.mouse.down()
    lab.page.mouse.move(*at(60, 200), steps=3)
    lab.page.mouse.up()
    lab.settle()
    assert lab.state()["points"] == [CLICK, [60, 200, 0]]
    lab.page.click("[data-tool=box]")
    lab.page.mouse.move(*at(100, 60))
    lab.page.mouse.down()
    lab.page.mouse.move(*at(240, 210), steps=3)
    lab.page.mouse.up()
    lab.settle()
    assert lab.state()["box"] == pytest.approx([100, 60, 240, 210], abs=1)
    lab.page.click("[data-act=clear]")
    lab.page.wait_for_function("explorer.state.points.length === 0 && explorer.state.box === null")
    lab.settle()
    assert lab.page.locator(".card").count() == 0
    assert "Set a point" in lab.page.inner_text(".provenance")
    lab.page.click("[data-act=undo]")
    lab.settle()
    assert lab.state()["points"] == [CLICK, [60, 200, 0]]
    lab.page.click("[data-tool=positive]")
    lab.set(points=[CLICK], box=None)


def test_following_the_pointer_shows_the_last_position(lab: Lab, service: Service) -> None:
    lab.set(image="example", panel="masks", points=[CLICK], box=None, mask=None, off=[])
    box = lab.page.locator(".image").bounding_box()
    assert box is not None
    lab.page.click("[data-tool=follow]")
    for x in range(60, 181, 10):
        lab.page.mouse.move(box["x"] + (x + 0.5) * box["width"] / 256, box["y"] + 110.5 * box["height"] / 256)
    lab.settle()
    assert lab.state()["points"] == [[180, 110, 1]]
    assert_cards(lab, service, "example", service.decode("example", {"points": [[180, 110, 1]], "box": None}))
    lab.page.click("[data-tool=follow]")
    lab.set(points=[CLICK])


def test_by_keyboard_alone(browser: Browser, address: str) -> None:
    lab = Lab(browser, address)
    for _ in range(30):
        lab.page.keyboard.press("Tab")
        if lab.page.evaluate("document.activeElement.classList.contains('image')"):
            break
    lab.page.keyboard.press("Shift+ArrowRight")
    lab.page.keyboard.press("ArrowUp")
    lab.page.keyboard.press("-")
    lab.page.keyboard.press("Enter")
    lab.settle()
    assert lab.state()["points"] == [CLICK, [138, 127, 0]]
    assert lab.page.locator("[aria-live=polite]").inner_text() == "2 points on the image."
    lab.page.keyboard.press("Backspace")
    lab.settle()
    assert lab.state()["points"] == [CLICK]
    lab.page.keyboard.press("Control+z")
    lab.settle()
    assert len(lab.state()["points"]) == 2
    lab.page.locator("[role=tab][aria-selected=true]").focus()
    lab.page.keyboard.press("ArrowRight")
    lab.settle()
    assert lab.state()["panel"] == "attention"
    assert lab.page.evaluate("document.activeElement.dataset.panel") == "attention"
    lab.page.keyboard.press("Tab")
    lab.page.keyboard.press("Tab")
    assert lab.page.evaluate("document.activeElement.name") == "attention"
    assert lab.messages == []
    lab.close()


def test_by_touch(browser: Browser, address: str) -> None:
    lab = Lab(browser, address, has_touch=True, is_mobile=True, viewport={"width": 390, "height": 800})
    box = lab.page.locator(".image").bounding_box()
    assert box is not None
    lab.page.touchscreen.tap(box["x"] + 0.3 * box["width"], box["y"] + 0.4 * box["height"])
    lab.settle()
    assert len(lab.state()["points"]) == 2
    assert lab.messages == []
    lab.close()


def test_by_pen(lab: Lab) -> None:
    lab.set(image="example", panel="masks", points=[CLICK], box=None, mask=None, off=[], other=None)
    box = lab.page.locator(".image").bounding_box()
    assert box is not None
    kinds: list[str] = []
    lab.page.expose_function("noteKind", lambda kind: kinds.append(kind))
    lab.page.evaluate(
        "document.querySelector('.image').addEventListener('pointerdown', event => noteKind(event.pointerType))"
    )
    pen = lab.page.context.new_cdp_session(lab.page)
    at = {"x": box["x"] + 60.5 * box["width"] / 256, "y": box["y"] + 95.5 * box["height"] / 256}
    for kind, buttons in (("mousePressed", 1), ("mouseReleased", 0)):
        event = {"type": kind, "button": "left", "buttons": buttons, "clickCount": 1, "pointerType": "pen", **at}
        pen.send("Input.dispatchMouseEvent", event)
    lab.settle()
    assert kinds == ["pen"]
    assert lab.state()["points"] == [CLICK, [60, 95, 1]]
    lab.set(points=[CLICK])


def test_other_senseless_acts_are_answered_kindly(lab: Lab) -> None:
    lab.set(image="example", panel="masks", points=[CLICK], box=None, mask=None, off=[], other=None)
    problem = lab.page.locator(".problem")
    # A press that begins outside of the image, as a window that is being resized may report it.
    lab.page.eval_on_selector(
        ".image",
        """image => {
            const { left, top } = image.getBoundingClientRect();
            image.dispatchEvent(new PointerEvent("pointerdown", { clientX: left - 9, clientY: top - 9, button: 0 }));
        }""",
    )
    assert "outside the image" in problem.inner_text()
    lab.page.eval_on_selector(".explorer", "page => page.dispatchEvent(new DragEvent('drop', { bubbles: true }))")
    assert "No image was found" in problem.inner_text()
    many = [[10 * i, 100, 1] for i in range(20)]
    lab.set(points=many)
    box = lab.page.locator(".image").bounding_box()
    assert box is not None
    lab.page.mouse.click(box["x"] + 0.9 * box["width"], box["y"] + 0.9 * box["height"])
    assert "20 points are the most" in problem.inner_text()
    assert lab.state()["points"] == many
    lab.set(points=[CLICK])


def test_link_brings_the_state_back(lab: Lab) -> None:
    wanted = {
        "image": "scene-1000",
        "points": [[153, 112, 1]],
        "mask": 2,
        "panel": "attention",
        "attention": {"of": "transformer.layers.1.cross_attn_token_to_image", "token": 3, "scale": "per head"},
        "off": ["transformer.layers.0.mlp"],
        "mode": "zero",
    }
    lab.set(**wanted)
    link = lab.page.evaluate("explorer.link()")
    lab.open()
    assert lab.state()["image"] == "example"
    lab.open(link.partition("index.html")[2])
    state = lab.state()
    assert {name: state[name] for name in wanted} == wanted
    lab.open()


def test_address_takes_what_was_set_last(lab: Lab) -> None:
    lab.model()
    lab.set(points=[[60, 95, 1]], panel="masks")
    lab.set(points=[[65, 95, 1]])
    lab.page.wait_for_url(lambda url: "[65,95,1]" in unquote(url))
    lab.set(points=[[70, 95, 1]])
    lab.leave()  # at once: the address is written then
    lab.page.go_back()
    lab.settle()
    assert lab.state()["points"] == [[70, 95, 1]]
    lab.open()


@pytest.mark.parametrize("notebook", SITUATIONS)
def test_what_a_notebook_opens_is_shown(lab: Lab, notebook: str) -> None:
    lab.page.evaluate("hash => (location.hash = hash)", address_of({**SITUATIONS[notebook], "stop": 2}))
    lab.page.wait_for_function("explorer.state.stop === 2")  # the page that is open takes it
    lab.page.evaluate("hash => (location.hash = hash)", address_of(SITUATIONS[notebook]))
    lab.page.wait_for_function(f"explorer.state.stop === {SITUATIONS[notebook].get('stop', 0)}")
    lab.settle()
    state = lab.state()
    for name, value in SITUATIONS[notebook].items():
        wanted = {**state[name], **value} if name == "attention" else value
        assert state[name] == wanted
    lab.set(stop=0, off=[], other=None, panel="masks", mask=None, channels=32, points=[CLICK], image="example")


def test_tour_asks_first_and_each_stop_leads_to_a_notebook(lab: Lab) -> None:
    lab.open({"stop": 1})
    seen = []
    for number in range(1, 11):
        assert lab.page.inner_text(".tour small") == f"Stop {number} of 10"
        if number < 10:
            assert lab.page.locator(".cards").is_hidden()
        seen.append(lab.page.inner_text(".tour h2"))
        link = lab.page.get_attribute(".tour a", "href") or ""
        assert (SITE / "explorer" / link).resolve().is_file()
        lab.page.click("[data-act=reveal]")
        lab.settle()
        assert lab.page.locator(".tour .answer").count() == 1
        assert lab.page.locator(".cards").is_visible()
        if number < 10:
            lab.page.click("[data-act=next]")
            lab.settle()
    assert len(set(seen)) == 10
    lab.page.click("[data-act=end-tour]")
    assert lab.page.locator(".tour").is_hidden()
    lab.open()


def found_at(lab: Lab, stop: int) -> str:
    """What a stop of the tour says was found."""
    lab.set(stop=stop)
    lab.page.click("[data-act=reveal]")
    lab.settle()
    lab.page.wait_for_selector(".tour .answer strong")
    return lab.page.inner_text(".tour .answer strong")


def test_tour_tells_what_is_found(lab: Lab, service: Service, stats: Statistics) -> None:
    one, two = (service.decode("example", PROMPTS[kind]) for kind in ("one click", "two points"))
    before, after = (f"{float(t['iou_pred'][0, 0]):.3f}" for t in (one, two))
    assert ", ".join(f"{float(score):.3f}" for score in one["iou_pred"][0, 1:]) in found_at(lab, 1)
    words = found_at(lab, 3)
    assert f"{before} with the one click, {after} with both" in words
    assert ("falls" if after < before else "rises") in words
    inside = (one["masks"][0, 3] > 0)[2::4, 2::4].flatten()
    looks = one["transformer.layers.0.cross_attn_token_to_image.weights"][0, :, 5].mean(0)
    share, area = float(looks[inside].sum() / looks.sum()), float((one["masks"][0, 3] > 0).float().mean())
    words = found_at(lab, 5)
    assert f"{100 * share:.0f} % of the weight" in words
    assert f"covers {100 * area:.0f} %" in words
    weights = one["transformer.layers.0.cross_attn_image_to_token.weights"][0].mean(0)
    heard, elsewhere = weights[inside].mean(0), weights[~inside].mean(0)
    names = ["IoU", "mask 0", "mask 1", "mask 2", "mask 3", "click 1 +", "padding"]
    first, second = heard.argsort(descending=True)[:2].tolist()
    shares = [
        f"{names[i]} ({100 * heard[i]:.0f} %; elsewhere it gets {100 * elsewhere[i]:.0f} %)" for i in (first, second)
    ]
    assert ", then to ".join(shares) in found_at(lab, 6)
    terms = one["hyper_in"][0, 3, :, None, None] * one["output_upscaling.activated_twice"][0]
    order = terms.abs().mean((1, 2)).argsort(descending=True)
    full = terms.sum(0) > 0
    sums = [terms[order[: count + 1]].sum(0) > 0 for count in range(32)]
    fewest = next(i + 1 for i, mask in enumerate(sums) if (mask & full).sum() / (mask | full).sum() >= 0.9)
    assert f"{fewest} channels" in found_at(lab, 7)
    part = "transformer.layers.0.cross_attn_token_to_image"
    words = found_at(lab, 8).replace("−", "-")
    for mode in ("mean", "resample"):
        effect = stats.effect(f"{part} {mode}")
        assert f"{effect.mean:+.3f} ({effect.low:+.3f} to {effect.high:+.3f})" in words
    lab.set(stop=0, off=[], other=None, panel="masks", mask=None, channels=32, points=[CLICK])


# --- Python ---

TAKEN: dict[str, dict[str, Any]] = {
    "a click": {"points": [CLICK]},
    "a box and points": {"points": [CLICK, [127, 134, 0]], "box": [104, 65, 245, 203]},
    "a photograph": {"image": "coffee", "points": [[248, 96, 1]], "panel": "attention"},
    "off, zero": {
        "points": [CLICK],
        "off": ["transformer.layers.1.cross_attn_image_to_token head 3", "transformer.layers.0.mlp"],
        "mode": "zero",
    },
    "off, mean": {"points": [CLICK], "off": ["transformer.layers.1.self_attn"], "mode": "mean"},
    "off, resample": {
        "image": "scene-1000",
        "points": [[153, 112, 1]],
        "off": ["transformer.final_attn_token_to_image"],
        "mode": "resample",
    },
    "weights": {"points": [CLICK], "mask": 3, "panel": "channels", "weights": {"18": 5, "2": 0}},
}


@pytest.mark.parametrize("kind", TAKEN)
def test_code_that_is_taken_along_computes_what_is_shown(lab: Lab, kind: str) -> None:
    start = {"image": "example", "box": None, "panel": "masks", "mask": 1, "off": [], "weights": {}, "other": None}
    lab.set(**{**start, **TAKEN[kind]})
    if TAKEN[kind].get("panel"):
        lab.set(panel="masks")  # the mixing desk has told the weights
    shown = np.array(lab.page.evaluate("Array.from(explorer.answer.tensors.masks.data)")).reshape(4, 256, 256)
    code = lab.page.evaluate("explorer.python()")
    names: dict[str, Any] = {}
    exec(compile(code, "copied", "exec"), names)
    wanted = names["t"]["masks"][0].numpy()
    assert np.abs(shown - wanted).max() <= 5e-4 * np.abs(wanted).max()
    assert names["logits"].shape == (256, 256)
    lab.set(**start, points=[CLICK])


def test_code_of_a_transplant(lab: Lab) -> None:
    path = "transformer.layers.1.cross_attn_image_to_token"
    lab.set(
        image="example", panel="clicks", points=[OTHER], mask=3, other={"points": [CLICK], "box": None}, transplant=path
    )
    names: dict[str, Any] = {}
    exec(compile(lab.page.evaluate("explorer.python()"), "copied", "exec"), names)
    mask = names["logits"].numpy() > 0
    assert alike(lab.pixels(".two figure:nth-of-type(3) canvas"), masked(sam_edu.example().image, mask, 3))
    lab.set(other=None, transplant="", panel="masks", mask=None, points=[CLICK])


# --- For everybody ---


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessibility_and_width(browser: Browser, address: str, scheme: Any) -> None:
    options: dict[str, Any] = {"color_scheme": scheme, "reduced_motion": "reduce"}
    lab = Lab(browser, address, {"stop": 2}, viewport={"width": 360, "height": 740}, **options)
    lab.page.click("[data-act=reveal]")
    lab.model()
    other = {"points": [OTHER], "box": None}
    for panel in ("masks", "attention", "channels", "switches", "clicks", "own"):
        lab.set(panel=panel, off=["transformer.layers.0.mlp"], other=other, points=[CLICK])
        assert lab.page.evaluate("document.documentElement.scrollWidth") <= 360, panel
        found = Axe().run(lab.page, options={"runOnly": list(WCAG)})
        assert found.violations_count == 0, f"{panel}: {found.generate_report()}"
    assert lab.messages == []
    lab.close()


@pytest.mark.parametrize(
    ("name", "body", "words"),
    [
        ("decoder.onnx", None, "decoder.onnx did not arrive (status 500)"),
        ("means.bin", b"something else", "means.bin arrived damaged"),
    ],
)
def test_failed_download_is_tried_again_then_said(browser: Browser, name: str, body: bytes | None, words: str) -> None:
    asked: list[str] = []
    with served(SITE, {name: body}, asked) as broken:
        lab = Lab(browser, broken)
        lab.page.wait_for_selector(".status[data-state=failed]", timeout=60_000)
        assert asked.count(name) == 2
        assert words in lab.page.inner_text(".status")
        assert lab.page.locator(".card").count() == 4  # what is stored is still there
        lab.close()


def test_image_is_prepared_before_it_is_clicked(browser: Browser, address: str) -> None:
    lab = Lab(browser, address)
    lab.page.add_init_script(
        """self.asked = [];
        const post = Worker.prototype.postMessage;
        Worker.prototype.postMessage = function (question, ...rest) {
            asked.push(question.kind + " " + (question.id ?? ""));
            return post.call(this, question, ...rest);
        };"""
    )
    lab.open({"image": "scene-1000"})
    lab.page.wait_for_function("asked.includes('prepare scene-1000')", timeout=60_000)
    lab.open({"points": [CLICK]})  # its decode is stored
    lab.page.wait_for_function("asked.includes('prepare example')", timeout=60_000)
    assert "decode " not in lab.page.evaluate("asked")
    lab.close()


def test_what_other_modes_give_is_drawn_when_one_fails(lab: Lab) -> None:
    lab.set(image="example", panel="masks", off=[], mask=3, points=[CLICK])
    lab.page.evaluate(
        """() => {
            const decode = self.decode = explorer.decode.bind(explorer);
            let given;
            const zero = new Promise(resolve => (given = resolve));
            explorer.decode = async request => {
                const how = request.interventions[0]?.how;
                if (how === "transplant") {
                    await zero;
                    await new Promise(requestAnimationFrame);  // it has arrived, and is not drawn yet
                    throw new Error("gone");
                }
                const answer = await decode(request);
                if (how === "zero") given();
                return answer;
            };
        }"""
    )
    state = {"panel": "switches", "off": [IMAGE_TO_TOKEN.format(0)], "points": [[90, 70, 1]]}
    lab.page.evaluate("state => explorer.set(state)", state)
    lab.page.wait_for_selector("#explorer[data-state=failed]", timeout=60_000)
    for mode in ("zero", "mean"):
        lab.page.wait_for_selector(f".modes figure[data-mode={mode}] canvas[data-lost]", timeout=60_000)
    assert lab.page.locator(".modes figure[data-mode=resample] canvas[data-lost]").count() == 0
    lab.page.evaluate("() => { explorer.decode = self.decode; }")
    lab.set(off=[], panel="masks", mask=None, points=[CLICK])


def test_committed_front_end_is_what_its_sources_make() -> None:
    from tools.build_explorer import main

    assert main(["--check"]) == 0


def test_colours_are_those_of_the_figures() -> None:
    assert tuple(DATA["colours"]["masks"]) == MASK_COLOURS
    assert Path(SITE / "explorer" / "explorer.css").is_file()
