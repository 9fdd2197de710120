"""The networks that evaluation asks: picture and words, subject, background, action. Knows no generator and no file.

`pocket`'s own judge for its practice world, and the published models at full size, by name on the Hub or as folders.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import skimage
import torch
import torch.nn.functional as F
import transformers
from einops import rearrange
from PIL import Image
from torch import Tensor, nn
from transformers import AutoImageProcessor, AutoModel, AutoTokenizer, BaseImageProcessor, PreTrainedModel

from huvidpo.categories import CATEGORIES
from huvidpo.evaluation.metrics import consistency, image_fidelity, pixel_metrics, psnr
from huvidpo.pipelines.latents import fit_image, frames_to_tensor
from huvidpo.pocket.judge import load_judge, text_embeddings
from huvidpo.quiet import without_bars

CLIP_SCORE_MODEL = "openai/clip-vit-large-patch14"
BACKGROUND_MODEL = "openai/clip-vit-base-patch32"
SUBJECT_MODEL = "facebook/dino-vitb16"
HUB_NOTICE = (
    f"{CLIP_SCORE_MODEL} and {BACKGROUND_MODEL} (OpenAI's CLIP, MIT) and {SUBJECT_MODEL} (DINO, Apache-2.0) look at "
    "the clips; the first time they are downloaded, 2.7 GB."
)
MIN_MOTION_FRAMES = 4  # fewer say nothing about an action


@dataclass(frozen=True)
class Vision:
    """What is asked of each frame; all vectors are unit vectors."""

    names: dict[str, str]  # what each figure comes from, for the report's settings
    text: Callable[[str], np.ndarray]  # a prompt -> (d,)
    image: Callable[[np.ndarray], np.ndarray]  # uint8 (f h w 3) -> (f d), in the space of `text`
    subject: Callable[[np.ndarray], np.ndarray]  # uint8 (f h w 3) -> (f d)
    background: Callable[[np.ndarray], np.ndarray]
    action: Callable[[np.ndarray], str] | None = None  # uint8 (f h w 3) -> a category's name, from motion alone
    weights: str = ""  # sha256 of all that is asked


def measure_clip(
    vision: Vision, frames: np.ndarray, prompt: str, category: str, image: np.ndarray | None
) -> dict[str, float]:
    """Everything that is measured of one clip, uint8 (f h w 3), by the names of `metrics.METRICS`.

    `image` (h w 3) is the picture that was to be continued; without one, fidelity to it is not measured. CLIPScore is
    100 times the cosine, a frame's negative one as 0, mean over frames: the scale that the paper's 33 shows.
    Raises ValueError for fewer than two frames.
    """
    found = pixel_metrics(frames)
    cosines = vision.image(frames) @ vision.text(prompt)
    subject = vision.subject(frames)
    found["clip_score"] = 100 * float(cosines.clip(0).mean())
    found["subject_consistency"] = consistency(subject)
    found["background_consistency"] = consistency(vision.background(frames))
    if image is not None:
        found |= image_fidelity(subject, vision.subject(image[None])[0])
    if image is not None and image.shape == frames[0].shape:
        found["first_frame_psnr"] = psnr(frames[0], image)
    if vision.action is not None and category in CATEGORIES and len(frames) >= MIN_MOTION_FRAMES:
        found["action_seen"] = 100.0 * (vision.action(frames) == category)
    return found


def programs() -> dict[str, str]:
    """What figures are computed by, beside what clips are made by."""
    return {"transformers": transformers.__version__, "scikit-image": skimage.__version__}


def pocket_vision() -> Vision:
    """The judge of practice clips. It has no DINO: the mean of its CLIP's patch vectors stands in for the subject."""
    judge = load_judge()

    @torch.no_grad()
    def patches(frames: np.ndarray) -> np.ndarray:
        pixels = frames_to_tensor(fitted(frames, 128)).to(judge.clip.device)
        return unit(judge.clip.vision_model(pixel_values=pixels).last_hidden_state[:, 1:].mean(dim=1))

    @torch.no_grad()
    def image(frames: np.ndarray) -> np.ndarray:
        return unit(judge.frame_vectors(fitted(frames, 128)))

    @torch.no_grad()
    def text(prompt: str) -> np.ndarray:
        return unit(text_embeddings(judge.clip, judge.tokenizer, [prompt]))[0]

    def action(frames: np.ndarray) -> str:
        return judge.actions_from_motion(fitted(frames, 128)[None])[0]

    names = {"clip_score": "pocket's judge", "background": "pocket's judge", "subject": "pocket's judge, its patches"}
    return Vision(names, text, image, patches, image, action, weights_digest(judge.clip, judge.motion))


@dataclass(frozen=True)
class HubModel:
    """A published model that looks at pictures, with what readies them for it."""

    network: PreTrainedModel
    prepare: BaseImageProcessor

    def pixels(self, frames: np.ndarray) -> Tensor:
        images = [Image.fromarray(frame) for frame in frames]
        return self.prepare(images=images, return_tensors="pt").pixel_values.to(self.network.device)

    @torch.no_grad()
    def picture_vectors(self, frames: np.ndarray) -> np.ndarray:
        """A CLIP's vectors of frames, uint8 (f h w 3) -> (f d)."""
        return unit(self.network.get_image_features(self.pixels(frames)).pooler_output)

    def whole_pixels(self, frames: np.ndarray) -> Tensor:
        """Pixels (f 3 h' w') of whole frames, the shorter edge as the network has it: VBench shows them to DINO so.

        Its models' own preparation would squash them to a square.
        """
        (height, width), side = frames.shape[1:3], self.network.config.image_size
        size = [int(side * edge / min(height, width)) for edge in (height, width)]
        images = rearrange(torch.from_numpy(frames), "f h w c -> f c h w").to(self.network.device)
        scaled = F.interpolate(images.float(), size, mode="bilinear").round() / 255  # without antialiasing, as VBench
        mean, std = (
            torch.tensor(values, device=scaled.device)[:, None, None]
            for values in (self.prepare.image_mean, self.prepare.image_std)
        )
        return (scaled - mean) / std

    @torch.no_grad()
    def first_tokens(self, frames: np.ndarray) -> np.ndarray:
        """A vision transformer's vectors of whole frames, uint8 (f h w 3) -> (f d)."""
        pixels = self.whole_pixels(frames)
        return unit(self.network(pixel_values=pixels, interpolate_pos_encoding=True).last_hidden_state[:, 0])


@without_bars()
def hub_vision(
    device: str,
    clip_score: str = CLIP_SCORE_MODEL,
    background: str = BACKGROUND_MODEL,
    subject: str = SUBJECT_MODEL,
) -> Vision:
    """The published models: names on the Hub, or folders. ValueError with what to check when one cannot be loaded."""
    names = {"clip_score": clip_score, "background": background, "subject": subject}
    try:
        clip, behind, dino = (
            HubModel(AutoModel.from_pretrained(name).eval().to(device), AutoImageProcessor.from_pretrained(name))
            for name in names.values()
        )
        tokenizer = AutoTokenizer.from_pretrained(clip_score)
    except OSError as error:
        raise ValueError(
            f"The models that judge clips ({', '.join(names.values())}) could not be loaded from the Hub or its "
            "cache: check the network, or take --judge pocket."
        ) from error

    @torch.no_grad()
    def text(prompt: str) -> np.ndarray:
        tokens = tokenizer([prompt], padding=True, truncation=True, return_tensors="pt").to(device)
        return unit(clip.network.get_text_features(**tokens).pooler_output)[0]

    weights = weights_digest(clip.network, behind.network, dino.network)
    names["subject"] += ", whole frames"  # not squashed: those would be other figures
    return Vision(names, text, clip.picture_vectors, dino.first_tokens, behind.picture_vectors, weights=weights)


def weights_digest(*networks: nn.Module) -> str:
    """A sha256 over all weights: figures of other weights under the same name are other figures.

    But for a pooling layer: nothing here asks one, and where a checkpoint has none it is drawn at random.
    """
    digest = hashlib.sha256()
    for network in networks:
        for name, value in sorted(network.state_dict().items()):
            if name.startswith("pooler."):
                continue
            digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            digest.update(value.cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def unit(vectors: Tensor) -> np.ndarray:
    """Vectors (n d) at length 1, in double precision."""
    return F.normalize(vectors.double(), dim=-1).cpu().numpy()


def fitted(frames: np.ndarray, side: int) -> np.ndarray:
    """Frames uint8 (f h w 3) scaled and cropped to a square."""
    if frames.shape[1:3] == (side, side):
        return frames
    return np.stack([np.asarray(fit_image(Image.fromarray(frame), side, side, "crop")) for frame in frames])
