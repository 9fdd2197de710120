"""Figures of the autoencoder and of first frames. Knows nothing of motion."""

from collections.abc import Callable

import numpy as np
from tqdm import tqdm

from huvidpo.evaluation.estimates import mean, share, share_difference
from huvidpo.evaluation.metrics import colourfulness, psnr
from huvidpo.pocket.judge import Judge
from huvidpo.pocket.practice_clips import Scene, caption, render_frame
from huvidpo.pocket.practice_data import TRAINING_SEEDS, practice_frame
from huvidpo.pocket.report.measures import grid_strength
from huvidpo.pocket.report.of_judge import ALL_FOUR, answers_right, shares
from huvidpo.pocket.report.studio import Studio
from huvidpo.pocket.report.tables import STYLED_VARIANTS, Columns, Table, by_action, held_out_scenes, scenes_of

# First seeds of scenes. No generator trains on them.
RECONSTRUCTED, ASKED, HELD_OUT = TRAINING_SEEDS, TRAINING_SEEDS + 20_000, TRAINING_SEEDS + 40_000


def autoencoder_section(studio: Studio, judge: Judge, count: int) -> list[Table]:
    """How well practice frames survive encoding and decoding, and whether patches show."""
    frames = np.stack([practice_frame(seed) for seed in range(RECONSTRUCTED, RECONSTRUCTED + count)])
    pairs = list(zip(studio.round_trip(frames), frames, strict=True))
    columns = {
        "PSNR, dB": mean([psnr(decoded, frame) for decoded, frame in pairs]),
        "error at patch borders, x": mean([grid_strength(decoded, frame) for decoded, frame in pairs]),
    }
    note = "Practice frames that no training saw. The error's steps at borders of 8x8 patches over those elsewhere."
    return [Table("Autoencoder", note, {"practice frames": columns}, "32 dB, and 1 x: no grid")]


def first_frames_section(studio: Studio, judge: Judge, count: int) -> list[Table]:
    """Whether first frames show what the prompt says, by action, beside practice frames of the same scenes."""
    scenes = scenes_of(ASKED, count)
    rows = by_action(scenes, frame_columns(studio, judge, scenes))
    drawn = np.stack([render_frame(scene, 0) for scene in scenes])
    rows["practice frames"] = columns_of(*looked_at(judge, drawn, scenes))([*range(count)])
    note = (
        "Prompts of scenes that no training drew, in wordings that name the style; another noise for each. Their "
        "sentences may have occurred in training with other scenes; see held-out for what never occurred."
    )
    return [Table("First frames", note, rows, "action 97 %, colour 93 %, place 93 %, style 93 %")]


def held_out_section(studio: Studio, judge: Judge, count: int) -> list[Table]:
    """First frames of combinations of action, colour, place and style that were held out of training."""
    scenes = held_out_scenes(HELD_OUT, count)
    rows = by_action(scenes, frame_columns(studio, judge, scenes))
    note = "Prompts for the combinations that no training of a generator contained, in turn."
    return [Table("First frames of held-out combinations", note, rows, "all four right in 85 %")]


def dpo_section(studio: Studio, judge: Judge, count: int) -> list[Table]:
    """The preference-trained first frames against the base model's: same prompts, same noise.

    Raises ValueError when the weights have no preference-trained variant.
    """
    need_dpo(studio)
    scenes = scenes_of(ASKED, count)
    made = {model: first_frames(studio, scenes, model) for model in ("base", "dpo")}
    looked = {model: looked_at(judge, frames, scenes) for model, frames in made.items()}
    rows = {model: columns_of(*seen)([*range(count)]) for model, seen in looked.items()}
    (base_right, base), (dpo_right, dpo) = looked.values()
    plain, vivid = (np.array([colourfulness(frame) for frame in frames]) for frames in made.values())
    versus = {
        "more vivid, %": share(vivid > plain),
        "more colourfulness": mean(vivid - plain),
        "higher CLIPScore, %": share(dpo > base),
        "more CLIPScore": mean(dpo - base),
        "more all four right, %": share_difference(
            [float(new) - float(old) for new, old in zip(dpo_right[ALL_FOUR], base_right[ALL_FOUR], strict=True)]
        ),
    }
    note = (
        "The same prompts and the same noise for both. Of the pairs that taught it, the more vivid picture "
        "(colourfulness of Hasler and Suesstrunk, 0 is grey) was preferred where its CLIPScore was no lower."
    )
    aim = "more vivid in over 50 %, prompts not followed less"
    return [Table("First frames, base and dpo", note, rows), Table("dpo against base", note, {"dpo": versus}, aim)]


class NoDpo(ValueError):
    """The weights have no preference-trained first frames."""


def need_dpo(studio: Studio) -> None:
    """Raises NoDpo when the weights have no preference-trained first frames."""
    if "dpo" not in studio.backbone.preset.first_frame_models:
        raise NoDpo("These weights have no dpo first frames yet: train them with the stage preference.")


def prompt(scene: Scene, number: int) -> str:
    """The scene's caption in the wording whose turn it is, of those that name the style."""
    return caption(scene, variant=number % STYLED_VARIANTS)


def first_frames(studio: Studio, scenes: list[Scene], model: str = "") -> np.ndarray:
    """A first frame for each scene, uint8 (n h w 3); the scene's number is its noise."""
    asked = tqdm(scenes, desc="First frames", disable=None, leave=False)
    return np.stack([studio.first_frame(prompt(scene, i), seed=i, model=model) for i, scene in enumerate(asked)])


def frame_columns(studio: Studio, judge: Judge, scenes: list[Scene]) -> Callable[[list[int]], Columns]:
    """The columns of first frames that are made for the scenes."""
    return columns_of(*looked_at(judge, first_frames(studio, scenes), scenes))


def looked_at(judge: Judge, frames: np.ndarray, scenes: list[Scene]) -> tuple[dict[str, list[bool]], np.ndarray]:
    """What the judge finds right in each frame (see `answers_right`), and each frame's CLIPScore (n,)."""
    scores = judge.clip_scores(frames, [prompt(scene, i) for i, scene in enumerate(scenes)])
    return answers_right(judge, frames, scenes), scores


def columns_of(right: dict[str, list[bool]], scores: np.ndarray) -> Callable[[list[int]], Columns]:
    """A function from numbers of scenes to columns: what is right in those frames, and their CLIPScore."""

    def columns(chosen: list[int]) -> Columns:
        return shares(right, chosen) | {"CLIPScore": mean(scores[chosen])}

    return columns
