"""The denoising objective that every stage shares: target and timesteps. Knows a scheduler, nothing of networks."""

import torch
from diffusers import DDIMScheduler
from torch import Tensor


def denoising_target(scheduler: DDIMScheduler, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
    """What the network is asked for at `timesteps` (b,): the noise or the velocity, in the shape of `latents`."""
    if scheduler.config.prediction_type == "epsilon":
        return noise
    if scheduler.config.prediction_type == "v_prediction":
        return scheduler.get_velocity(latents, noise, timesteps)
    raise ValueError(f"Training knows no prediction type {scheduler.config.prediction_type!r}.")


def draw_timesteps(scheduler: DDIMScheduler, count: int, generator: torch.Generator) -> Tensor:
    """Uniform training timesteps (count,) on the CPU."""
    return torch.randint(0, scheduler.config.num_train_timesteps, (count,), generator=generator)
