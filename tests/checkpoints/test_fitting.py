"""fill and recognise: what does not fit is listed, and left alone."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import sam_edu
from sam_edu import checkpoints
from sam_edu import sam as sam_module
from sam_edu.sam import load_from_environment, load_mask_decoder

# --- Refusals: other architectures ---


State = dict[str, Any]
IOU = "mask_decoder.iou_token.weight"


def changed(value: Any) -> Callable[[State], State]:
    return lambda state: {**state, IOU: value}


def without(pattern: str) -> Callable[[State], State]:
    return lambda state: {key: value for key, value in state.items() if not re.search(pattern, key)}


ENTRIES: dict[str, tuple[str, Callable[[State], State]]] = {
    "missing one": (rf"missing \(1\): {IOU}$", without(IOU)),
    "missing many": (r"missing \(2\d\): .*, \.\.\. and 1\d more$", without("hypernetworks")),
    "missing all": (r"It holds 0 entries\. missing \(", lambda _: {}),
    "extra one": (r"not expected \(1\): extra$", lambda state: {**state, "extra": torch.ones(2)}),
    "extra many": (
        r"not expected \(12\): x0, x1, .*x9, \.\.\. and 2 more$",
        lambda state: {**state, **{f"x{i}": torch.ones(2) for i in range(12)}},
    ),
    "misshaped": (rf"misshaped \(1\): {IOU} is 2x256, expected 1x256$", changed(torch.ones(2, 256))),
    "another rank": (rf"misshaped \(1\): {IOU} is a single number, expected 1x256$", changed(torch.ones(()))),
    "integers": (r"is 1x256 of torch.int64, expected 1x256$", changed(torch.ones(1, 256, dtype=torch.long))),
    "complex": (r"is 1x256 of torch.complex64, expected", changed(torch.ones(1, 256, dtype=torch.complex64))),
    "no tensor": (r"is a float, expected 1x256$", changed(0.5)),
    "no values": (r"is a tensor without ordinary values", changed(torch.ones(1, 256, device="meta"))),
    "sparse": (r"is a tensor without ordinary values", changed(torch.ones(1, 256).to_sparse())),
    "all three": (
        r"missing \(1\): .*; not expected \(1\): .*; misshaped \(1\): ",
        lambda state: {**changed(torch.ones(3))(without("no_mask_embed")(state)), "y": torch.ones(1)},
    ),
}


@pytest.mark.parametrize("name", ["tiny", "vit_b"])
@pytest.mark.parametrize("case", ENTRIES)
def test_entries_that_do_not_fit_are_listed(small, states, tmp_path, name, case):
    reason, change = ENTRIES[case]
    path = tmp_path / "weights.pth"
    torch.save(change(states(name)), path)
    with pytest.raises(ValueError, match=rf"^checkpoint: .*weights\.pth does not fit the model {name}\. .*{reason}"):
        sam_edu.load(name, checkpoint=path)


@pytest.mark.parametrize("form", ["zip", "safetensors"])
@pytest.mark.parametrize(
    ("name", "other"),
    [("vit_b", "vit_l"), ("vit_l", "vit_h"), ("vit_h", "vit_b"), ("tiny", "vit_b"), ("vit_b", "tiny")],
)
def test_another_model_is_recognised(small, states, tmp_path, name, other, form):
    path = tmp_path / "weights"
    (torch.save if form == "zip" else save_file)(states(other), path)
    with pytest.raises(ValueError, match=rf"fit the model {name}\. This looks like {other}: .*missing|misshaped"):
        sam_edu.load(name, checkpoint=path)


def test_an_unfit_checkpoint_leaves_a_model_as_it_was(small, states, tmp_path):
    model = sam_module.build_official("vit_b")
    before = {key: value.clone() for key, value in model.state_dict().items()}
    values = {**states("vit_b"), IOU: torch.ones(7)}
    with pytest.raises(ValueError, match="misshaped"):
        checkpoints.fill(model, checkpoints.Entries(tmp_path, "checkpoint", values), "vit_b")
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert model.training


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"image_encoder.patch_embed.proj.weight": torch.ones(768)},
        {"image_encoder.patch_embed.proj.weight": torch.ones(768, 3, 1, 1), "image_encoder.blocks.0.x": torch.ones(1)},
        {"image_encoder.patch_embed.proj.weight": "768"},
    ],
    ids=["empty", "rank", "too few blocks", "text"],
)
def test_what_looks_like_no_model_is_not_guessed(state):
    assert checkpoints.recognise(state) is None


# --- Known, and still not fitting ---

PATCH = "image_encoder.patch_embed.proj.weight"


def only(*parts: str) -> Callable[[State], State]:
    return lambda state: {key: value for key, value in state.items() if key.startswith(parts)}


def with_encoder_of(*names: str) -> Callable[[State], State]:
    """The same decoder and prompt encoder around another image encoder."""
    return lambda state: {**only("prompt_encoder.", "mask_decoder.")(state), **dict.fromkeys(names, torch.ones(2))}


KNOWN: dict[str, tuple[str, Callable[[State], State]]] = {
    "HQ-SAM": (
        r"This is HQ-SAM: its mask decoder has a sixth token[^.]*\. (not expected|misshaped)",
        lambda state: {**state, "mask_decoder.hf_token.weight": torch.ones(1, 256)},
    ),
    "MobileSAM": (
        r"This is MobileSAM .*: its image encoder is a TinyViT.* Its mask decoder, .*, loads alone: load_mask",
        with_encoder_of("image_encoder.patch_embed.seq.0.c.weight"),
    ),
    "SAM 2": (
        r"This is SAM 2: it has another image encoder",
        lambda _: {"sam_mask_decoder.iou_token.weight": torch.ones(1)},
    ),
    "SAM 2, as it is published": (
        r"This is SAM 2: .* a memory of earlier frames",
        lambda _: {
            "model": {"image_encoder.trunk.pos_embed": torch.ones(1), "memory_attention.norm.bias": torch.ones(1)}
        },
    ),
    "EfficientSAM": (
        r"This is EfficientSAM: its mask decoder upscales",
        lambda state: {
            "model": {
                **with_encoder_of("image_encoder.pos_embed")(state),
                "mask_decoder.final_output_upscaling_layers.0.0.weight": torch.ones(1),
            }
        },
    ),
    "a LoRA": (
        r"This is SAM with low-rank adapters .*merge_and_unload",
        lambda state: {**state, "mask_decoder.transformer.layers.0.self_attn.q_proj.lora_A.weight": torch.ones(1)},
    ),
    "a decoder": (
        r"It holds a mask decoder alone: load_mask_decoder\('.*'\) of sam_edu.sam gives it as a MaskDecoder, and model",
        only("mask_decoder."),
    ),
    "a decoder without its name": (
        r"It holds a mask decoder alone: ",
        lambda state: {key.removeprefix("mask_decoder."): v for key, v in only("mask_decoder.")(state).items()},
    ),
    "an image encoder": (
        r"It holds the image_encoder alone\. ",
        lambda state: {**only("image_encoder.")(state), PATCH: torch.ones(7)},
    ),
    "a prompt encoder": (r"It holds the prompt_encoder alone\. ", only("prompt_encoder.")),
    "another model": (r"It holds 1 entries, such as fc\.weight\. missing", lambda _: {"fc.weight": torch.ones(3)}),
}


@pytest.mark.parametrize("name", ["tiny", "vit_b"])
@pytest.mark.parametrize("case", KNOWN)
def test_what_is_known_is_called_by_its_name(small, states, tmp_path, name, case):
    reason, change = KNOWN[case]
    torch.save(change(states(name)), tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=rf"^checkpoint: .*does not fit the model {name}\. {reason}"):
        sam_edu.load(name, checkpoint=tmp_path / "weights.pth")


@pytest.mark.parametrize("case", ["MobileSAM", "SAM 2", "EfficientSAM", "a decoder", "a prompt encoder"])
def test_the_variable_s_file_is_called_by_its_name_too(small, states, monkeypatch, tmp_path, case):
    torch.save(KNOWN[case][1](states("vit_b")), tmp_path / "weights.pth")
    monkeypatch.setenv("SAM_EDU_CHECKPOINT", str(tmp_path / "weights.pth"))
    with pytest.raises(
        ValueError, match=r"^SAM_EDU_CHECKPOINT: .*is of none of the models tiny, .*; (This is|It holds)"
    ):
        load_from_environment()


# --- The decoder alone ---


@pytest.mark.parametrize("case", ["MobileSAM", "a decoder", "a decoder without its name"])
def test_a_decoder_is_loaded_as_the_message_says(small, states, tmp_path, case):
    path, state = tmp_path / "weights.pth", states("vit_b")
    torch.save(KNOWN[case][1](state), path)
    with pytest.raises(ValueError, match="load_mask_decoder") as refusal:
        sam_edu.load("vit_b", checkpoint=path)
    [call] = re.findall(r"load_mask_decoder\('[^']*'\)", str(refusal.value))
    decoder = eval(call, {"load_mask_decoder": load_mask_decoder})
    assert isinstance(decoder, sam_edu.MaskDecoder)
    assert not decoder.training
    for key, value in decoder.state_dict(keep_vars=True).items():
        assert torch.equal(value, state[f"mask_decoder.{key}"])
        assert not value.requires_grad
    model = sam_edu.load("tiny")
    model.mask_decoder = decoder  # what the message goes on to say
    assert torch.equal(model.state_dict()[IOU], state[IOU])


def test_the_decoder_of_a_whole_model(small, states, tmp_path):
    torch.save({"model": states("vit_l"), "epoch": 3}, tmp_path / "weights.pth")
    decoder = load_mask_decoder(tmp_path / "weights.pth", device="meta")
    assert all(tensor.is_meta for tensor in (*decoder.parameters(), *decoder.buffers()))
    tiny = sam_edu.load("tiny").mask_decoder.state_dict()
    assert all(torch.equal(value, tiny[key]) for key, value in load_mask_decoder().state_dict().items())


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        ("HQ-SAM", r"does not fit the model mask decoder\. This is HQ-SAM"),
        ("EfficientSAM", r"This is EfficientSAM"),
        ("a prompt encoder", r"does not fit the model mask decoder\. .*missing \(120\)"),
        ("another model", r"It holds 1 entries, such as fc\.weight\. missing \(120\)"),
    ],
)
def test_what_is_no_decoder_of_sam_is_refused(small, states, tmp_path, case, reason):
    torch.save(KNOWN[case][1](states("vit_b")), tmp_path / "weights.pth")
    with pytest.raises(ValueError, match=reason):
        load_mask_decoder(tmp_path / "weights.pth")


# --- Wrapped and prefixed ---

TRAINED: dict[str, Callable[[State], State]] = {
    "model": lambda state: {"model": state, "step": 3},
    "state_dict": lambda state: {"state_dict": state},
    "module.": lambda state: {f"module.{key}": value for key, value in state.items()},
    "_orig_mod.": lambda state: {f"_orig_mod.{key}": value for key, value in state.items()},
    "nested": lambda state: {"state_dict": {f"module._orig_mod.{key}": value for key, value in state.items()}},
    "MedSAM's training": lambda state: {
        "model": state,
        "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 1e-4, "params": [0]}]},
        "epoch": 12,
    },
}


@pytest.mark.parametrize("name", ["tiny", "vit_b", "vit_h"])
@pytest.mark.parametrize("case", TRAINED)
def test_what_training_saves_is_loaded(small, states, tmp_path, name, case):
    state = states(name)
    torch.save(TRAINED[case](state), tmp_path / "weights.pth")
    model = sam_edu.load(name, checkpoint=tmp_path / "weights.pth")
    assert all(torch.equal(value, state[key].float()) for key, value in model.state_dict().items())
