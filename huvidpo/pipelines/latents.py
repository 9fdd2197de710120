"""What is done to clip latents before, between and after denoising steps; pure functions, no network but the VAE."""

import numpy as np
import torch
from diffusers import AutoencoderKL
from einops import rearrange
from PIL import Image, ImageOps
from skimage.exposure import match_histograms
from torch import Tensor


def fit_image(image: Image.Image, width: int, height: int, fit: str) -> Image.Image:
    """Any image as RGB of exactly width x height pixels, its shape kept: `fit` is "crop" (centre) or "pad" (edges).

    Its colours become those of `to_rgb`.
    """
    if fit not in ("crop", "pad"):
        raise ValueError(f"The first frame is made to fit by 'crop' or 'pad', not {fit!r}.")
    image = to_rgb(image)
    if fit == "crop":
        return ImageOps.fit(image, (width, height), Image.Resampling.LANCZOS)
    scale = min(width / image.width, height / image.height)
    size = max(1, round(scale * image.width)), max(1, round(scale * image.height))  # a line keeps one pixel
    inside = image.resize(size, Image.Resampling.LANCZOS)
    left, top = (width - inside.width) // 2, (height - inside.height) // 2
    right, bottom = width - inside.width - left, height - inside.height - top
    # Border pixels stretched outward keep to the picture's own colours; black bars would be animated along.
    return Image.fromarray(np.pad(np.asarray(inside), ((top, bottom), (left, right), (0, 0)), mode="edge"))


def to_rgb(image: Image.Image) -> Image.Image:
    """Any image in 8-bit RGB: transparency becomes white, the camera's rotation tag is obeyed."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):  # Pillow would cut at 255 what goes up to 65535
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def frames_to_tensor(frames: np.ndarray) -> Tensor:
    """uint8 (f h w 3) -> float (f 3 h w) in -1..1."""
    return rearrange(torch.from_numpy(np.array(frames)), "f h w c -> f c h w").float() / 127.5 - 1


def tensor_to_frames(images: Tensor) -> np.ndarray:
    """float (f 3 h w) in -1..1, clipped -> uint8 (f h w 3)."""
    return (rearrange(images.float(), "f c h w -> f h w c").cpu() * 127.5 + 127.5).round().clamp(0, 255).byte().numpy()


def encode_frames(vae: AutoencoderKL, images: Tensor) -> Tensor:
    """Scaled latents of images in -1..1, (f 3 h w) -> (f c h/8 w/8): the posterior's mode."""
    return vae.encode(images.to(vae.device, vae.dtype)).latent_dist.mode() * vae.config.scaling_factor


def decode_frames(vae: AutoencoderKL, latents: Tensor) -> Tensor:
    """Images of scaled latents, (f c h w) -> (f 3 8h 8w) around -1..1; frame by frame where the VAE slices."""
    return vae.decode(latents.to(vae.dtype) / vae.config.scaling_factor).sample


CLIP_STREAM = 2**31  # added to a clip's seed, which is below it; PyTorch's generator takes 32 bits of a seed


def draw_noise(shape: tuple[int, int, int, int], seeds: list[int], device: torch.device | str) -> Tensor:
    """Standard normal noise for one clip per seed, shape (c f h w) -> (b c f h w).

    Each seed has its own generator on the CPU, so a take does not depend on its batch or on the device. It is not that
    of a first frame of the same seed: noise that repeats the first frame's makes a clip that moves less.
    """
    noise = [torch.randn(shape, generator=torch.Generator().manual_seed(CLIP_STREAM + seed)) for seed in seeds]
    return torch.stack(noise).to(device)


def share_noise(noise: Tensor, share: float, preserve_variance: bool) -> Tensor:
    """Mixes the first frame's noise into all later frames, (b c f h w) -> (b c f h w); `share` is in 0..1.

    LAMP: `share * first + (1 - share) * own`, whose standard deviation is below 1 (0.825 at 0.2). With
    `preserve_variance` the weights are the roots of `share` and `1 - share`, and it stays 1.
    """
    first, own = (share**0.5, (1 - share) ** 0.5) if preserve_variance else (share, 1 - share)
    later = first * noise[:, :, :1] + own * noise[:, :, 1:]
    return torch.cat([noise[:, :, :1], later], dim=2)


def with_first_frame(latents: Tensor, first_frame: Tensor) -> Tensor:
    """Latents whose frame 0 is the clean first frame: (b c f h w), (b c h w) -> (b c f h w)."""
    return torch.cat([first_frame.unsqueeze(2).to(latents), latents[:, :, 1:]], dim=2)


# Adaptive instance normalisation (Huang and Belongie 2017, Equation 8), with LAMP's unbiased variance.
def adain(latents: Tensor, target: Tensor) -> Tensor:
    """`latents` with the mean and deviation per channel of `target`, both (b c f h w) or with f = 1 for the target."""
    target_std, target_mean = (target.var(dim=(3, 4), keepdim=True) + 1e-8).sqrt(), target.mean((3, 4), keepdim=True)
    std, mean = (latents.var(dim=(3, 4), keepdim=True) + 1e-8).sqrt(), latents.mean((3, 4), keepdim=True)
    return (latents - mean) / std * target_std + target_mean


def published_adain(latents: Tensor, step: int) -> Tensor:
    """LAMP's normalisation after denoising step `step` (0-based), (b c f h w) -> (b c f h w).

    From the 32nd step on frame 1 takes the statistics of frame 0; frames 2.. take those of frame 1 at every step.
    """
    first, second, later = latents[:, :, :1], latents[:, :, 1:2], latents[:, :, 2:]
    if step > 30:
        second = adain(second, first)
    return torch.cat([first, second, adain(later, second)], dim=2)


def match_first_frame_colours(frames: np.ndarray) -> np.ndarray:
    """Every frame with the colour histogram of frame 0, channel by channel: uint8 (f h w 3) -> (f h w 3)."""
    matched = [match_histograms(frame, frames[0], channel_axis=2) for frame in frames[1:]]
    return np.stack([frames[0], *(np.clip(frame, 0, 255).astype(np.uint8) for frame in matched)])
