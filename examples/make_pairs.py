"""Makes the pairs that a new page starts with: `python examples/make_pairs.py`.

One pair per action with the shipped weights and default settings, two takes with noise and guidance of their own:
examples/pairs/ACTION-a.mp4, ACTION-b.mp4 and ACTION.png, their common first frame.
"""

from pathlib import Path

from huvidpo.backbones import load_backbone
from huvidpo.categories import CATEGORIES
from huvidpo.images import write_png
from huvidpo.preferences.pairing import default_pairing, pair_requests
from huvidpo.requests import ClipRequest, FirstFrameRequest, starting_from
from huvidpo.takes import make_clip, make_first_frame, save_clip

PAIRS = Path(__file__).parent / "pairs"
SEED = 21  # of the first pair; the others count on, so that it is not always take a that has the higher guidance


def main() -> None:
    backbone = load_backbone("pocket")
    PAIRS.mkdir(parents=True, exist_ok=True)
    for seed, category in enumerate(CATEGORIES.values(), start=SEED):
        prompt = category.example_prompts[-1]
        *_, frame = make_first_frame(backbone, FirstFrameRequest(prompt, seed=seed))
        write_png(frame.image, PAIRS / f"{category.name}.png", {})
        request = starting_from(ClipRequest(prompt, category.name, seed=seed), frame.request)
        for side, asked in zip("ab", pair_requests(backbone.preset, request, default_pairing(request)), strict=True):
            *_, clip = make_clip(backbone, frame.image, asked)
            print(save_clip(clip, PAIRS / f"{category.name}-{side}.mp4"))


if __name__ == "__main__":
    main()
