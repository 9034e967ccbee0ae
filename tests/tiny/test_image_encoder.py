"""TinyImageEncoder: shapes, what its fine branch starts as, how far it sees, and what it refuses."""

import pytest
import torch

from sam_edu.tiny.image_encoder import ResidualBlock, TinyImageEncoder


@pytest.fixture(scope="module")
def encoder() -> TinyImageEncoder:
    """Narrow, but for the image's size."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return TinyImageEncoder(widths=(16, 16, 32), depth=1).eval()


def random_images(batch: int = 1, size: int = 256) -> torch.Tensor:
    return torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(1))


def test_embedding_has_the_official_shape(encoder: TinyImageEncoder) -> None:
    assert encoder(random_images(2)).shape == (2, 256, 64, 64)


def test_other_sizes_and_widths() -> None:
    small = TinyImageEncoder(img_size=32, out_chans=12, widths=(16, 24, 32), depth=0)
    assert small(random_images(3, 32)).shape == (3, 12, 8, 8)


def test_number_of_parameters_of_the_tiny_model() -> None:
    """Weights that are stored must stay loadable."""
    encoder = TinyImageEncoder()
    assert sum(p.numel() for p in encoder.parameters()) == 3_118_816
    assert encoder.place.shape == (1, 256, 224)
    assert len(encoder.attention) == 3


def test_images_of_a_batch_do_not_meet(encoder: TinyImageEncoder) -> None:
    both = random_images(2)
    with torch.no_grad():
        torch.testing.assert_close(encoder(both)[1:], encoder(both[1:]), rtol=1e-4, atol=1e-5)


def test_training_and_evaluation_give_the_same(encoder: TinyImageEncoder) -> None:
    """No dropout and no statistics of the batch."""
    with torch.no_grad():
        expected = encoder.eval()(random_images())
        got = encoder.train()(random_images())
    encoder.eval()
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


def test_fine_branch_starts_silent(encoder: TinyImageEncoder) -> None:
    """The first embedding is the stride-8 one, enlarged: fine features do not enter, but can be learned."""
    assert not encoder.neck4.weight.any()
    assert not encoder.neck4.bias.any()
    encoder.zero_grad()
    (encoder(random_images()) * torch.randn(256, 64, 64, generator=torch.Generator().manual_seed(2))).sum().backward()
    gradient = encoder.neck4.weight.grad
    assert gradient is not None
    assert gradient.any()


def test_every_parameter_is_trained_once_the_fine_branch_speaks() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = TinyImageEncoder(img_size=32, out_chans=12, widths=(16, 16, 32), depth=2)
        torch.nn.init.normal_(encoder.neck4.weight)
    (encoder(random_images(1, 32)) * torch.randn(12, 8, 8, generator=torch.Generator().manual_seed(2))).sum().backward()
    still = [name for name, p in encoder.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


def test_every_place_sees_the_whole_random_images() -> None:
    """A change in one corner reaches the other through the attention, and not without it."""
    for depth, reached in ((1, True), (0, False)):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            encoder = TinyImageEncoder(widths=(16, 16, 32), depth=depth).eval()
            for module in encoder.modules():
                if isinstance(module, torch.nn.GroupNorm):  # its statistics depend on every position: replace it
                    module.forward = lambda x: x  # type: ignore[method-assign]
        before = random_images()
        after = before.clone()
        after[..., :16, :16] += 5
        with torch.no_grad():
            difference = (encoder(after) - encoder(before))[..., -4:, -4:].abs().max().item()
        assert (difference > 1e-6) == reached


def test_residual_block_adds_to_its_input() -> None:
    block = ResidualBlock(8)
    torch.nn.init.zeros_(block.conv2.weight)
    torch.nn.init.zeros_(block.conv2.bias)
    x = torch.randn(2, 8, 5, 6, generator=torch.Generator().manual_seed(0))
    assert torch.equal(block(x), x)


@pytest.mark.no_shape_check
@pytest.mark.parametrize("shape", [(1, 3, 128, 128), (1, 4, 256, 256), (3, 256, 256), (1, 3, 256, 128)])
def test_refuses_images_of_another_shape(encoder: TinyImageEncoder, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"x: expected shape \(batch, 3, 256, 256\), got"):
        encoder(torch.zeros(shape))


def test_refuses_a_size_that_16_does_not_divide() -> None:
    with pytest.raises(ValueError, match="img_size: expected a multiple of 16, got 100"):
        TinyImageEncoder(img_size=100)
