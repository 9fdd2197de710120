"""The judge of `pocket`: what a picture shows, by a small CLIP, and what a clip does, by differences of its frames.

It was trained on practice clips only, of seeds that no generator trains on, and is right about such clips; of other
pictures it knows nothing. It knows no generator.
"""

import itertools
import re
from copy import deepcopy
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from huvidpo.pipelines.latents import frames_to_tensor
from huvidpo.pocket.practice_clips import ACTIONS, COLOURS, PLACES, STYLES, SUBJECTS, VARIANTS, Scene, caption
from huvidpo.quiet import without_bars

JUDGE_WEIGHTS = Path(__file__).parent / "weights" / "judge"
ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "action": ACTIONS,
    "colour": tuple(COLOURS),
    "place": tuple(PLACES),
    "style": STYLES,
}
NO_ACTION = "none"
MOTION_ANSWERS = (*ACTIONS, NO_ACTION)
LUMA = (0.2126, 0.7152, 0.0722)  # weights of red, green and blue in brightness, ITU-R BT.709
MOTION_SIZE = 64  # pixels: what moves can be seen at half size, and fine noise cannot
BATCH = 64


def new_dual_encoder(tokenizer: CLIPTokenizer) -> CLIPModel:
    """An untrained CLIP for frames of 128x128 pixels in patches of 16, and for the words of the practice captions."""
    shared = {"hidden_size": 128, "intermediate_size": 512, "num_attention_heads": 4, "projection_dim": 128}
    text = shared | {
        "vocab_size": len(tokenizer),
        "num_hidden_layers": 2,
        "max_position_embeddings": tokenizer.model_max_length,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = shared | {"num_hidden_layers": 4, "image_size": 128, "patch_size": 16}
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=128))


class MotionClassifier(ModelMixin, ConfigMixin):
    """A small convolutional network over time and space that names the action, or `none`, from `differences`."""

    @register_to_config
    def __init__(self, answers: int = len(MOTION_ANSWERS), width: int = 24):
        super().__init__()
        sizes = (1, width, 2 * width, 4 * width)
        layers: list[nn.Module] = []
        for i, (before, after) in enumerate(itertools.pairwise(sizes)):
            kernel, stride = ((3, 7, 7), (1, 4, 4)) if i == 0 else ((3, 3, 3), (2, 2, 2))
            padding = tuple(side // 2 for side in kernel)
            layers += [nn.Conv3d(before, after, kernel, stride, padding, bias=False), nn.BatchNorm3d(after), nn.SiLU()]
        self.layers = nn.Sequential(*layers)
        self.answer = nn.Linear(2 * sizes[-1], answers)

    def forward(self, moved: Tensor) -> Tensor:
        """Logits (b answers) of differences (b f h w)."""
        features = self.layers(10 * moved.unsqueeze(1)).flatten(2)  # 0.1 is a usual difference where things move
        return self.answer(torch.cat([features.mean(dim=2), features.amax(dim=2)], dim=1))


def brightness(clips: np.ndarray) -> Tensor:
    """Clips uint8 (b f h w 3) as brightness in 0..1 at MOTION_SIZE, (b f 64 64)."""
    grey = torch.from_numpy(clips).float() @ torch.tensor(LUMA) / 255
    return F.adaptive_avg_pool2d(grey, MOTION_SIZE)


def differences(grey: Tensor) -> Tensor:
    """What changes from each frame to the next and is not the still picture: (b f h w) -> (b f-1 h w).

    Of each difference d the part that a change of the whole frame's brightness or contrast explains, its projection on
    1 and on the frame before, is taken out: a flickering photograph would show itself in d. What d still shows is the
    outline of whatever moves, and a glimpse of anything that the whole frame does, as in a pan or a shake; the
    classifier was trained to call those `none`. A still clip has d = 0.
    """
    before, after = grey[:, :-1].flatten(2), grey[:, 1:].flatten(2)
    change = after - before
    change = change - change.mean(dim=2, keepdim=True)
    still = before - before.mean(dim=2, keepdim=True)
    share = (change * still).sum(dim=2, keepdim=True) / still.square().sum(dim=2, keepdim=True).clamp(min=1e-6)
    return (change - share * still).unflatten(2, grey.shape[2:])


@lru_cache(maxsize=64)
def phrases(attribute: str, choice: str) -> tuple[str, ...]:
    """All wordings of one choice of an attribute, as the captions have them, the other attributes left out.

    A colour is worded together with each thing that can have it, since it is that thing's colour which is asked for.
    """
    if attribute == "style":
        return f"{choice} style", f"in {choice} style", choice
    if attribute == "place":
        over = caption(Scene("birds", "red", choice, STYLES[0], 0, "birds"), VARIANTS - 1)
        return PLACES[choice], over.removeprefix("a flock of red birds ")
    actions = (choice,) if attribute == "action" else ACTIONS
    colour = choice if attribute == "colour" else "red"
    found = []
    for action in actions:
        for subject in SUBJECTS[action]:
            scene = Scene(action, colour, "mars", STYLES[0], 0, subject)
            found += [re.sub(r" (on|over) mars$", "", caption(scene, variant)) for variant in unstyled_variants()]
    if attribute == "action":
        found = [re.sub(r"\ba (?=[aeiou])", "an ", text.replace("red ", "")) for text in found]
    return tuple(found)


def unstyled_variants() -> range:
    """The caption variants that do not name the style: the last three."""
    return range(VARIANTS - 3, VARIANTS)


def text_embeddings(clip: CLIPModel, tokenizer: CLIPTokenizer, texts: list[str]) -> Tensor:
    """Unit vectors (n d) of texts."""
    tokens = tokenizer(texts, padding=True, truncation=True, return_tensors="pt").input_ids.to(clip.device)
    return F.normalize(clip.get_text_features(tokens).pooler_output, dim=-1)


def image_embeddings(clip: CLIPModel, images: Tensor) -> Tensor:
    """Unit vectors (n d) of images (n 3 128 128) in -1..1."""
    return F.normalize(clip.get_image_features(images.to(clip.device)).pooler_output, dim=-1)


@dataclass
class Judge:
    """Both networks, ready to be asked."""

    clip: CLIPModel
    tokenizer: CLIPTokenizer
    motion: MotionClassifier
    choices: dict[str, Tensor] = field(init=False)  # attribute -> unit vectors (k d) of its choices

    @torch.no_grad()
    def __post_init__(self) -> None:
        self.choices = {attribute: self._choice_vectors(attribute) for attribute in ATTRIBUTES}

    def _choice_vectors(self, attribute: str) -> Tensor:
        """The mean over all wordings of each choice, as CLIP ensembles prompts (arXiv 2103.00020, section 3.1.4)."""
        means = []
        for choice in ATTRIBUTES[attribute]:
            means.append(text_embeddings(self.clip, self.tokenizer, list(phrases(attribute, choice))).mean(dim=0))
        return F.normalize(torch.stack(means), dim=-1)

    @torch.no_grad()
    def frame_vectors(self, frames: np.ndarray) -> Tensor:
        """Unit vectors (n d) of frames uint8 (n 128 128 3)."""
        parts = (frames[start : start + BATCH] for start in range(0, len(frames), BATCH))
        return torch.cat([image_embeddings(self.clip, frames_to_tensor(part)) for part in parts])

    def answers(self, frames: np.ndarray) -> list[dict[str, str]]:
        """What each frame, uint8 (n 128 128 3), shows: its action, colour, place and style.

        Zero-shot classification as in CLIP: the choice whose wordings are nearest to the picture.
        """
        vectors = self.frame_vectors(frames)
        columns = []
        for attribute, texts in self.choices.items():
            nearest = (vectors @ texts.T).argmax(dim=1).tolist()
            columns.append([(attribute, ATTRIBUTES[attribute][i]) for i in nearest])
        return [dict(row) for row in zip(*columns, strict=True)]

    @torch.no_grad()
    def clip_scores(self, frames: np.ndarray, prompts: list[str]) -> np.ndarray:
        """CLIPScore of each frame, uint8 (n 128 128 3), for its prompt: (n,), 0 .. 2.5.

        CLIPScore(I, C) = 2.5 * max(cos(I, C), 0), Hessel et al. 2021 (arXiv 2104.08718), Equation 1, but without the
        words "A photo depicts" before the prompt, which this model does not know. The cosine is that of this small
        model: its scores compare with each other, not with those of other CLIP models.
        """
        texts = torch.cat([
            text_embeddings(self.clip, self.tokenizer, prompts[start : start + BATCH])
            for start in range(0, len(prompts), BATCH)
        ])  # fmt: skip
        cosines = (self.frame_vectors(frames) * texts).sum(dim=1)
        return (2.5 * cosines.clamp(min=0)).double().cpu().numpy()

    def clip_score(self, clip: np.ndarray, prompt: str) -> float:
        """Mean CLIPScore of the frames of one clip, uint8 (f 128 128 3)."""
        return float(self.clip_scores(clip, [prompt] * len(clip)).mean())

    @torch.no_grad()
    def actions_from_motion(self, clips: np.ndarray) -> list[str]:
        """The action of each clip, uint8 (n f h w 3) with f >= 4, from `differences` alone; `none` where none is."""
        parts = (clips[start : start + BATCH] for start in range(0, len(clips), BATCH))
        logits = torch.cat([self.motion(differences(brightness(part)).to(self.motion.device)) for part in parts])
        return [MOTION_ANSWERS[i] for i in logits.argmax(dim=1).tolist()]


@without_bars()
def load_judge(folder: Path = JUDGE_WEIGHTS) -> Judge:
    """The trained judge, on the CPU in single precision. ValueError when its weights are missing."""
    if not (folder / "clip" / "config.json").exists():
        raise ValueError(f"The judge's weights are missing from {folder}: train them, or clone the repository again.")
    clip = CLIPModel.from_pretrained(folder / "clip", dtype=torch.float32, local_files_only=True)
    tokenizer = CLIPTokenizer.from_pretrained(folder / "clip", local_files_only=True)
    motion = MotionClassifier.from_pretrained(folder / "motion", torch_dtype=torch.float32, local_files_only=True)
    return Judge(clip.eval().requires_grad_(False), tokenizer, motion.eval().requires_grad_(False))


def save_judge(judge: Judge, folder: Path) -> None:
    """Writes both networks in half precision."""
    deepcopy(judge.clip).half().save_pretrained(folder / "clip")
    judge.tokenizer.save_pretrained(folder / "clip")
    deepcopy(judge.motion).half().save_pretrained(folder / "motion")
