"""First frame and prompt -> clip, a diffusers pipeline whose sampling is a generator. Knows no files, no adapters."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, DiffusionPipeline, DPMSolverMultistepScheduler
from diffusers.utils import BaseOutput
from einops import rearrange
from PIL import Image
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

from huvidpo.models.precision import mixed_precision
from huvidpo.models.video_unet import VideoUNet
from huvidpo.pipelines.latents import (
    adain,
    decode_frames,
    draw_noise,
    encode_frames,
    fit_image,
    frames_to_tensor,
    match_first_frame_colours,
    published_adain,
    share_noise,
    tensor_to_frames,
    with_first_frame,
)
from huvidpo.pipelines.text import encode_prompts
from huvidpo.recipes import RECIPES, Recipe


@dataclass(frozen=True)
class Source:
    """A clip that takes start from instead of pure noise, so that they move alike (DenseDPO, arXiv 2506.03517)."""

    frames: np.ndarray  # uint8 (f h w 3)
    strength: float  # share of the steps that is run anew, above 0 and at most 1


@dataclass(frozen=True)
class SamplingStep:
    """One denoising step done."""

    step: int  # 1-based
    total: int
    latents: Tensor  # (b c f h w), frame 0 clean
    preview: np.ndarray | None  # the middle frame as it looks now, uint8 (h w 3), of the first clip


@dataclass
class ImageToVideoOutput(BaseOutput):
    """Finished clips, uint8 (b f h w 3)."""

    frames: np.ndarray


class ImageToVideoPipeline(DiffusionPipeline):
    """LAMP's first-frame-conditioned sampling (arXiv 2310.10769) with a `VideoUNet`."""

    model_cpu_offload_seq = "text_encoder->unet->vae"

    def __init__(
        self,
        vae: AutoencoderKL,
        text_encoder: CLIPTextModel,
        tokenizer: CLIPTokenizer,
        unet: VideoUNet,
        scheduler: DDIMScheduler,
        mixed_precision: bool = False,  # bfloat16 for the UNet's matrix work, where the hardware has it
    ):
        super().__init__()
        self.register_modules(vae=vae, text_encoder=text_encoder, tokenizer=tokenizer, unet=unet, scheduler=scheduler)
        self.register_to_config(mixed_precision=mixed_precision)

    def new_scheduler(self, recipe: Recipe) -> DDIMScheduler | DPMSolverMultistepScheduler:
        """The recipe's solver on the model's own noise schedule, fresh: solvers keep state between steps."""
        if recipe.solver == "ddim":
            scheduler = DDIMScheduler.from_config(self.scheduler.config)
        elif recipe.solver == "dpm++":
            scheduler = DPMSolverMultistepScheduler.from_config(self.scheduler.config, algorithm_type="dpmsolver++")
        else:
            raise ValueError(f"The solver must be 'ddim' or 'dpm++', not {recipe.solver!r}.")
        scheduler.set_timesteps(recipe.steps)
        return scheduler

    @torch.no_grad()
    def stream(
        self,
        prompts: list[str],
        images: list[Image.Image],
        seeds: list[int],
        recipe: Recipe,
        num_frames: int,
        width: int,
        height: int,
        negative_prompts: list[str] | None = None,
        fit: str = "crop",
        preview_every: int = 2,  # steps; 0 for none
        shared_seeds: list[int] | None = None,
        source: Source | None = None,
    ) -> Iterator[SamplingStep | ImageToVideoOutput]:
        """Samples one clip per prompt, image and seed; yields every step, at last the clips.

        The same seed gives the same clip whatever else is in the batch. `shared_seeds` draw the noise that the frames
        of a clip share, where takes are to have that in common. All clips start from noise, or from a `source`.
        Closing the generator ends the work. Raises ValueError when the lists differ in length, or a size or the recipe
        is out of range.
        """
        negative_prompts = negative_prompts or [""] * len(prompts)
        self.check_inputs(prompts, images, seeds, negative_prompts, recipe, num_frames, width, height)
        device = self._execution_device
        text = encode_prompts(self.text_encoder, self.tokenizer, negative_prompts, prompts)
        pixels = np.stack([np.asarray(fit_image(image, width, height, fit)) for image in images])
        first_frame = encode_frames(self.vae, frames_to_tensor(pixels))
        channels, rows, columns = first_frame.shape[1:]
        noise = draw_noise((channels, num_frames, rows, columns), seeds, device)
        if shared_seeds is not None:  # frame 0 itself is never noisy: its noise is the part that later frames share
            noise[:, :, :1] = draw_noise((channels, 1, rows, columns), shared_seeds, device)
        noise = share_noise(noise, recipe.shared_noise, recipe.preserve_variance)
        start = None if source is None else self.encode_source(source, num_frames, width, height)
        for step, total, latents, clean in self.denoise(noise, first_frame, text, recipe, start):
            show = preview_every and step % preview_every == 0 and step < total
            yield SamplingStep(step, total, latents, self.preview(clean) if show else None)
        yield ImageToVideoOutput(frames=self.decode_clips(latents, recipe))

    def check_inputs(
        self,
        prompts: list[str],
        images: list[Image.Image],
        seeds: list[int],
        negative_prompts: list[str],
        recipe: Recipe,
        num_frames: int,
        width: int,
        height: int,
    ) -> None:
        """ValueError for what cannot be sampled."""
        if not len(prompts) == len(images) == len(seeds) == len(negative_prompts) > 0:
            raise ValueError("A clip needs a prompt, an image and a seed each; the lists differ in length.")
        if width % 16 or height % 16 or min(width, height) < 16 or num_frames < 2:
            raise ValueError(f"Clips need sides divisible by 16 and 2 frames, not {width}x{height}x{num_frames}.")
        if not 1 <= recipe.steps <= 1000 or not 0 <= recipe.shared_noise <= 1:
            raise ValueError(f"The recipe {recipe.name!r} has steps or shared noise out of range.")

    def encode_source(self, source: Source, num_frames: int, width: int, height: int) -> tuple[Tensor, float]:
        """Latents (c f h w) of the source's first `num_frames` frames, and its strength."""
        if len(source.frames) < num_frames or not 0 < source.strength <= 1:
            raise ValueError(f"An aligned take needs a clip of {num_frames} frames and a strength above 0, at most 1.")
        images = [fit_image(Image.fromarray(frame), width, height, "crop") for frame in source.frames[:num_frames]]
        latents = encode_frames(self.vae, frames_to_tensor(np.stack([np.asarray(image) for image in images])))
        return rearrange(latents, "f c h w -> c f h w"), source.strength

    def denoise(
        self,
        noise: Tensor,
        first_frame: Tensor,
        text: Tensor,
        recipe: Recipe,
        start: tuple[Tensor, float] | None = None,
    ) -> Iterator[tuple[int, int, Tensor, Tensor]]:
        """The sampling loop: noise (b c f h w), first frame (b c h w), text (2b n d), unconditional half first.

        `start` is latents (c f h w) and a strength: they are made noisy for that share of the steps, and only those
        are run (SDEdit, arXiv 2108.01073). Yields step (1-based), number of steps, latents, and the clean latents
        predicted from them.
        """
        scheduler = self.new_scheduler(recipe)
        skipped, latents = 0, noise * scheduler.init_noise_sigma
        if start is not None:
            clean, strength = start
            skipped = len(scheduler.timesteps) - max(1, round(strength * len(scheduler.timesteps)))
            if isinstance(scheduler, DPMSolverMultistepScheduler):  # which counts its steps; DDIM goes by the timestep
                scheduler.set_begin_index(skipped)
            latents = scheduler.add_noise(clean.to(noise).expand_as(noise), noise, scheduler.timesteps[skipped, None])
        latents = with_first_frame(latents, first_frame)
        for i, timestep in enumerate(scheduler.timesteps[skipped:]):
            prediction = self.guided_prediction(latents, timestep, text, recipe.guidance)
            clean = predicted_clean(scheduler, latents, prediction, timestep)
            later = scheduler.step(prediction[:, :, 1:], timestep, latents[:, :, 1:]).prev_sample
            latents = torch.cat([latents[:, :, :1], later], dim=2)
            if recipe.match_statistics:
                latents = published_adain(latents, skipped + i)
            yield i + 1, len(scheduler.timesteps) - skipped, latents, with_first_frame(clean, first_frame)

    def guided_prediction(self, latents: Tensor, timestep: Tensor, text: Tensor, guidance: float) -> Tensor:
        """Classifier-free guidance (arXiv 2207.12598), Equation 6 with guidance = 1 + w: (b c f h w) -> (b c f h w).

        unconditional + guidance * (text - unconditional).
        """
        latents = latents.to(self.unet.dtype)
        with mixed_precision(latents.device.type, self.config.mixed_precision):
            if guidance == 1:
                return self.unet(latents, timestep, text.chunk(2)[1]).sample.float()
            prediction = self.unet(torch.cat([latents, latents]), timestep, text).sample.float()
        unconditional, conditional = prediction.chunk(2)
        return unconditional + guidance * (conditional - unconditional)

    def decode_clips(self, latents: Tensor, recipe: Recipe) -> np.ndarray:
        """Finished latents (b c f h w) -> uint8 (b f h w 3)."""
        if recipe.match_statistics:
            latents = torch.cat([latents[:, :, :1], adain(latents[:, :, 1:], latents[:, :, :1])], dim=2)
        clips = [tensor_to_frames(decode_frames(self.vae, rearrange(clip, "c f h w -> f c h w"))) for clip in latents]
        return np.stack([match_first_frame_colours(clip) if recipe.match_colours else clip for clip in clips])

    def preview(self, clean: Tensor) -> np.ndarray:
        """The middle frame of the first clip of predicted clean latents (b c f h w), uint8 (h w 3)."""
        middle = clean[:1, :, clean.shape[2] // 2]
        return tensor_to_frames(decode_frames(self.vae, middle))[0]

    def __call__(
        self,
        prompts: list[str],
        images: list[Image.Image],
        seeds: list[int],
        recipe: Recipe = RECIPES["default"],
        num_frames: int = 16,
        width: int = 512,
        height: int = 320,
        negative_prompts: list[str] | None = None,
        fit: str = "crop",
    ) -> ImageToVideoOutput:
        """`stream` to its end, with a progress bar; its arguments and errors."""
        output: SamplingStep | ImageToVideoOutput | None = None
        with self.progress_bar(total=recipe.steps) as bar:
            for output in self.stream(
                prompts, images, seeds, recipe, num_frames, width, height, negative_prompts, fit, preview_every=0
            ):
                bar.update(isinstance(output, SamplingStep))
        return output


def predicted_clean(scheduler: DDIMScheduler, latents: Tensor, prediction: Tensor, timestep: Tensor) -> Tensor:
    """The clean latents that `prediction` implies at `timestep`, in the shape of `latents`.

    Of noise DDIM's Equation 9 (arXiv 2010.02502); of velocity that of progressive distillation (arXiv 2202.00512).
    """
    alpha = scheduler.alphas_cumprod[int(timestep)].to(latents)
    if scheduler.config.prediction_type == "v_prediction":
        return alpha.sqrt() * latents - (1 - alpha).sqrt() * prediction
    return (latents - (1 - alpha).sqrt() * prediction) / alpha.sqrt()
