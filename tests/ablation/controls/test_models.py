"""Control models: what is fresh or permuted, what stays, and that the model itself is left alone."""

import copy

import pytest
import torch

from sam_edu.ablation.controls import PARTS, reshuffled, untrained
from sam_edu.sam import Sam, build_tiny


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("control", [untrained, reshuffled])
def test_a_control_is_another_model_of_the_same_architecture(control, model: Sam) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = control(model, generator=seeded())
    assert {k: v.shape for k, v in found.state_dict().items()} == {k: v.shape for k, v in before.items()}
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    for name, buffer in found.named_buffers():
        assert torch.equal(buffer, model.get_buffer(name)), name
    assert not found.training
    assert not any(parameter.requires_grad for parameter in found.parameters())
    changed = [name for name, value in found.named_parameters() if not torch.equal(value, before[name])]
    assert len(changed) == len(list(model.parameters()))


@pytest.mark.parametrize("control", [untrained, reshuffled])
def test_a_control_of_a_model_in_training_is_for_inference(control, model: Sam) -> None:
    assert not control(copy.deepcopy(model).train(), generator=seeded()).training


@pytest.mark.parametrize("control", [untrained, reshuffled])
def test_a_control_follows_its_generator_alone(control, model: Sam) -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    one = control(model, generator=seeded())
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    same, other = control(model, generator=seeded()), control(model, generator=seeded(1))
    name = "mask_decoder.mask_tokens.weight"
    assert torch.equal(one.get_parameter(name), same.get_parameter(name))
    assert not torch.equal(one.get_parameter(name), other.get_parameter(name))


def test_reshuffled_tensors_keep_their_entries(model: Sam) -> None:
    found = reshuffled(model, generator=seeded())
    for name, value in found.named_parameters():
        assert torch.equal(value.flatten().sort().values, model.get_parameter(name).flatten().sort().values), name


def test_untrained_weights_are_those_that_training_begins_with(model: Sam) -> None:
    found, begun = untrained(model, generator=seeded()), build_tiny()
    for name, value in found.named_parameters():
        wanted = begun.get_parameter(name).detach()
        if wanted.numel() > 1000:
            torch.testing.assert_close(value.std(), wanted.std(), rtol=0.2, atol=1e-8)
        elif wanted.std(correction=0) == 0:
            assert torch.equal(value, wanted), name  # norms begin with ones and zeros


@pytest.mark.parametrize("control", [untrained, reshuffled])
@pytest.mark.parametrize("part", PARTS)
def test_only_the_chosen_parts_change(control, part: str, model: Sam) -> None:
    found = control(model, generator=seeded(), parts=(part,))
    for name, value in found.named_parameters():
        assert torch.equal(value, model.get_parameter(name)) == (not name.startswith(f"{part}.")), name


@pytest.mark.parametrize("control", [untrained, reshuffled])
@pytest.mark.parametrize("parts", [(), ("decoder",), "mask_decoder"])
def test_other_parts_are_refused(control, parts: object, model: Sam) -> None:
    with pytest.raises(ValueError, match="parts: expected some of image_encoder, prompt_encoder, mask_decoder, got"):
        control(model, generator=seeded(), parts=parts)


def test_an_unknown_architecture_has_no_fresh_weights(model: Sam) -> None:
    other = Sam(torch.nn.Conv2d(3, 256, 4, 4), model.prompt_encoder, model.mask_decoder, 256)
    with pytest.raises(ValueError, match="model: expected the tiny one or one of Meta's, got another architecture"):
        untrained(other, generator=seeded())
