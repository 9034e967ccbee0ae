"""The quick way to switch things off gives what the plain decoder gives under `intervene`; and what is measured."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from sam_edu import ablation
from sam_edu.ablation import ABLATIONS, ATTENTIONS, TOKEN_TO_IMAGE, Ablation, Change, Prompt, ablated
from sam_edu.ablation.held_out import join, measure_prompts, prompts_of_scene
from sam_edu.ablation.measuring import SwitchedDecoder, collect, measure, merge, missing, position_codes, store
from sam_edu.modules import MaskDecoder
from sam_edu.sam import build_mask_decoder, build_tiny, load
from sam_edu.scenes.scene import Scene, draw_scene
from sam_edu.training.trainer import export

GRID = 6


@pytest.fixture(scope="module")
def decoder() -> MaskDecoder:
    """The official architecture with random weights, norms and biases included, so that nothing is zero or one."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = build_mask_decoder().eval()
        for parameter in made.parameters():
            parameter.data += 0.05 * torch.randn_like(parameter)
        for name in ATTENTIONS:  # sharp enough for heads to differ
            made.get_submodule(name).get_parameter("q_proj.weight").data *= 4
    return made.requires_grad_(False)


@pytest.fixture(scope="module")
def inputs() -> dict[str, Tensor]:
    made = torch.Generator().manual_seed(1)
    shapes = {
        "image_embeddings": (1, 256, GRID, GRID),
        "image_pe": (1, 256, GRID, GRID),
        "sparse_prompt_embeddings": (1, 2, 256),
        "dense_prompt_embeddings": (1, 256, GRID, GRID),
    }
    return {name: torch.randn(shape, generator=made) for name, shape in shapes.items()}


@pytest.fixture(scope="module")
def recorded(decoder: MaskDecoder, inputs: dict[str, Tensor]) -> SwitchedDecoder:
    return SwitchedDecoder(decoder, inputs, position_codes(decoder, inputs["image_pe"]))


# Tensors that no switch of the list replaces, as somebody may add one that does.
OTHERS: dict[str, Ablation] = {
    point: Ablation("", (Change(point, "zero", select),))
    for point, select in {
        "src": {"dim": [0, 1, 2]},
        "pos_src": {},
        "tokens": {"tokens": 5},
        "transformer.layers.0.cross_attn_token_to_image.k": {"heads": 1},
        "transformer.layers.0.cross_attn_token_to_image.weights": {"heads": 1},
        "transformer.layers.1.cross_attn_token_to_image.scores": {"heads": [2, 3]},
        "transformer.layers.1.cross_attn_token_to_image.weights": {"heads": 1, "queries": 5},
        "transformer.layers.0.cross_attn_image_to_token.q": {"heads": 1},
        "transformer.layers.1.cross_attn_image_to_token.v": {"heads": 1},
        "transformer.layers.1.cross_attn_image_to_token.weights": {"heads": 1},
        "transformer.layers.1.queries_3": {"tokens": 2},
        "transformer.layers.1.keys_4": {"dim": 7},
        "transformer.final_attn_token_to_image.k": {"heads": 1},
        "hs": {"tokens": 2},
        "keys": {"dim": 7},
        "output_upscaling.activated_once": {"channels": 3},
        "hyper_in": {"masks": 2},
        "masks": {"masks": 2},
        "iou_pred": {"masks": 2},
    }.items()
}


@pytest.mark.parametrize("name", [*ABLATIONS, *OTHERS])
def test_quick_way_equals_the_plain_decoder(
    name: str,
    decoder: MaskDecoder,
    inputs: dict[str, Tensor],
    recorded: SwitchedDecoder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for other, switch in OTHERS.items():
        monkeypatch.setitem(ABLATIONS, other, switch)
    with ablated(decoder, name):
        masks, iou = decoder(**inputs, multimask_output=True)
    quick_masks, quick_iou = recorded.run(ABLATIONS[name].of(decoder))
    torch.testing.assert_close(quick_masks, masks, atol=1e-4 * float(masks.abs().max()), rtol=1e-4)
    torch.testing.assert_close(quick_iou, iou, atol=1e-4 * max(1.0, float(iou.abs().max())), rtol=1e-4)
    changed = not torch.allclose(masks, recorded.masks, atol=1e-6) or not torch.allclose(iou, recorded.iou, atol=1e-6)
    assert changed  # a switch that changed nothing would prove nothing


def test_positional_codes_in_the_values_are_values_made_from_what_the_keys_are_made_from(
    decoder: MaskDecoder, inputs: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In both blocks. Step (1) of block 0 has no codes, so its keys and its values are one and the same already."""
    name = "positional codes in the values"
    with ablated(decoder, name):
        masks, iou = decoder(**inputs, multimask_output=True)
    for attention in ATTENTIONS[:-1]:
        module = decoder.get_submodule(attention)
        plain = module.forward
        monkeypatch.setattr(module, "forward", lambda q, k, v, plain=plain: plain(q=q, k=k, v=k))
    by_hand, iou_by_hand = decoder(**inputs, multimask_output=True)
    torch.testing.assert_close(masks, by_hand, atol=1e-4 * float(by_hand.abs().max()), rtol=1e-4)
    torch.testing.assert_close(iou, iou_by_hand, atol=1e-4, rtol=1e-4)


def test_scenes_are_measured_from_the_first_held_out_one_on(weights: Path) -> None:
    rows = switched.rows_of_scenes(lambda model, number: [{"prompt": np.array(number)}], weights, 3, progress=False)
    assert [int(row["prompt"]) for row in rows] == [1000, 1001, 1002]
    with pytest.raises(ValueError, match="scenes: expected some with at least one mask, got 2 without"):
        switched.rows_of_scenes(lambda model, number: [], weights, 2, progress=False)


def test_a_scene_with_nothing_to_click_on_gives_no_rows(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load("tiny", checkpoint=weights)
    scene = draw_scene(0)
    empty = Scene(scene.image, scene.masks[:0], scene.level[:0], scene.parent[:0], ())
    monkeypatch.setattr(statistics, "draw_scene", lambda seed: empty)
    assert ablation.prompts_of(1000)[2] == []
    assert switched.measure_scene(model, 1000) == []
    assert prompts_of_scene(model, 1000) == []


def test_no_hook_stays(decoder: MaskDecoder, recorded: SwitchedDecoder) -> None:
    recorded.run(ABLATIONS["transformer.layers.0 off"].of(decoder))
    assert not [name for name, module in decoder.named_modules() if module._forward_pre_hooks or module._forward_hooks]


def test_only_what_can_change_is_computed_again(decoder: MaskDecoder, recorded: SwitchedDecoder) -> None:
    passed: list[str] = []
    hooks = [
        module.register_forward_hook(lambda *_, name=name: passed.append(name))
        for name, module in decoder.named_modules()
        if name in (*ATTENTIONS, "output_upscaling") or name.endswith((".queries_1", ".keys_4", "hs"))
    ]
    recorded.run(ABLATIONS[f"{ATTENTIONS[-1]} head 0 zero"].of(decoder))
    assert passed == ["hs"]
    passed.clear()
    recorded.run(ABLATIONS[f"{ATTENTIONS[5]} head 0 zero"].of(decoder))
    assert passed == ["transformer.layers.1.keys_4", "hs"]
    for hook in hooks:
        hook.remove()


def test_looks_of_known_weights() -> None:
    """On a grid of 2 x 2 places of 2 x 2 pixels, with the click in the first pixel."""
    weights = {name: torch.full((8, 7, 4), 0.25) for name in ATTENTIONS}
    weights[TOKEN_TO_IMAGE[1]][3, 5] = torch.tensor([0.0, 1.0, 0.0, 0.0])
    masks = np.zeros((1, 4, 4), bool)
    masks[0, :2, :3] = True
    row = switched._looks(weights, Prompt(0, 0, 0, 0, 0, 6), masks)
    assert row["entropy"].shape == (7, 8)
    np.testing.assert_allclose(row["entropy"][0], 1)
    np.testing.assert_allclose(row["entropy"][ATTENTIONS.index(TOKEN_TO_IMAGE[1]), 3], 6 / 7)
    assert row["distance"].shape == row["share"].shape == (3, 9)
    np.testing.assert_allclose(row["distance"][1, 3], math.hypot(2.5, 0.5))
    np.testing.assert_allclose(row["share"][1, 3], 0.5)
    np.testing.assert_allclose(row["share"][:, 8], 6 / 16)
    np.testing.assert_allclose(row["distance"][0, :8], row["distance"][0, 8])


@pytest.fixture
def few_switches(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The list made short."""
    few = [f"{ATTENTIONS[-1]} head 0 zero", f"{ATTENTIONS[1]} head 7 mean"]
    chosen = {name: ABLATIONS[name] for name in few}
    monkeypatch.setattr(statistics, "ABLATIONS", chosen)
    monkeypatch.setattr(switched, "ABLATIONS", chosen)
    return few


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random ones, as the trainer stores them."""
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        export(build_tiny(), path)
    return path


def test_file_is_measured_stored_and_read(weights: Path, few_switches: list[str], tmp_path: Path) -> None:
    data = measure(weights, scenes=1, progress=False)
    assert not missing(data)
    path = tmp_path / "statistics.npz"
    store(join(data, measure_prompts(weights, scenes=1, progress=False)), path)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    stats = ablation.load(path, weights=weights)
    assert list(stats.names) == few_switches
    assert [prompt.scene for prompt in stats.prompts] == [ablation.FIRST_SCENE] * len(stats.prompts)
    model = load("tiny", checkpoint=weights)
    for name in (None, *few_switches):
        live = ablation.recompute(model, name, stats.prompts)
        stored = stats.baseline() if name is None else stats.scores(name)
        np.testing.assert_allclose(live, stored, atol=ablation.TOLERANCE)
    again = ablation.prompts_again(model, stats.prompts)
    for name in ("predicted", "iou", "iou_any", "stability"):
        np.testing.assert_allclose(getattr(again, name), getattr(stats.prompts, name), atol=ablation.TOLERANCE)


def test_interrupted_writing_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "statistics.npz"
    path.write_bytes(b"before")

    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez_compressed", fail)
    with pytest.raises(KeyboardInterrupt):
        store({}, path)
    assert path.read_bytes() == b"before"
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_rows_are_stacked_and_stamped(weights: Path) -> None:
    row = {
        "prompt": np.array(Prompt(1000, 0, 0, 5, 6, 7)),
        "scores": np.zeros((1 + len(ABLATIONS), 2)),
        "entropy": np.zeros((7, 8)),
        "distance": np.zeros((3, 9)),
        "share": np.zeros((3, 9)),
    }
    data = collect(weights, [row, row], list(ABLATIONS))
    assert str(data["weights"]) == statistics.sha256(weights)
    assert data["scores"].shape == (1 + len(ABLATIONS), 2, 2)
    assert data["entropy"].shape == (2, 7, 8)


def made_up(weights: str, names: list[str], value: float) -> dict[str, object]:
    return {
        "weights": np.array(weights),
        "prompts": np.array([Prompt(1000, 0, 0, 5, 6, 7)]),
        "definitions": np.array(json.dumps({name: ABLATIONS[name].definition for name in names})),
        "scores": np.full((1 + len(names), 1, 2), value),
    }


def test_what_is_new_joins_what_was_measured_before() -> None:
    first, second, third, *_ = ABLATIONS
    before, new = made_up("a", [third, first], 0.5), made_up("a", [second], 0.25)
    before["definitions"] = np.array(str(before["definitions"]).replace("}", ', "gone": "what it was"}'))
    before["scores"] = np.full((4, 1, 2), 0.5)
    assert missing(before) == [name for name in ABLATIONS if name not in (first, third)]
    before["prompts.iou"] = np.ones((1, 4))
    merged = merge(before, new)
    assert merged["prompts.iou"] is before["prompts.iou"]
    assert list(json.loads(str(merged["definitions"]))) == [first, second, third]
    assert merged["scores"][:, 0, 0].tolist() == [0.25, 0.5, 0.25, 0.5]
    with pytest.raises(ValueError, match="other weights or other clicks"):
        merge(before, made_up("b", [second], 0.25))
