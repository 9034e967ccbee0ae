"""to_metas_names: wrapped, prefixed and Hugging Face's names become Meta's; what is ambiguous is refused."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from sam_edu.modules import MaskDecoder, PromptEncoder, TwoWayTransformer
from sam_edu.official.layouts import OTHER_MODELS, LayoutError, other_model, to_metas_names

State = dict[str, Any]


def small() -> nn.Module:
    """The three parts of a model, small, with values of their own."""
    model = nn.Module()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model.image_encoder = nn.Sequential(nn.Conv2d(3, 8, 4), nn.GELU())
        model.prompt_encoder = PromptEncoder(8, (2, 2), (8, 8), 4)
        model.mask_decoder = MaskDecoder(transformer_dim=8, transformer=TwoWayTransformer(2, 8, 2, 4))
    return model


MODEL = small()
STATE = MODEL.state_dict()


def prefixed(prefix: str) -> Callable[[State], State]:
    return lambda state: {f"{prefix}{key}": value for key, value in state.items()}


def inside(part: str, word: str) -> Callable[[State], State]:
    """As a wrapper around one part alone puts its word into the names."""
    return lambda state: {key.replace(f"{part}.", f"{part}.{word}.", 1): value for key, value in state.items()}


def beside(key: str, **others: Any) -> Callable[[State], State]:
    return lambda state: {key: state, **others}


def both(first: Callable[[State], State], second: Callable[[State], State]) -> Callable[[State], State]:
    return lambda state: second(first(state))


OPTIMISER = {"state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.ones(3)}}, "param_groups": [{"lr": 0.1}]}

# What training, and torch's wrappers, make of a state dict.
LAYOUTS: dict[str, Callable[[State], State]] = {
    "Meta's": lambda state: state,
    "DataParallel": prefixed("module."),
    "compile": prefixed("_orig_mod."),
    "compile in DDP": prefixed("module._orig_mod."),
    "DDP in compile": prefixed("_orig_mod.module."),
    "twice the same": prefixed("module.module."),
    "Lightning": both(prefixed("model."), beside("state_dict", epoch=3, global_step=70, hyper_parameters={"lr": 0.1})),
    "an attribute": prefixed("sam."),
    "an attribute of an attribute": prefixed("net.sam_model."),
    "an attribute in DDP": prefixed("module.sam."),
    "compile of a part": inside("mask_decoder", "_orig_mod"),
    "DDP of a part": inside("image_encoder", "module"),
    "FSDP": both(prefixed("_fsdp_wrapped_module."), inside("mask_decoder", "_fsdp_wrapped_module")),
    "activation checkpointing": inside("mask_decoder.transformer.layers.0", "_checkpoint_wrapped_module"),
    "model": beside("model"),
    "state_dict": beside("state_dict"),
    "MedSAM's training": beside("model", optimizer=OPTIMISER, epoch=7),
    "in two dictionaries": both(beside("state_dict"), beside("checkpoint", date="today")),
    "an odd name": beside("weights of 2024", loss=[0.1, 0.2]),
    "all at once": both(prefixed("module._orig_mod.model."), beside("state_dict", optimizer=OPTIMISER, epoch=1)),
    "an average": lambda state: {"n_averaged": torch.tensor(4), **prefixed("module.")(state)},
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_wrapped_and_prefixed_names_become_metas(name: str) -> None:
    found = to_metas_names(LAYOUTS[name](dict(STATE)))
    assert list(found) == list(STATE)
    assert all(found[key] is STATE[key] for key in STATE)


def test_torch_s_own_wrappers_give_such_names() -> None:
    """The words above are those that torch writes."""
    model = copy.deepcopy(MODEL)
    wrapped = [nn.DataParallel(model), torch.compile(model), nn.DataParallel(torch.compile(model))]
    wrapped.append(torch.optim.swa_utils.AveragedModel(model))
    for module in wrapped:
        state = module.state_dict()
        assert list(state) != list(STATE)
        assert list(to_metas_names(state)) == list(STATE)


@pytest.mark.parametrize(
    "prefix", ["", "module.", "mask_decoder.", "module.mask_decoder.", "model.decoder.", "_orig_mod."]
)
def test_a_decoder_alone_gets_its_name_in_front(prefix: str) -> None:
    decoder = MODEL.get_submodule("mask_decoder").state_dict()
    for state in (prefixed(prefix)(decoder), {"model": prefixed(prefix)(decoder), "epoch": 1}):
        assert list(to_metas_names(state)) == [f"mask_decoder.{key}" for key in decoder]


@pytest.mark.parametrize(
    "values",
    [{}, {"a.weight": torch.ones(2)}, {"model": {"a.weight": torch.ones(2)}}, {"model": 3}, {"a": {"b": {0: 1}}}],
)
def test_what_is_nothing_of_sam_is_left_alone(values: State) -> None:
    assert to_metas_names(values) is values


def test_a_dictionary_is_not_looked_for_without_end() -> None:
    deep: State = dict(STATE)
    for _ in range(4):
        deep = {"a": deep}
    assert to_metas_names(deep) is deep
    assert to_metas_names(deep["a"]) == STATE


def test_what_stands_beside_prefixed_entries_is_kept_to_be_listed() -> None:
    state = {**prefixed("model.")(STATE), "loss.weight": torch.ones(1)}
    assert set(to_metas_names(state)) == {*STATE, "loss.weight"}


AMBIGUOUS: dict[str, tuple[State, str]] = {
    "an average beside the model": (
        {"model": STATE, "ema": STATE},
        r"several state dicts, at \['model'\] and \['ema'\]",
    ),
    "deeper": ({"a": {"b": STATE}, "c": STATE}, r"at \['a'\]\['b'\] and \['c'\].*weights_only=True\)\['a'\]\['b'\]"),
    "student and teacher": (
        {**prefixed("student.")(STATE), **prefixed("teacher.")(STATE)},
        "several models, whose entries begin with 'student.' and 'teacher.'",
    ),
    "with and without a prefix": (
        {**prefixed("ema.")(STATE), **STATE},
        "several models, whose entries begin with '' and 'ema.'",
    ),
    "two that become one": (
        {**STATE, **inside("mask_decoder", "module")(STATE)},
        "two entries that are both 'mask_decoder",
    ),
    "two matrices of Hugging Face's": (
        {
            "shared_image_embedding.positional_embedding": torch.ones(2, 4),
            "prompt_encoder.shared_embedding.positional_embedding": torch.zeros(2, 4),
        },
        "two entries that are both 'prompt_encoder.pe_layer.*and differ",
    ),
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_what_is_ambiguous_is_refused(name: str) -> None:
    values, reason = AMBIGUOUS[name]
    with pytest.raises(LayoutError, match=reason):
        to_metas_names(values)


def test_the_advice_for_several_state_dicts_works(tmp_path: Any) -> None:
    path, new_path = tmp_path / "old.pth", tmp_path / "new.pth"
    torch.save({"model": STATE, "ema": STATE}, path)
    with pytest.raises(LayoutError) as refusal:
        to_metas_names(torch.load(path, weights_only=True))
    exec(str(refusal.value).rpartition("alone, ")[2], {"torch": torch, "path": path, "new_path": new_path})
    assert list(to_metas_names(torch.load(new_path, weights_only=True))) == list(STATE)


# --- Other models ---

# Entries of each as its own code names them.
OTHERS = {
    "HQ-SAM": [
        "mask_decoder.hf_token.weight",
        "mask_decoder.compress_vit_feat.0.weight",
        "mask_decoder.hf_mlp.layers.0.bias",
    ],
    "HQ-SAM of Hugging Face's": ["vision_encoder.pos_embed", "mask_decoder.hq_token.weight"],
    "SAM 2": ["image_encoder.trunk.pos_embed", "sam_mask_decoder.iou_token.weight", "memory_attention.norm.bias"],
    "SAM 2 of a video": [
        "maskmem_tpos_enc",
        "no_mem_embed",
        "image_encoder.neck.convs.0.conv.weight",
        "obj_ptr_proj.bias",
    ],
    "SAM 2 of a decoder": ["mask_decoder.conv_s0.weight", "mask_decoder.pred_obj_score_head.layers.0.weight"],
    "SAM 2 of Hugging Face's": ["vision_encoder.backbone.pos_embed", "mask_decoder.obj_score_token.weight"],
    "SAM 2 of Hugging Face's, its encoder": ["vision_encoder.backbone.blocks.0.attn.qkv.weight"],
    "MobileSAM": ["image_encoder.patch_embed.seq.0.c.weight", "image_encoder.layers.0.blocks.0.conv1.c.weight"],
    "TinyViT": ["image_encoder.layers.1.blocks.0.attn.qkv.weight"],
    "EfficientSAM": ["image_encoder.pos_embed", "mask_decoder.final_output_upscaling_layers.0.0.weight"],
    "RepViT-SAM": ["image_encoder.features.0.0.c.weight"],
    "EdgeSAM": [
        "image_encoder.features.1.token_mixer.0.conv.c.weight",
        "image_encoder.fuse_stage2.weight",
        "image_encoder.fuse_stage3.op_list.0.weight",
        "image_encoder.neck.0.weight",
    ],
    "EfficientViT-SAM": [
        "image_encoder.backbone.stages.0.op_list.0.conv.weight",
        "image_encoder.neck.input_ops.0.op_list.0.conv.weight",
        "image_encoder.norm.weight",
    ],
    "SAM-Med2D": ["image_encoder.blocks.0.Adapter.spatial.0.weight"],
    "Medical SAM Adapter": ["image_encoder.blocks.0.Space_Adapter.D_fc1.weight"],
    "peft": ["mask_decoder.transformer.layers.0.self_attn.q_proj.lora_A.default.weight"],
    "SAMed": ["image_encoder.blocks.0.attn.qkv.linear_a_q.weight"],
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_models_are_known_by_their_entries(name: str) -> None:
    rest = [key for key in STATE if key.startswith(("prompt_encoder.", "mask_decoder."))]
    found = other_model(to_metas_names(dict.fromkeys([*OTHERS[name], *rest], torch.ones(1))))
    assert found is not None
    word = {"TinyViT": "TinyViT", "peft": "LoRA", "SAMed": "LoRA", "Medical SAM Adapter": "adapters"}.get(name)
    assert (word or name.partition(" of ")[0]) in found.name
    assert found.reason


def test_every_other_model_is_tried() -> None:
    assert {other_model(entries) for entries in OTHERS.values()} == set(OTHER_MODELS)


def test_sam_is_no_other_model() -> None:
    assert other_model(STATE) is None
    assert other_model(["image_encoder.neck.0.weight", "image_encoder.blocks.0.attn.qkv.weight", ""]) is None


# --- Hugging Face ---


def test_the_order_of_entries_does_not_matter() -> None:
    names = [
        "mask_decoder.iou_prediction_head.proj_out.weight",
        "mask_decoder.iou_prediction_head.layers.1.weight",
        "mask_decoder.iou_prediction_head.layers.0.weight",
        "mask_decoder.iou_prediction_head.proj_in.weight",
        "mask_decoder.output_hypernetworks_mlps.3.proj_out.bias",
        "mask_decoder.upscale_conv1.weight",
    ]
    head = "mask_decoder.iou_prediction_head.layers."
    assert list(to_metas_names(dict.fromkeys(names))) == [
        *(f"{head}{i}.weight" for i in (3, 2, 1, 0)),
        "mask_decoder.output_hypernetworks_mlps.3.layers.1.bias",
        "mask_decoder.output_upscaling.0.weight",
    ]
