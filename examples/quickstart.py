"""A prompt becomes a first frame and a clip: `python examples/quickstart.py`. Needs no GPU and no network.

Writes quickstart.png (the first frame) and quickstart.mp4 (16 frames, 128x128, its settings inside).
"""

from pathlib import Path

from huvidpo.backbones import load_backbone
from huvidpo.requests import ClipRequest, FirstFrameRequest
from huvidpo.takes import Progress, make_clip, make_first_frame, save_clip


def main(out: Path = Path(), steps: int | None = None) -> Path:
    """Makes the clip in the folder `out`; gives its path."""
    backbone = load_backbone("pocket")
    prompt = "a blue waterfall in the forest"
    *_, first_frame = make_first_frame(backbone, FirstFrameRequest(prompt, style="cartoon", seed=3, steps=steps))
    first_frame.image.save(out / "quickstart.png")
    request = ClipRequest(prompt, category="waterfall", style="cartoon", seed=3, steps=steps)
    for event in make_clip(backbone, first_frame.image, request):
        if isinstance(event, Progress):
            print(f"step {event.step} of {event.total}")
    return save_clip(event, out / "quickstart.mp4")


if __name__ == "__main__":
    print(main())
