"""One change at a time, everything else as shipped: one row a variant. Knows no figures of its own."""

from dataclasses import replace

import numpy as np

from huvidpo.evaluation.estimates import mean
from huvidpo.evaluation.metrics import psnr
from huvidpo.pocket.judge import Judge
from huvidpo.pocket.report.of_clips import Continued, clip_columns, own_clips, uploaded_clips
from huvidpo.pocket.report.of_frames import need_dpo
from huvidpo.pocket.report.of_judge import ALL_FOUR, answers_right, shares
from huvidpo.pocket.report.studio import SHIPPED, Studio, Variant
from huvidpo.pocket.report.tables import Columns, Table
from huvidpo.recipes import RECIPES

DEFAULT = SHIPPED.recipe
KEPT = ("action from motion, %", "motion, x", "sharpness last/first, x", "colour drift, Delta E", "CLIPScore")
NOTE = "Drawn first frames of unseen seeds, the same ones and the same noise in every row; the rest as shipped."
STEPS = {"dpm++": (2, 4, 6, 8, 12, 24), "ddim": (4, 8)}  # a clip takes as long as its steps are many
GUIDANCES = (1.0, 2.5)


def attention_section(studio: Studio, judge: Judge, count: int) -> list[Table]:
    """Attention to the first and the previous frame (HuViDPO) against the first alone (LAMP).

    Both with weights that were trained with the first kind.
    """
    variants = {
        "first and previous": SHIPPED,
        "first only": replace(SHIPPED, attention="first"),
    }
    return [compared("Ablation: attention", studio, judge, count, variants)]


def shared_noise_section(studio: Studio, judge: Judge, count: int) -> list[Table]:
    """How much of the first frame's noise the later frames share."""
    variants = {f"shared {amount:g}": changed(shared_noise=amount) for amount in (0.0, 0.2, 0.4)}
    variants["shared 0.2, deviation 0.825"] = changed(preserve_variance=False)
    return [compared("Ablation: shared noise", studio, judge, count, variants)]


def solver_section(studio: Studio, judge: Judge, count: int) -> list[Table]:
    """Solver and number of steps against quality; the default should stand at the knee."""
    variants = {
        f"{solver}, {number} steps": changed(solver=solver, steps=number)
        for solver, numbers in STEPS.items()
        for number in numbers
    }
    return [compared("Ablation: solver and steps", studio, judge, count, variants)]


def guidance_section(studio: Studio, judge: Judge, count: int) -> list[Table]:
    """Classifier-free guidance of clips; 1 is without."""
    variants = {f"guidance {guidance:g}": changed(guidance=guidance) for guidance in GUIDANCES}
    return [compared("Ablation: guidance", studio, judge, count, variants)]


def recipe_section(studio: Studio, judge: Judge, count: int) -> list[Table]:
    """The shipped recipe against the published one and its two corrections of colours."""
    variants = {
        "default": SHIPPED,
        "AdaIN": changed(match_statistics=True),
        "histogram matching": changed(match_colours=True),
        "huvidpo, 50 steps": replace(SHIPPED, recipe=RECIPES["huvidpo"]),
        "huvidpo, 12 steps": replace(SHIPPED, recipe=replace(RECIPES["huvidpo"], steps=12)),
    }
    return [compared("Ablation: recipe", studio, judge, count, variants)]


def first_frame_model_section(studio: Studio, judge: Judge, count: int) -> list[Table]:
    """First frames of the base model against those of its preference-trained variant, in the finished clips.

    Raises ValueError when the weights have no such variant.
    """
    need_dpo(studio)
    rows = {}
    for model in ("base", "dpo"):
        clips = own_clips(studio, count, replace(SHIPPED, first_frame_model=model))
        frames = np.stack([clip.first_frame for clip in clips])
        shown = shares(answers_right(judge, frames, [clip.scene for clip in clips]))
        rows[model] = {ALL_FOUR: shown[ALL_FOUR]} | columns_of_clips(studio, judge, clips)
    note = "Prompts that no training drew, the same ones and the same noise in both rows."
    return [Table("Ablation: first-frame model", note, rows)]


def changed(**recipe: float | str | bool) -> Variant:
    """The shipped variant with another value in its recipe."""
    return replace(SHIPPED, recipe=replace(DEFAULT, **recipe))


def compared(title: str, studio: Studio, judge: Judge, count: int, variants: dict[str, Variant]) -> Table:
    """A row for each variant, with how near its clips come to the true ones."""
    rows = {}
    for name, variant in variants.items():
        clips = uploaded_clips(studio, count, variant)
        near = {"PSNR to true clip, dB": mean([psnr(clip.clip[1:], clip.real[1:]) for clip in clips])}
        shipped = " (default)" if variant == SHIPPED else ""
        rows[name + shipped] = columns_of_clips(studio, judge, clips) | near
    return Table(title, NOTE, rows)


def columns_of_clips(studio: Studio, judge: Judge, clips: list[Continued]) -> Columns:
    """What an ablation shows of all its clips together."""
    columns = clip_columns(studio, judge, clips)([*range(len(clips))])
    return {name: columns[name] for name in KEPT}
