"""First frames and clips for the report, made as shipped or in a named variant, each once. Knows no judge.

What was made is kept in a folder under a name that depends on everything that makes it: an interrupted report goes on
where it stopped, and new weights make new pictures.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from huvidpo import adapters
from huvidpo.adapter_weights import apply_adapter
from huvidpo.adapters import Adapter, find_adapter, read_adapter
from huvidpo.atomic import replacing
from huvidpo.backbones import LoadedBackbone
from huvidpo.pipelines.latents import decode_frames, encode_frames, frames_to_tensor, tensor_to_frames
from huvidpo.pocket.shipped import pocket_digest
from huvidpo.presets import BACKBONES
from huvidpo.recipes import Recipe
from huvidpo.requests import FirstFrameRequest
from huvidpo.takes import first_frame_metadata, make_first_frame, versions

RECIPE = BACKBONES["pocket"].recipe("default")


@dataclass(frozen=True)
class Variant:
    """A way to make clips; the default is the shipped one."""

    recipe: Recipe = RECIPE
    attention: str = "first-previous"
    first_frame_model: str = ""  # "" is the best that the backbone has
    adapter: str = ""  # "" is the action's shipped one, else an adapter's folder


SHIPPED = Variant()


def shipped_adapter(backbone: str, action: str) -> Adapter | None:
    """The default that this repository ships for an action, whatever was promoted here; None where there is none."""
    cards = sorted((adapters.SHIPPED / backbone / action).glob("*/card.json"))
    found = (read_adapter(card.parent) for card in cards)
    return next((adapter for adapter in found if adapter and adapter.status == "default"), None)


@dataclass
class Studio:
    """Makes first frames and clips with a backbone and keeps them in `folder`."""

    backbone: LoadedBackbone
    folder: Path
    weights: str = field(init=False)  # names the image model's files

    def __post_init__(self) -> None:
        self.weights = pocket_digest("text_encoder", "unet", "vae", "dpo")

    def first_frame(self, prompt: str, seed: int, model: str = "") -> np.ndarray:
        """The first frame that the page would make, uint8 (h w 3)."""
        request = FirstFrameRequest(prompt, seed=seed, model=model or self.backbone.preset.first_frame_models[0])

        def make() -> np.ndarray:
            *_, frame = make_first_frame(self.backbone, request)
            return np.asarray(frame.image)

        return self._once(first_frame_metadata(self.backbone, request), make)

    def clip(self, image: np.ndarray, prompt: str, action: str, seed: int, variant: Variant = SHIPPED) -> np.ndarray:
        """The clip that continues a first frame, uint8 (h w 3) -> (f h w 3)."""
        preset, video = self.backbone.preset, self.backbone.video
        folder = variant.adapter
        adapter = find_adapter(preset.name, action, folder) if folder else shipped_adapter(preset.name, action)

        def make() -> np.ndarray:
            with self.backbone.lock:
                apply_adapter(video.unet, adapter, self.backbone.still_motion)
                video.unet.set_attention(variant.attention)
                video.set_progress_bar_config(disable=True)
                size = {"num_frames": preset.num_frames, "width": preset.width, "height": preset.height}
                return video([prompt], [Image.fromarray(image)], [seed], variant.recipe, **size).frames[0]

        key = versions(self.backbone) | {"prompt": prompt, "seed": seed}
        key |= {"image": hashlib.sha256(image.tobytes()).hexdigest()}
        key |= {"recipe": dataclasses.asdict(variant.recipe), "attention": variant.attention}
        return self._once(key | {"adapter": adapter.revision() if adapter else "none"}, make)

    @torch.no_grad()
    def round_trip(self, frames: np.ndarray) -> np.ndarray:
        """Frames uint8 (n h w 3) as they come back from the autoencoder."""
        vae = self.backbone.video.vae
        parts = [frames_to_tensor(frames[start : start + 16]) for start in range(0, len(frames), 16)]
        return np.concatenate([tensor_to_frames(decode_frames(vae, encode_frames(vae, part))) for part in parts])

    def _once(self, key: dict[str, object], make: Callable[[], np.ndarray]) -> np.ndarray:
        name = hashlib.sha256(json.dumps(key | {"weights": self.weights}, sort_keys=True).encode()).hexdigest()
        path = self.folder / f"{name[:32]}.npz"
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            with replacing(path) as partial:
                np.savez_compressed(partial, made=make())
        with np.load(path, allow_pickle=False) as kept:
            return kept["made"]
