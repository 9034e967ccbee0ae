"""Transplants: each one acts, where it says and nowhere before; and on cases whose answer is known."""

import pytest
import torch
from ablation_cases import random_inputs
from torch import Tensor

from sam_edu.ablation import ATTENTIONS, TRANSPLANTS, Ablation, transplanted
from sam_edu.ablation.quick_decoder import AblatedDecoder, position_encodings
from sam_edu.modules import MaskDecoder
from sam_edu.tracing import Trace, intervene, trace

GRID = 6
LAST = "transformer.layers.1"


def inputs_of(click: int) -> dict[str, Tensor]:
    """A click each on one image: only the first prompt token differs; the second is the padding token."""
    name = "sparse_prompt_embeddings"
    one, other = random_inputs(1, GRID), random_inputs(10 + click, GRID)
    return one | {name: torch.cat([other[name][:, :1], one[name][:, 1:]], dim=1)}


def decode(decoder: MaskDecoder, click: int) -> tuple[Trace, Tensor]:
    """The trace of a decode, and its masks 1 to 3."""
    with trace(decoder) as t:
        masks, _ = decoder(**inputs_of(click), multimask_output=True)
    return t, masks


@pytest.fixture(scope="module")
def a(decoder: MaskDecoder) -> tuple[Trace, Tensor]:
    return decode(decoder, 0)


@pytest.fixture(scope="module")
def b(decoder: MaskDecoder) -> tuple[Trace, Tensor]:
    return decode(decoder, 1)


def changed(decoder: MaskDecoder, name: str, source: Trace) -> tuple[Trace, Tensor]:
    """The decode of click A under a transplant."""
    with transplanted(decoder, name, source):
        return decode(decoder, 0)


@pytest.mark.parametrize("name", TRANSPLANTS)
def test_each_transplant_acts_where_it_says_and_changes_nothing_before(
    name: str, decoder: MaskDecoder, a: tuple[Trace, Tensor], b: tuple[Trace, Tensor]
) -> None:
    now, masks = changed(decoder, name, b[0])
    parts = {part.point: part.select for part in TRANSPLANTS[name].parts}
    for point, select in parts.items():
        new, old, source = now[point], a[0][point], b[0][point]
        assert not torch.allclose(old, source, atol=1e-3)  # B's differs, so there is something to put
        if select:
            [(axis, positions)] = select.items()
            assert now.axes(point)[1] == axis == "tokens"
            torch.testing.assert_close(new[:, positions], source[:, positions], rtol=0, atol=0)
            kept = [i for i in range(new.shape[1]) if i not in range(new.shape[1])[positions]]  # type: ignore[index]
            torch.testing.assert_close(new[:, kept], old[:, kept], rtol=0, atol=0)
        else:
            torch.testing.assert_close(new, source, rtol=0, atol=0)
    names = list(a[0])
    assert list(now) == names
    first = min(map(names.index, parts))
    for before in names[:first]:
        torch.testing.assert_close(now[before], a[0][before], rtol=0, atol=0)
    assert not torch.allclose(masks, a[1], atol=1e-3)


@pytest.mark.parametrize("name", TRANSPLANTS)
def test_quick_way_equals_the_plain_decoder(
    name: str, decoder: MaskDecoder, a: tuple[Trace, Tensor], b: tuple[Trace, Tensor]
) -> None:
    inputs = inputs_of(0)
    recorded = AblatedDecoder(decoder, inputs, position_encodings(decoder, inputs["image_pe"]))
    quick, _ = recorded.run(Ablation("", TRANSPLANTS[name].changes(b[0])))
    _, masks = changed(decoder, name, b[0])
    torch.testing.assert_close(quick[:, 1:], masks, atol=1e-4 * float(masks.abs().max()), rtol=1e-4)


@pytest.mark.parametrize("name", TRANSPLANTS)
def test_a_transplant_from_the_same_click_changes_nothing(
    name: str, decoder: MaskDecoder, a: tuple[Trace, Tensor]
) -> None:
    _, masks = changed(decoder, name, decode(decoder, 0)[0])
    torch.testing.assert_close(masks, a[1], rtol=0, atol=0)


def test_everything_after_the_last_block_gives_exactly_the_other_mask(
    decoder: MaskDecoder, a: tuple[Trace, Tensor], b: tuple[Trace, Tensor]
) -> None:
    _, masks = changed(decoder, f"{LAST} tokens and image tokens", b[0])
    torch.testing.assert_close(masks, b[1], rtol=1e-5, atol=1e-5 * float(b[1].abs().max()))
    assert not torch.allclose(masks, a[1], atol=1e-2)


@pytest.mark.parametrize("word", ["keys and values", "output"])
def test_step_4_of_both_blocks_puts_in_all_image_tokens_of_the_other_click(
    word: str, decoder: MaskDecoder, b: tuple[Trace, Tensor]
) -> None:
    now, _ = changed(decoder, f"step (4) {word}", b[0])
    for i in range(2):
        name = f"transformer.layers.{i}.keys_4"
        torch.testing.assert_close(now[name], b[0][name], rtol=1e-5, atol=1e-5)
    upscaled = "output_upscaling.activated_twice"
    torch.testing.assert_close(now[upscaled], b[0][upscaled], rtol=1e-5, atol=1e-5)


def test_in_block_0_three_transplants_are_one(decoder: MaskDecoder, b: tuple[Trace, Tensor]) -> None:
    names = [
        f"transformer.layers.0{end}"
        for end in (".cross_attn_image_to_token keys and values", ".cross_attn_image_to_token output", " image tokens")
    ]
    first, *others = (changed(decoder, name, b[0])[1] for name in names)
    for masks in others:
        torch.testing.assert_close(masks, first, rtol=1e-5, atol=1e-5)
    block_1, _ = changed(decoder, names[0].replace("0", "1"), b[0])
    assert not torch.allclose(block_1["keys"], b[0]["keys"], atol=1e-3)  # there the image knows the click already


def test_both_factors_of_the_product_give_exactly_the_other_mask_and_one_alone_does_not(
    decoder: MaskDecoder, b: tuple[Trace, Tensor]
) -> None:
    with transplanted(decoder, "hyper_in", b[0]), transplanted(decoder, "upscaled image", b[0]):
        _, masks = decode(decoder, 0)
    torch.testing.assert_close(masks, b[1], rtol=1e-5, atol=1e-5 * float(b[1].abs().max()))
    for name in ("hyper_in", "upscaled image"):
        assert not torch.allclose(changed(decoder, name, b[0])[1], b[1], atol=1e-2)


def test_the_click_token_itself_gives_the_other_decode(decoder: MaskDecoder, b: tuple[Trace, Tensor]) -> None:
    """All that differs between two clicks on one image comes in by this token."""
    with intervene(decoder, "tokens", b[0]["tokens"], tokens=5):
        now, masks = decode(decoder, 0)
    torch.testing.assert_close(masks, b[1], rtol=0, atol=0)
    torch.testing.assert_close(now["hs"], b[0]["hs"], rtol=0, atol=0)


def test_an_mlps_output_is_transplanted_with_its_hidden_units(
    decoder: MaskDecoder, a: tuple[Trace, Tensor], b: tuple[Trace, Tensor]
) -> None:
    block = "transformer.layers.1"
    now, _ = changed(decoder, f"{block}.mlp output", b[0])
    mlp, norm = decoder.get_submodule(f"{block}.mlp"), decoder.get_submodule(f"{block}.norm3")
    expected = norm(a[0][f"{block}.queries_2"] + mlp(b[0][f"{block}.queries_2"]))
    torch.testing.assert_close(now[f"{block}.queries_3"], expected, rtol=1e-5, atol=1e-5)


def test_keys_and_values_without_a_click_are_not_listed(a: tuple[Trace, Tensor], b: tuple[Trace, Tensor]) -> None:
    """To transplant what is equal would look like a part that carries nothing."""
    without = [name for name in ATTENTIONS if torch.equal(a[0][f"{name}.v"], b[0][f"{name}.v"])]
    assert without == ["transformer.layers.0.cross_attn_token_to_image"]
    assert [name for name in ATTENTIONS if f"{name} keys and values" not in TRANSPLANTS] == without


def test_names_cover_every_step() -> None:
    for name in ATTENTIONS:
        if f"{name} keys and values" in TRANSPLANTS:
            assert [part.point for part in TRANSPLANTS[f"{name} keys and values"].parts] == [f"{name}.k", f"{name}.v"]
        assert [part.point for part in TRANSPLANTS[f"{name} output"].parts] == [f"{name}.out"]
    for block in ("transformer.layers.0", "transformer.layers.1"):
        tokens, image = f"{block}.queries_3", f"{block}.keys_4"  # the last ones of each
        for end, points in (
            ("tokens", [tokens]),
            ("image tokens", [image]),
            ("tokens and image tokens", [tokens, image]),
        ):
            assert [part.point for part in TRANSPLANTS[f"{block} {end}"].parts] == points
    [two, last] = ("transformer.layers.1.cross_attn_token_to_image", "transformer.final_attn_token_to_image")
    both = TRANSPLANTS["steps (2) and (6-1) keys and values"]
    assert [part.point for part in both.parts] == [f"{two}.k", f"{two}.v", f"{last}.k", f"{last}.v"]
    assert len({one.definition for one in TRANSPLANTS.values()}) == len(TRANSPLANTS)


def test_what_cannot_be_transplanted_is_refused(decoder: MaskDecoder, b: tuple[Trace, Tensor]) -> None:
    with (
        pytest.raises(KeyError, match="no transplant of that name; there is hyper_in"),
        transplanted(decoder, "hyper", b[0]),
    ):
        pass
    with pytest.raises(KeyError, match="hyper_in"), transplanted(decoder, "hyper_in", {}):
        pass
    fewer = inputs_of(0)
    fewer["sparse_prompt_embeddings"] = fewer["sparse_prompt_embeddings"][:, :1]
    name = f"{ATTENTIONS[0]} keys and values"
    with transplanted(decoder, name, b[0]), pytest.raises(ValueError, match=r"needs a tensor of shape \(1, 8, 6, 32\)"):
        decoder(**fewer, multimask_output=True)
    decoder(**inputs_of(0), multimask_output=True)
    assert not [module for module in decoder.modules() if module._forward_pre_hooks]
