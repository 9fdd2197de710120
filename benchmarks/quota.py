"""What the page asks of ZeroGPU for each action with `sd14`, and what visitors pay: `python benchmarks/quota.py`.

ZeroGPU counts the seconds that a call asks for, 1.5 times on its cards of today. They follow from the rough times in
presets.py, which nobody has measured there yet. Nothing is loaded and nothing runs.
"""

from huvidpo.backbones import LoadedBackbone
from huvidpo.presets import BACKBONES
from huvidpo.training.runs import RunPlan
from huvidpo.ui.finetune_needs import SLICE_SECONDS, requested_seconds
from huvidpo.ui.making import asked_seconds, clip_seconds, first_frame_seconds, pair_seconds, quota_of


def asked_by_action() -> dict[str, int]:
    """Seconds that one call asks for, by what the visitor wants."""
    preset = BACKBONES["sd14"]
    there, recipe = LoadedBackbone(preset, "cuda", None, {}, {}), preset.recipe("default")
    frame = first_frame_seconds(there, preset.first_frame_models[0], None)
    clip = clip_seconds(there, recipe.steps, recipe.guidance)
    return {
        "a first frame": asked_seconds(frame),
        "a clip from the first frame shown": asked_seconds(clip),
        "a first frame and its clip": asked_seconds(frame + clip),
        "a pair": asked_seconds(pair_seconds(there)),
        f"{SLICE_SECONDS} s of training": requested_seconds(there, SLICE_SECONDS, 0),
        "the first of them": requested_seconds(there, SLICE_SECONDS, 2 * RunPlan.validation_clips),
    }


def main() -> None:
    for action, asked in asked_by_action().items():
        print(f"{action:34} asks for {asked:4} s, {quota_of(asked):4} s of a quota")


if __name__ == "__main__":
    main()
