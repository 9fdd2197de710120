"""The judge's own figures, first of all: how far what it says can be believed. Knows no generator."""

from random import Random

import numpy as np
import torch

from huvidpo.evaluation.estimates import mean, share
from huvidpo.pocket.judge import ATTRIBUTES, NO_ACTION, Judge
from huvidpo.pocket.practice_clips import ACTIONS, Scene, caption, render_clip, sample_scene
from huvidpo.pocket.practice_data import practice_frame
from huvidpo.pocket.report.studio import Studio
from huvidpo.pocket.report.tables import Columns, Table
from huvidpo.pocket.train_judge import STILL_KINDS, still_clips, with_one_change

FRAMES, CLIPS = 3_000_000, 3_100_000  # first seeds; neither the judge nor a generator trains on these
ALL_FOUR = "all four, %"  # the column of frames in which every attribute is right


def judge_section(studio: Studio, judge: Judge, count: int) -> list[Table]:
    """Accuracy on `count` frames and a quarter as many clips that the judge has not seen."""
    scenes = [sample_scene(FRAMES + i) for i in range(count)]
    frames = np.stack([practice_frame(scene.seed) for scene in scenes])
    decoded = studio.round_trip(frames)
    seen = "Practice frames of seeds that neither the judge nor a generator was trained on."
    pictures = {
        "practice frames": shares(answers_right(judge, frames, scenes)),
        "out of the autoencoder": shares(answers_right(judge, decoded, scenes)),
    }
    scores = {
        "practice frames": score_columns(judge, frames, scenes),
        "out of the autoencoder": score_columns(judge, decoded, scenes),
    }
    return [
        Table("The judge: what a picture shows", seen, pictures, "98 % for each attribute"),
        Table("The judge: CLIPScore", seen, scores),
        judge_of_motion(studio, judge, max(len(ACTIONS), count // 4)),
    ]


def answers_right(judge: Judge, frames: np.ndarray, scenes: list[Scene]) -> dict[str, list[bool]]:
    """For each attribute, and for all four together, whether each frame, uint8 (n h w 3), shows its scene's."""
    answers = judge.answers(frames)
    right = {
        f"{name}, %": [answer[name] == getattr(scene, name) for answer, scene in zip(answers, scenes, strict=True)]
        for name in ATTRIBUTES
    }
    return right | {ALL_FOUR: [all(row) for row in zip(*right.values(), strict=True)]}


def shares(right: dict[str, list[bool]], chosen: list[int] | None = None) -> Columns:
    """The share of each column, of all samples or of those with the numbers `chosen`."""
    return {name: share(values if chosen is None else [values[i] for i in chosen]) for name, values in right.items()}


def score_columns(judge: Judge, frames: np.ndarray, scenes: list[Scene]) -> Columns:
    """CLIPScore for the right caption, for one with a single attribute changed, and how often the right one wins."""
    rng = Random("changed captions")
    right = judge.clip_scores(frames, [caption(scene) for scene in scenes])
    wrong = judge.clip_scores(frames, [caption(with_one_change(scene, rng)) for scene in scenes])
    return {
        "right caption": mean(right),
        "one attribute wrong": mean(wrong),
        "right one preferred, %": share(right > wrong),
    }


def judge_of_motion(studio: Studio, judge: Judge, count: int) -> Table:
    """How often the action of a clip is named from differences, and that of a still picture is not."""
    scenes = [sample_scene(CLIPS + i, action=ACTIONS[i % len(ACTIONS)]) for i in range(count)]
    clips = np.stack([render_clip(scene) for scene in scenes])
    decoded = np.stack([studio.round_trip(clip) for clip in clips])
    rows = {
        "practice clips": named(judge.actions_from_motion(clips), scenes),
        "out of the autoencoder": named(judge.actions_from_motion(decoded), scenes),
    }
    grey, generator = torch.from_numpy(clips).float().mean(dim=-1), torch.Generator().manual_seed(0)
    for kind in STILL_KINDS:
        still = still_clips(grey, generator, kind).round().clamp(0, 255).byte()
        still = still.unsqueeze(-1).expand(clips.shape).numpy()
        rows[f"still, {kind}"] = named(judge.actions_from_motion(still), scenes)
    note = "Unseen seeds. A still has no action: to name its picture's would be to read the picture, not the motion."
    return Table("The judge: actions from motion alone", note, rows, "98 % of practice clips, none of the stills")


def named(answers: list[str], scenes: list[Scene]) -> Columns:
    """How often the answers are the scenes' actions, and how often they are no action."""
    return {
        "action named, %": share([answer == scene.action for answer, scene in zip(answers, scenes, strict=True)]),
        "no action named, %": share([answer == NO_ACTION for answer in answers]),
    }
