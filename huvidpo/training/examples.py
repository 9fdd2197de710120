"""Preferred clips -> the tensors of a training step. Knows files, a VAE and randomness, nothing of networks or losses.

Everything random about a step follows from the seed and the number of the example in the endless sequence of them. So
a run that was interrupted, or is spread over processes, draws what an uninterrupted one in one process draws.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import DDIMScheduler
from safetensors.torch import load_file, save
from torch import Tensor

from huvidpo.atomic import write_whole
from huvidpo.pipelines.image_to_video import ImageToVideoPipeline
from huvidpo.pipelines.text import encode_text
from huvidpo.preferences.own_clips import file_sha256
from huvidpo.preferences.pairs import TrainingSet
from huvidpo.training.clips import EncodedClip, encode_both_ways, fitted_frames
from huvidpo.training.preference_settings import PreferenceSettings


@dataclass(frozen=True)
class Example:
    """A pair (winner and loser), or a clip that was judged on its own."""

    clips: tuple[EncodedClip, ...]  # two or one
    labels: tuple[int, ...]  # of a pair: 1, -1 or 0 per segment; of a clip: 1 (good) or -1 (bad)


@dataclass(frozen=True)
class EncodedExamples:
    """All that a run learns from, on the CPU."""

    examples: tuple[Example, ...]
    real: tuple[EncodedClip, ...]
    empty_text: Tensor  # (n d)


@dataclass(frozen=True)
class Batch:
    """What goes through the network together: m clips, first the winners, then the losers, then real clips."""

    latents: Tensor  # (m c f h w)
    noise: Tensor  # (m c f h w), equal for the two members of a pair, and for two clips of kto
    timesteps: Tensor  # (m,), likewise
    text: Tensor  # (m n d)
    labels: Tensor  # pairs: (b f-1), of all frames but the first; clips on their own: (b,)
    real: int  # how many of the last clips are real ones
    draws: tuple[tuple[int, int], ...]  # (example, draw) of each of the b examples

    def to(self, device: torch.device) -> "Batch":
        """The same on another device."""
        tensors = (x.to(device) for x in (self.latents, self.noise, self.timesteps, self.text, self.labels))
        return Batch(*tensors, self.real, self.draws)


@dataclass(frozen=True)
class Encoded:
    """A clip's latents were computed; for a progress bar."""

    done: int
    total: int


def encode_clips(
    pipeline: ImageToVideoPipeline,
    examples: TrainingSet,
    real: Sequence[tuple[Path, str]],
    size: tuple[int, int, int],
    cache: Path,
) -> Iterator[Encoded]:
    """Does of `encode_examples` what takes long, one clip after the other, so that it can be broken off in between."""
    paths = [path for pair in examples.pairs for path in (pair.winner, pair.loser)]
    paths = list(dict.fromkeys([*paths, *(clip.clip for clip in examples.clips), *(path for path, _ in real)]))
    for done, path in enumerate(paths, start=1):
        if not latents_file(path, size, cache).is_file():
            clip_latents(pipeline, path, size, cache)
            yield Encoded(done, len(paths))


def encode_examples(
    pipeline: ImageToVideoPipeline,
    examples: TrainingSet,
    real: Sequence[tuple[Path, str]],
    size: tuple[int, int, int],  # frames, width and height of the model's clips
    cache: Path,
) -> EncodedExamples:
    """Latents and text of every example, each computed once: what lies in the folder `cache` is not done again.

    `real` are paths and prompts. Raises ValueError, naming the clip, for one that cannot be read or is too short.
    """
    texts: dict[str, Tensor] = {}
    latents: dict[Path, dict[str, Tensor]] = {}

    def encoded(path: Path, prompt: str) -> EncodedClip:
        if prompt not in texts:
            texts[prompt] = encode_prompt(pipeline, prompt)
        if path not in latents:
            latents[path] = clip_latents(pipeline, path, size, cache)
        return EncodedClip(**latents[path], text=texts[prompt])

    pairs = [
        Example((encoded(pair.winner, pair.prompt), encoded(pair.loser, pair.prompt)), pair.segments)
        for pair in examples.pairs
    ]
    clips = [Example((encoded(clip.clip, clip.prompt),), (1 if clip.good else -1,)) for clip in examples.clips]
    footage = tuple(encoded(path, prompt) for path, prompt in real)
    return EncodedExamples((*pairs, *clips), footage, encode_prompt(pipeline, ""))


@torch.no_grad()
def encode_prompt(pipeline: ImageToVideoPipeline, prompt: str) -> Tensor:
    """The text embedding (n d) of a prompt, on the CPU."""
    return encode_text(pipeline.text_encoder, pipeline.tokenizer, [prompt])[0].float().cpu()


def clip_latents(
    pipeline: ImageToVideoPipeline, path: Path, size: tuple[int, int, int], cache: Path
) -> dict[str, Tensor]:
    """`latents` and `mirrored` (f c h w) of a clip; from the cache when the same bytes were encoded at this size."""
    file = latents_file(path, size, cache)
    if not file.is_file():
        encoded = encode_both_ways(pipeline.vae, fitted_frames(path, *size))
        cache.mkdir(parents=True, exist_ok=True)
        write_whole(file, save(encoded))
    return load_file(file)


def latents_file(path: Path, size: tuple[int, int, int], cache: Path) -> Path:
    """Where the latents of a clip lie once they are computed."""
    _, width, height = size
    return cache / f"{file_sha256(path)}-{width}x{height}.safetensors"


def draw_batch(
    encoded: EncodedExamples,
    scheduler: DDIMScheduler,
    settings: PreferenceSettings,
    num_frames: int,
    positions: Sequence[int],  # in the endless sequence of examples
) -> Batch:
    """The tensors of the examples at `positions`, and as many real clips if the objective asks for them."""
    drawn = [draw_example(encoded, scheduler, settings, num_frames, position) for position in positions]
    members = range(len(drawn[0].members))
    # All winners, then all losers: the order in which losses split them again.
    latents = [example.members[i] for i in members for example in drawn]
    noise, timesteps = [d.noise for _ in members for d in drawn], [d.timestep for _ in members for d in drawn]
    text = [d.text for _ in members for d in drawn]
    real = []
    if settings.objective == "ipo":
        real = [draw_real(encoded, scheduler, settings, num_frames, position) for position in positions]
    for footage in real:
        latents.append(footage.members[0])
        noise.append(footage.noise)
        timesteps.append(footage.timestep)
        text.append(footage.text)
    labels = torch.stack([d.labels for d in drawn])
    draws = tuple((d.index, d.number) for d in drawn)
    return Batch(
        torch.stack(latents), torch.stack(noise), torch.stack(timesteps), torch.stack(text), labels, len(real), draws
    )


@dataclass(frozen=True)
class DrawnExample:
    """One example with the randomness of one step."""

    members: tuple[Tensor, ...]  # latents (c f h w) of winner and loser, or of one clip
    noise: Tensor  # (c f h w)
    timestep: Tensor  # ()
    text: Tensor  # (n d)
    labels: Tensor  # (f-1,) or ()
    index: int  # of the example
    number: int  # of its draw, where draws are fixed; else 0


def draw_example(
    encoded: EncodedExamples, scheduler: DDIMScheduler, settings: PreferenceSettings, num_frames: int, position: int
) -> DrawnExample:
    """The example at a position: every epoch has an order of its own.

    Winner and loser share the window in time, mirroring, caption (or its absence), timestep and noise: the margin must
    come from their content alone. For kto two clips that follow each other share the last four. With `draws_per_pair`
    an example comes back with the same ones of those after so many epochs, its timesteps spread evenly.
    """
    epoch, place = divmod(position, len(encoded.examples))
    index = order_of_epoch(encoded, settings, epoch)[place]
    example, number = encoded.examples[index], 0
    steps = scheduler.config.num_train_timesteps
    if draws := settings.draws_per_pair:
        number = epoch % draws
        generator = generator_for(settings.seed, "draw", index, number)
        stratum = int(torch.randperm(draws, generator=generator_for(settings.seed, "strata", index))[number])
        timestep = ((stratum + torch.rand((), generator=generator)) * steps / draws).long().clamp(max=steps - 1)
    else:
        shared = position - position % 2 if settings.objective == "kto" else position
        generator = generator_for(settings.seed, "position", shared)
        timestep = torch.randint(0, steps, (), generator=generator)
    length = min(len(clip.latents) for clip in example.clips)
    start = int(torch.randint(0, length - num_frames + 1, (), generator=generator))
    mirrored = settings.mirror and bool(torch.rand((), generator=generator) < 0.5)
    dropped = bool(torch.rand((), generator=generator) < settings.caption_dropout)
    members = tuple(clip.window(start, num_frames, mirrored) for clip in example.clips)
    noise = torch.randn(members[0].shape, generator=generator)
    text = encoded.empty_text if dropped else example.clips[0].text
    labels = torch.tensor(float(example.labels[0]))
    if len(members) == 2:
        labels = frame_labels(example.labels, start, num_frames, length)
    return DrawnExample(members, noise, timestep, text, labels, index, number)


def order_of_epoch(encoded: EncodedExamples, settings: PreferenceSettings, epoch: int) -> list[int]:
    """Every example once, shuffled; for kto good and bad clips are spread evenly: in turn where there are as many.

    A step of kto has few clips: one that happens to be good or bad alone says more of its noise than of the taste.
    """
    count = len(encoded.examples)
    order = torch.randperm(count, generator=generator_for(settings.seed, "epoch", epoch)).tolist()
    if settings.objective != "kto":
        return order
    places = {}
    for label in (1, -1):
        side = [index for index in order if encoded.examples[index].labels == (label,)]
        places |= {index: (place + 0.5) / len(side) for place, index in enumerate(side)}
    return sorted(order, key=places.__getitem__)


def draw_real(
    encoded: EncodedExamples, scheduler: DDIMScheduler, settings: PreferenceSettings, num_frames: int, position: int
) -> DrawnExample:
    """The real clip that goes with the example at a position, with randomness of its own."""
    generator = generator_for(settings.seed, "real", position)
    clip = encoded.real[int(torch.randint(0, len(encoded.real), (), generator=generator))]
    latents = clip.random_window(num_frames, generator, settings.mirror)
    timestep = torch.randint(0, scheduler.config.num_train_timesteps, (), generator=generator)
    dropped = bool(torch.rand((), generator=generator) < settings.caption_dropout)
    noise = torch.randn(latents.shape, generator=generator)
    text = encoded.empty_text if dropped else clip.text
    return DrawnExample((latents,), noise, timestep, text, torch.tensor(0.0), -1, 0)


def frame_labels(segments: Sequence[int], start: int, frames: int, length: int) -> Tensor:
    """The label of each frame of a window but its first, (f-1,): that of the part of the whole clip it lies in.

    `segments` are equal parts of a clip of `length` frames.
    """
    places = [(start + i) * len(segments) // length for i in range(1, frames)]
    return torch.tensor([float(segments[place]) for place in places])


def generator_for(*key: str | int) -> torch.Generator:
    """A generator of its own for every key."""
    digest = hashlib.sha256(repr(key).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8]) >> 1)
