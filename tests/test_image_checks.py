"""Images that a Predictor takes, in every form, and those that it refuses."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from predictors import (
    Refused,
    check_refused,
    embed,
    hints_of,
    on_image,
    random_image,
    with_value,
)

from sam_edu.image_checks import from_pil, to_rgb
from sam_edu.predictor import Predictor
from sam_edu.sam import Sam

# Kinds of images


def test_grey_is_all_channels_alike(sam: Sam) -> None:
    grey = random_image(48, 64, 1)
    wanted = embed(sam, np.repeat(grey, 3, axis=2))
    for image in (grey, grey[..., 0], Image.fromarray(grey[..., 0]), grey[..., 0] / 255.0):
        assert torch.equal(embed(sam, image), wanted)


def test_floats_are_eight_bit_steps(sam: Sam) -> None:
    image = random_image(48, 64)
    for dtype in (np.float32, np.float64):
        assert torch.equal(embed(sam, (image / 255).astype(dtype)), embed(sam, image))
    assert torch.equal(embed(sam, np.ones((4, 4, 3), np.float16)), embed(sam, np.full((4, 4, 3), 255, np.uint8)))


def test_transparency_is_laid_on_white(sam: Sam) -> None:
    image = random_image(48, 64, 4)
    opaque, clear, half = (np.dstack([image[..., :3], np.full((48, 64), a, np.uint8)]) for a in (255, 0, 51))
    assert torch.equal(embed(sam, opaque), embed(sam, image[..., :3]))
    assert torch.equal(embed(sam, clear), embed(sam, np.full((48, 64, 3), 255, np.uint8)))
    fifth = np.round(0.2 * image[..., :3].astype(float) + 0.8 * 255).astype(np.uint8)
    assert torch.equal(embed(sam, half), embed(sam, fifth))
    assert torch.equal(embed(sam, image / 255), embed(sam, image))
    assert torch.equal(embed(sam, Image.fromarray(image, "RGBA")), embed(sam, image))
    assert torch.equal(embed(sam, image[..., [2, 1, 0, 3]], "BGR"), embed(sam, image))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBX", "RGBA", "CMYK", "YCbCr", "LAB", "HSV"])
def test_pil_modes(sam: Sam, mode: str) -> None:
    image = Image.fromarray(random_image(48, 64)).convert(mode)
    assert torch.equal(embed(sam, image), embed(sam, np.asarray(image.convert("RGB"))))


@pytest.mark.parametrize("mode", ["LA", "PA"])
def test_transparent_grey_and_palettes_are_laid_on_white(sam: Sam, mode: str) -> None:
    grey, alpha = random_image(48, 64, 2)[..., 0], random_image(48, 64, 2, seed=1)[..., 1]
    image = Image.merge("LA", (Image.fromarray(grey), Image.fromarray(alpha)))
    if mode == "PA":  # entry i of the palette is the grey i
        indices = np.asarray(image)
        image = Image.frombytes("PA", image.size, indices.tobytes())
        image.putpalette([value for i in range(256) for value in (i, i, i)])
    assert image.mode == mode
    assert torch.equal(embed(sam, image), embed(sam, np.dstack([grey, grey, grey, alpha])))
    assert not torch.equal(embed(sam, image), embed(sam, grey))


@pytest.mark.parametrize(("mode", "colour"), [("L", 70), ("RGB", (70, 71, 72))])
def test_a_colour_that_stands_for_transparent_is_laid_on_white(sam: Sam, mode: str, colour: Any) -> None:
    image = Image.new(mode, (64, 48), colour)
    image.info["transparency"] = colour
    image.putpixel((9, 5), 3 if mode == "L" else (3, 3, 3))
    wanted = np.full((48, 64, 3), 255, np.uint8)
    wanted[5, 9] = 3
    assert torch.equal(embed(sam, image), embed(sam, wanted))


def test_a_palette_with_a_transparent_colour(sam: Sam) -> None:
    image = Image.new("P", (64, 48), 1)
    image.putpalette([0, 0, 0, 200, 0, 0])
    image.info["transparency"] = 1
    assert torch.equal(embed(sam, image), embed(sam, np.full((48, 64, 3), 255, np.uint8)))


def test_views_of_an_array(sam: Sam) -> None:
    image = random_image(100, 120)
    view = image[10:90:2, ::-1]
    assert torch.equal(embed(sam, view), embed(sam, view.copy()))
    assert torch.equal(embed(sam, image[..., ::-1], "BGR"), embed(sam, image))
    frozen = image.copy()
    frozen.flags.writeable = False
    assert torch.equal(embed(sam, frozen), embed(sam, image))


ORIENTATIONS = {
    1: lambda x: x,
    2: lambda x: x[:, ::-1],
    3: lambda x: x[::-1, ::-1],
    4: lambda x: x[::-1],
    5: lambda x: x.transpose(1, 0, 2),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: x.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda x: np.rot90(x),
}
"""Per value of EXIF's orientation, how the stored pixels become the upright image."""


@pytest.mark.parametrize("form", ["PNG", "TIFF", "in memory"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_photograph_is_turned_as_its_metadata_say(sam: Sam, orientation: int, form: str) -> None:
    stored = random_image(48, 64)
    image = Image.fromarray(stored)
    exif = image.getexif()
    exif[0x0112] = orientation
    if form != "in memory":
        file = io.BytesIO()
        image.save(file, form, exif=exif)
        image = Image.open(file)
    upright = ORIENTATIONS[orientation](stored)
    predictor = Predictor(sam)
    predictor.set_image(image)
    assert torch.equal(predictor.get_image_embedding(), embed(sam, np.ascontiguousarray(upright)))
    assert predictor.original_size == upright.shape[:2]
    masks, _, _ = predictor.predict([[upright.shape[1] - 1, upright.shape[0] - 1]], [1])
    assert masks.shape[1:] == upright.shape[:2]
    if form != "TIFF":  # which Pillow turns by itself
        assert image.getexif().get(0x0112) == orientation  # the image itself is left as it is


def test_a_transparent_photograph_is_turned_too(sam: Sam) -> None:
    stored = random_image(48, 64, 4)
    image = Image.fromarray(stored)
    image.getexif()[0x0112] = 6
    assert torch.equal(embed(sam, image), embed(sam, np.rot90(stored, -1)))


WRITTEN = {
    "PNG": {"format": "PNG"},
    "TIFF": {"format": "TIFF"},
    "TIFF, deflate": {"format": "TIFF", "compression": "tiff_deflate"},
    "TIFF, LZW": {"format": "TIFF", "compression": "tiff_lzw"},
    "WebP": {"format": "WEBP", "lossless": True, "exact": True},
}


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
@pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN)
def test_a_transparent_file_is_turned_and_laid_on_white(written: dict[str, Any], mode: str) -> None:
    for orientation, upright in ORIENTATIONS.items():
        stored = random_image(48, 64, len(mode))
        image = Image.fromarray(stored, mode)
        image.getexif()[0x0112] = orientation
        file = io.BytesIO()
        image.save(file, exif=image.getexif(), **written)
        pixels = np.ascontiguousarray(upright(stored))
        wanted = pixels if mode == "RGBA" else np.dstack([pixels[..., 0]] * 3 + [pixels[..., 1]])
        assert np.array_equal(to_rgb(from_pil(Image.open(file))), to_rgb(wanted)), orientation
        loaded = Image.open(file)
        loaded.load()  # here Pillow turns a TIFF by itself, and it is not turned again
        assert np.array_equal(to_rgb(from_pil(loaded)), to_rgb(wanted)), orientation


def test_a_tiff_has_no_colour_that_stands_for_transparent() -> None:
    """Pillow writes an alpha channel into a TIFF, but not a transparent colour: what is read back is opaque."""
    image = Image.new("P", (64, 48), 1)
    image.putpalette([0, 0, 0, 200, 0, 0])
    image.info["transparency"] = 1
    image.getexif()[0x0112] = 6
    read: dict[str, Image.Image] = {}
    for form in ("TIFF", "PNG"):
        file = io.BytesIO()
        image.save(file, form, exif=image.getexif())
        read[form] = Image.open(file)
    assert "transparency" not in read["TIFF"].info
    assert np.array_equal(to_rgb(from_pil(read["TIFF"])), np.full((64, 48, 3), (200, 0, 0)))
    assert np.array_equal(to_rgb(from_pil(read["PNG"])), np.full((64, 48, 3), 255))


@pytest.mark.parametrize("orientation", [0, 9])
def test_an_orientation_that_is_none_turns_nothing(sam: Sam, orientation: int) -> None:
    image = Image.fromarray(random_image(48, 64))
    image.getexif()[0x0112] = orientation
    assert torch.equal(embed(sam, image), embed(sam, random_image(48, 64)))


def test_colours_multiplied_by_alpha(sam: Sam) -> None:
    image = Image.fromarray(random_image(48, 64, 4))
    assert torch.equal(embed(sam, image.convert("RGBa")), embed(sam, image.convert("RGBa").convert("RGBA")))
    grey = Image.fromarray(random_image(48, 64, 2), "LA").convert("La")
    assert torch.equal(embed(sam, grey), embed(sam, grey.convert("LA")))


def test_a_palette_of_transparent_colours(sam: Sam) -> None:
    image = Image.new("P", (64, 48), 1)
    image.putpalette([0, 0, 0, 255, 200, 0, 0, 0], "RGBA")
    assert torch.equal(embed(sam, image), embed(sam, np.full((48, 64, 3), 255, np.uint8)))


FORMS = {
    "read-only": lambda x: np.frombuffer(x.tobytes(), x.dtype).reshape(x.shape),
    "mirrored": lambda x: np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1],
    "Fortran's order": np.asfortranarray,
    "every other": lambda x: np.repeat(x, 2, axis=0)[::2],
    "channels from the front": lambda x: np.ascontiguousarray(x.transpose(2, 0, 1)).transpose(1, 2, 0),
    "big-endian floats": lambda x: (x / 255).astype(">f4"),
    "long double": lambda x: (x / 255).astype(np.longdouble),
    "unmasked": lambda x: np.ma.array(x),
    "PIL": Image.fromarray,
    "a tensor's array": lambda x: torch.from_numpy(x).numpy(),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_form_of_pixels_is_the_same_image(sam: Sam, form: Any) -> None:
    assert torch.equal(embed(sam, form(random_image(48, 64))), embed(sam, random_image(48, 64)))


def test_a_matrix_is_a_grey_image(sam: Sam) -> None:
    grey = random_image(48, 64)[..., 0]
    assert torch.equal(embed(sam, np.matrix(grey)), embed(sam, grey))


FRAMES = {
    "uint8": lambda x: x.to(torch.uint8),
    "int64": lambda x: x.long(),
    "float64": lambda x: x.double(),
    "bfloat16": lambda x: x.bfloat16(),
    "with a gradient": lambda x: x.requires_grad_(),
    "channels last": lambda x: x.to(memory_format=torch.channels_last),
}


@pytest.mark.parametrize("form", FRAMES.values(), ids=FRAMES)
def test_every_form_of_a_tensor_is_the_same_image_in_the_frame(predictor: Predictor, form: Any) -> None:
    image = torch.from_numpy(random_image(48, 64)).permute(2, 0, 1)[None].bfloat16().float()
    predictor.set_torch_image(image, (48, 64))
    wanted = predictor.get_image_embedding()
    predictor.set_torch_image(form(image), (48, 64))
    torch.testing.assert_close(predictor.get_image_embedding(), wanted)
    assert not predictor.get_image_embedding().requires_grad


@pytest.mark.no_shape_check
@pytest.mark.parametrize(
    "size", [(96, 128), [96, 128], np.array([96, 128]), torch.tensor([96, 128]), torch.Size((96, 128))]
)
def test_every_form_of_a_size(predictor: Predictor, size: Any) -> None:
    predictor.set_torch_image(torch.full((1, 3, 48, 64), 100.0), size)
    assert predictor.original_size == (96, 128)
    assert [type(side) for side in predictor.original_size] == [int, int]
    assert predictor.predict(mask_input=None)[0].shape[1:] == (96, 128)
    assert predictor.transform.apply_coords([[64, 48]], size).tolist() == [[32.0, 24.0]]


# What is refused


def on_frame(image: Any, size: Any, error: type[Exception], words: str) -> Refused:
    return Refused(lambda predictor: predictor.set_torch_image(image, size), error, words)


def with_exif(data: bytes) -> Image.Image:
    image = Image.new("RGB", (4, 4))
    image.info["exif"] = data
    return image


def cut_short() -> Image.Image:
    file = io.BytesIO()
    Image.fromarray(random_image(64, 64)).save(file, "PNG")
    return Image.open(io.BytesIO(file.getvalue()[:5000]))


TENTH = np.full((8, 8, 3), 0.1)
REFUSED = {
    # images
    "no rows": on_image(np.zeros((0, 5, 3), np.uint8), ValueError, r"image: .*empty.*\(0, 5, 3\)"),
    "no columns": on_image(np.zeros((5, 0), np.uint8), ValueError, r"image: .*empty.*\(5, 0\)"),
    "empty PIL": on_image(Image.new("RGB", (0, 4)), ValueError, "image: .*empty"),
    "2 channels": on_image(random_image(8, 8, 2), ValueError, r"image: .*1, 3 or 4 channels, got \(8, 8, 2\)"),
    "5 channels": on_image(random_image(8, 8, 5), ValueError, r"image: .*got \(8, 8, 5\)"),
    "no channels": on_image(random_image(8, 8, 0), ValueError, r"image: .*got \(8, 8, 0\)"),
    "channels first": on_image(np.zeros((3, 8, 9), np.uint8), ValueError, r"image: .*got \(3, 8, 9\)"),
    "rank 1": on_image(np.zeros(8, np.uint8), ValueError, r"image: .*got \(8,\)"),
    "rank 4": on_image(np.zeros((1, 8, 8, 3), np.uint8), ValueError, r"image: .*got \(1, 8, 8, 3\)"),
    "int64": on_image(random_image(8, 8).astype(np.int64), TypeError, "image: .*uint8.*got int64"),
    "uint16": on_image(random_image(8, 8).astype(np.uint16), TypeError, "image: .*got uint16"),
    "bool": on_image(np.ones((8, 8), bool), TypeError, "image: .*got bool"),
    "complex": on_image(np.ones((8, 8), complex), TypeError, "image: .*got complex128"),
    "objects": on_image(np.full((8, 8), None), TypeError, "image: .*got object"),
    "NaN": on_image(with_value(TENTH, np.nan), ValueError, "image: .*NaN"),
    "infinity": on_image(with_value(TENTH, np.inf), ValueError, "image: .*infinity"),
    "floats to 255": on_image(random_image(8, 8) / 1.0, ValueError, "image: .*from 0 to 1, got"),
    "negative floats": on_image(with_value(TENTH, -0.2), ValueError, "image: .*got -0.2 to 0.1"),
    "image None": on_image(None, TypeError, "image: .*got NoneType"),
    "a path": on_image("cat.png", TypeError, r"image: .*got str .*PIL\.Image\.open"),
    "a Path": on_image(Path("cat.png"), TypeError, r"image: .*PIL\.Image\.open"),
    "a list": on_image([[0, 1]], TypeError, "image: .*got list"),
    "a tensor": on_image(torch.zeros(8, 8, 3), TypeError, "image: .*got Tensor"),
    "PIL 32 bits": on_image(Image.new("I", (4, 4)), ValueError, "image: .*mode.*got I"),
    "PIL floats": on_image(Image.new("F", (4, 4)), ValueError, "image: .*got F"),
    "another order": on_image(random_image(8, 8), ValueError, "image_format: .*got 'GBR'", image_format="GBR"),
    "PIL as BGR": on_image(Image.new("RGB", (4, 4)), ValueError, "image_format: ", image_format="BGR"),
    "a tensor, channels first": on_image(torch.zeros(3, 8, 9), TypeError, r"permute\(1, 2, 0\)\.numpy\(\)"),
    "a batch": on_image(np.zeros((1, 8, 8, 3), np.uint8), ValueError, r"image\[0\]"),
    "12 bits": on_image(np.ones((8, 8), np.uint16), TypeError, "16 bits by 257 and 12 bits by 16"),
    "normalised": on_image(np.full((8, 8, 3), -2.0), ValueError, r"got -2 to -2; undo .*image \* std \+ mean"),
    "masked": on_image(np.ma.masked_greater(random_image(8, 8), 9), ValueError, "masked array; fill it first"),
    "text": on_image(np.array([["a"]]), TypeError, "image: .*got <U1"),
    "PIL 16 bits": on_image(Image.new("I;16", (4, 4)), ValueError, r"got I;16; np\.asarray\(image\).*257"),
    "damaged EXIF": on_image(with_exif(b"garbage"), ValueError, r"EXIF metadata.*damaged.*pop\('exif'\)"),
    "EXIF cut short": on_image(with_exif(b"Exif\x00\x00II*\x00"), ValueError, "EXIF metadata.*damaged"),
    "cut short": Refused(
        lambda predictor: predictor.set_image(cut_short()), ValueError, "image: it cannot be read to its end"
    ),
    # images in the model's frame
    "short side": Refused(
        lambda predictor: predictor.set_torch_image(torch.zeros(1, 3, 32, 32), (32, 32)),
        ValueError,
        "longer side of 64",
    ),
    "no tensor": Refused(
        lambda predictor: predictor.set_torch_image(random_image(64, 64), (64, 64)),
        TypeError,
        "transformed_image: .*ndarray",
    ),
    "NaN in the frame": on_frame(torch.full((1, 3, 64, 9), torch.nan), (64, 9), ValueError, "transformed_image: .*NaN"),
    "frame from 0 to 1": on_frame(torch.full((1, 3, 64, 9), 0.5), (64, 9), ValueError, "at most 0.5; multiply .* 255"),
    "width, height": on_frame(
        torch.zeros(1, 3, 48, 64), (640, 480), ValueError, r"becomes 48 x 64, got \(640, 480\); if it is \(width"
    ),
    "one size": on_frame(torch.zeros(1, 3, 64, 9), 64, ValueError, "original_image_size: .*got 64"),
    "sizes in floats": on_frame(torch.zeros(1, 3, 64, 9), (64.0, 9.0), TypeError, "original_image_size: .*whole"),
    "no size": Refused(
        lambda predictor: predictor.set_torch_image(torch.zeros(1, 3, 64, 9), (0, 9)), ValueError, "original_image_size"
    ),
}


@pytest.mark.no_shape_check
@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_refused_and_the_next_result_is_the_same(predictor: Predictor, case: Refused) -> None:
    check_refused(predictor, case)


# Words that help, and the cases that they are for: in the others they would mislead.
HINTS = {
    "PIL.Image.open": {"a path", "a Path"},
    "was the file found?": {"image None"},
    "NaN or infinity": {"NaN", "infinity", "NaN in the frame"},
    "is converted to": {"PIL as BGR"},
    "image.numpy()": {"a tensor"},
    "image.permute(1, 2, 0).numpy()": {"a tensor, channels first"},
    "np.array(image, dtype=np.uint8)": {"a list"},
    "image.transpose(1, 2, 0)": {"channels first"},
    "image[0]": {"rank 4", "a batch"},
    "divide it by 255": {"floats to 255"},
    "undo its normalisation": {"negative floats", "normalised"},
    "divide 16 bits by 257": {"uint16", "int64", "12 bits", "PIL 32 bits", "PIL 16 bits"},
    "if its values go from 0 to 255": {"int64"},
    "makes an image of a mask": {"bool"},
    "scale its values": {"PIL floats"},
    "transform.apply_image": {"short side"},
}


@pytest.mark.no_shape_check
def test_hints_are_given_where_they_help_and_nowhere_else(predictor: Predictor) -> None:
    assert hints_of(predictor, REFUSED, HINTS) == HINTS
