"""What happens to pictures and latents around sampling: any picture fits, and the sums of the papers come out."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from huvidpo.pipelines.latents import (
    adain,
    draw_noise,
    fit_image,
    frames_to_tensor,
    match_first_frame_colours,
    published_adain,
    share_noise,
    tensor_to_frames,
    with_first_frame,
)
from huvidpo.requests import MAX_SEED

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def stripes(width: int, height: int, *colours: tuple[int, int, int]) -> Image.Image:
    """Upright stripes of equal width, side by side."""
    image = Image.new("RGB", (width, height))
    for i, colour in enumerate(colours):
        left, right = i * width // len(colours), (i + 1) * width // len(colours)
        image.paste(colour, (left, 0, right, height))
    return image


def statistics(latents: torch.Tensor) -> torch.Tensor:
    """Mean and unbiased deviation per channel and frame, (b c f h w) -> (2 b c f)."""
    return torch.stack([latents.mean(dim=(3, 4)), latents.std(dim=(3, 4))])


@pytest.mark.parametrize("fit", ["crop", "pad"])
@pytest.mark.parametrize("size", [(1, 1), (64, 32), (63, 33), (5000, 1), (1, 5000), (3, 900)])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "I;16", "F"])
def test_any_picture_becomes_rgb_of_the_size(mode: str, size: tuple[int, int], fit: str) -> None:
    fitted = fit_image(Image.new(mode, size), 64, 32, fit)
    assert (fitted.size, fitted.mode) == ((64, 32), "RGB")


@pytest.mark.parametrize("fit", ["crop", "pad"])
def test_a_picture_of_the_right_size_is_left_alone(fit: str) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 64, 3), np.uint8))
    assert np.array_equal(fit_image(image, 64, 32, fit), image)


def test_crop_keeps_the_centre() -> None:
    fitted = np.asarray(fit_image(stripes(60, 20, RED, GREEN, BLUE), 20, 20, "crop"))
    assert (fitted == GREEN).all()


def test_pad_keeps_the_whole_picture_and_continues_its_edges() -> None:
    """60x20 in 60x60: the picture lies in rows 20..39, and a column has one colour from top to bottom."""
    image = stripes(60, 20, RED, GREEN, BLUE)
    fitted = np.asarray(fit_image(image, 60, 60, "pad"))
    assert np.array_equal(fitted[20:40], image)
    assert (fitted == fitted[:1]).all()


def test_transparency_becomes_white() -> None:
    clear = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    palette = Image.new("P", (8, 8), 3)
    palette.info["transparency"] = 3
    for image in (clear, palette, clear.convert("LA")):
        assert (np.asarray(fit_image(image, 8, 8, "crop")) == 255).all()
    half = fit_image(Image.new("RGBA", (8, 8), (*RED, 51)), 8, 8, "crop")
    assert half.getpixel((0, 0)) == (255, 204, 204)  # 51 / 255 = one fifth of red over white


def test_the_cameras_rotation_is_obeyed() -> None:
    """Orientation 6 is "turn clockwise to view": what is stored on the left is shown on top."""
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    stripes(40, 20, RED, BLUE).save(file, "PNG", exif=exif)
    fitted = fit_image(Image.open(file), 20, 40, "crop")
    assert (fitted.getpixel((10, 2)), fitted.getpixel((10, 37))) == (RED, BLUE)


def test_sixteen_bits_are_scaled_to_eight() -> None:
    """32768 of 65535 is 128 of 255."""
    image = Image.fromarray(np.full((8, 8), 32768, np.uint16))
    assert fit_image(image, 8, 8, "crop").getpixel((0, 0)) == (128, 128, 128)


def test_another_way_to_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="'crop' or 'pad', not 'stretch'"):
        fit_image(Image.new("RGB", (8, 8)), 8, 8, "stretch")


def test_pixels_survive_the_way_to_the_network_and_back() -> None:
    frames = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    tensor = frames_to_tensor(frames)
    assert tensor.shape == (1, 3, 16, 16) and (tensor.min(), tensor.max()) == (-1, 1)
    assert np.array_equal(tensor_to_frames(tensor), frames)
    assert tensor_to_frames(torch.tensor([-9.0, 9.0, 0.0]).view(1, 3, 1, 1)).ravel().tolist() == [0, 255, 128]


def test_noise_of_a_take_does_not_depend_on_its_batch() -> None:
    shape = (2, 3, 4, 5)
    noise = draw_noise(shape, [7, 8, 7], "cpu")
    assert torch.equal(noise[:1], noise[2:]) and torch.equal(noise[1:2], draw_noise(shape, [8], "cpu"))
    assert not torch.equal(noise[0], noise[1])


@pytest.mark.parametrize("seed", [0, 7, MAX_SEED])
def test_noise_of_a_take_is_not_that_of_its_first_frame(seed: int) -> None:
    """The page draws one seed for both. What diffusers draws for the frame then must not come back in the clip."""
    first_frame = torch.randn((1, 4, 8, 8), generator=torch.Generator().manual_seed(seed))
    noise = draw_noise((4, 16, 8, 8), [seed], "cpu").flatten()
    assert not torch.isclose(first_frame.flatten(), noise[: first_frame.numel()]).any()


def test_sharing_noise_is_the_sum_of_the_papers() -> None:
    """First 1, own 2, share 0.2: LAMP 0.2 * 1 + 0.8 * 2 = 1.8; with roots 0.4472 * 1 + 0.8944 * 2 = 2.2361."""
    noise = torch.tensor([1.0, 2.0]).view(1, 1, 2, 1, 1)
    assert share_noise(noise, 0.2, preserve_variance=False).ravel().tolist() == pytest.approx([1, 1.8])
    assert share_noise(noise, 0.2, preserve_variance=True).ravel().tolist() == pytest.approx([1, 2.23607], abs=1e-5)


@pytest.mark.parametrize("preserve, deviation, correlation", [(False, 0.8246, 0.0588), (True, 1.0, 0.2)])
def test_what_sharing_does_to_noise(preserve: bool, deviation: float, correlation: float) -> None:
    """LAMP: sqrt(0.04 + 0.64) = 0.8246 and 0.04 / 0.68 = 0.0588 between later frames; with roots 1 and 0.2."""
    shared = share_noise(draw_noise((1, 3, 300, 300), [0], "cpu"), 0.2, preserve)
    assert shared[:, :, 1:].std() == pytest.approx(deviation, abs=0.01)
    assert torch.corrcoef(shared[0, 0, 1:].flatten(1))[0, 1] == pytest.approx(correlation, abs=0.01)


def test_adain_is_equation_8_with_the_unbiased_variance() -> None:
    """0, 2 (mean 1, deviation sqrt 2) towards 10, 16 (mean 13, deviation 3 sqrt 2): 13 -+ 3 = 10 and 16."""
    latents, target = torch.tensor([0.0, 2.0]).view(1, 1, 1, 1, 2), torch.tensor([10.0, 16.0]).view(1, 1, 1, 1, 2)
    assert adain(latents, target).ravel().tolist() == pytest.approx([10, 16], abs=1e-4)


@pytest.mark.parametrize("step, second_follows_first", [(0, False), (30, False), (31, True), (49, True)])
def test_schedule_of_the_published_normalisation(step: int, second_follows_first: bool) -> None:
    scale = torch.arange(1, 6).view(1, 1, -1, 1, 1)
    latents = draw_noise((3, 5, 6, 7), [0, 1], "cpu") * scale + scale
    normalised = published_adain(latents, step)
    assert torch.equal(normalised[:, :, 0], latents[:, :, 0])
    source = statistics(latents)[..., 0 if second_follows_first else 1, None]
    torch.testing.assert_close(statistics(normalised)[..., 1:], source.expand(-1, -1, -1, 4), atol=1e-4, rtol=0)
    assert torch.equal(normalised[:, :, 1], latents[:, :, 1]) != second_follows_first


def test_the_first_frame_replaces_frame_0_only() -> None:
    latents, first = torch.randn(2, 3, 4, 5, 6), torch.randn(2, 3, 5, 6)
    joined = with_first_frame(latents, first)
    assert torch.equal(joined[:, :, 0], first) and torch.equal(joined[:, :, 1:], latents[:, :, 1:])


def test_matched_colours_are_those_of_frame_0() -> None:
    """A mirrored frame at half the brightness gets its brightness back: the histograms are the same then."""
    first = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    matched = match_first_frame_colours(np.stack([first, first[:, ::-1] // 2]))
    assert matched.dtype == np.uint8 and np.array_equal(matched[0], first)
    assert np.abs(matched[1].astype(int) - first[:, ::-1]).max() <= 2
