"""What pages are tested with: pairs of short drawn clips, half a second each, so that a test can watch them to the
end; votes between two adapters; an evaluation."""

import hashlib
import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from huvidpo.adapters import Adapter, find_adapter, read_adapter
from huvidpo.evaluation.metrics import pixel_metrics
from huvidpo.evaluation.results import ClipResult, Results, System, write_results
from huvidpo.preferences.records import Pair, Rating, TakeRecord, new_id, new_pair
from huvidpo.preferences.store import RatingStore
from huvidpo.video import write_mp4

FRAMES, FPS, SIZE = 4, 8, 64
SETTINGS = {"huvidpo": "test", "category": "horse", "backbone": "pocket", "steps": 1}


def drawn_clip(seed: int, frames: int = FRAMES) -> np.ndarray:
    """A bright square that crosses a coloured ground, uint8 (f h w 3)."""
    generator = np.random.default_rng(seed)
    clip = np.empty((frames, SIZE, SIZE, 3), np.uint8)
    clip[:] = generator.integers(20, 120, 3)
    row, colour = generator.integers(4, SIZE - 20), generator.integers(140, 256, 3)
    for i in range(frames):
        left = round(i * (SIZE - 16) / max(1, frames - 1))
        clip[i, row : row + 16, left : left + 16] = colour
    return clip


@cache
def encoded_clip(seed: int, frames: int, prompt: str, adapter: str) -> bytes:
    """The file of a drawn clip with its settings inside, encoded once."""
    settings = SETTINGS | {"prompt": prompt, "seed": seed, "adapter": adapter}
    with TemporaryDirectory() as folder:
        return write_mp4(drawn_clip(seed, frames), Path(folder) / "clip.mp4", FPS, settings).read_bytes()


def plant_pair(
    store: RatingStore, folder: Path, number: int, prompt: str = "", frames: int = FRAMES, category: str = "horse"
) -> Pair:
    """Adds the pair of that number; its two takes differ in seed and adapter."""
    folder.mkdir(parents=True, exist_ok=True)
    takes, files = [], []
    for side, adapter in enumerate(("gallop", "none")):
        seed = 2 * number + side
        settings = SETTINGS | {"prompt": prompt or f"a horse, number {number}", "seed": seed, "adapter": adapter}
        file, content = folder / f"{number}-{side}.mp4", encoded_clip(seed, frames, settings["prompt"], adapter)
        file.write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        takes.append(TakeRecord.from_settings(settings, sha256, frames, SIZE, SIZE, FPS))
        files.append(file)
    pair = new_pair(*takes, settings["prompt"], category, "queue", "independent")
    return store.add_pair(pair, files)


def plant_pairs(home: Path, folder: Path, count: int) -> list[Pair]:
    """Adds pairs 0 .. count - 1 to the store of a home."""
    store = RatingStore(home)
    pairs = [plant_pair(store, folder, number) for number in range(count)]
    store.close()
    return pairs


def plant_candidate(home: Path) -> Adapter:
    """A horse adapter `dpo-1` on top of the shipped one, known by its card; its weights are never loaded."""
    folder = home / "adapters" / "pocket" / "horse" / "dpo-1"
    folder.mkdir(parents=True)
    card = {"backbone": "pocket", "category": "horse", "kind": "preference", "parent": "motion", "ratings": 40}
    (folder / "card.json").write_text(json.dumps(card | {"created_at": "2030-01-02T00:00:00+00:00"}))
    (folder / "preference_lora.safetensors").write_bytes(b"not looked at")
    return read_adapter(folder)


def plant_votes(store: RatingStore, folder: Path, adapter: Adapter, wins: int, losses: int) -> None:
    """Votes on as many prompts for and against the adapter, whose clips have 9/10 of its parent's motion."""
    (parent,) = adapter.parents()
    for i in range(wins + losses):
        pair = plant_pair(store, folder, 500 + i, prompt=f"a horse to vote on, number {i}")
        a = replace(pair.a, adapter=adapter.name, adapter_revision=adapter.revision(), motion=0.9)
        b = replace(pair.b, adapter=parent.name, adapter_revision=parent.revision(), motion=1.0)
        voted = replace(new_pair(a, b, f"{pair.prompt}, again", "horse", "queue", "independent"), split="measure")
        store.add_pair(voted)
        store.append(Rating(new_id(), voted, "a" if i < wins else "b", "a", "d" * 16))


def plant_evaluation(home: Path, name: str, prompts: int = 6) -> Path:
    """An evaluation of the shipped horse adapter, of `dpo-1` where it is, and of clips that stand still."""
    folder = home / "evaluations" / name
    known = [found for one in ("motion", "dpo-1") if (found := find_adapter("pocket", "horse", one))]
    settings = {one.name: {"adapter_revision/horse": one.revision()} for one in known}
    clips = []
    for place, system in enumerate([*settings, "frozen"]):
        (folder / "clips" / system).mkdir(parents=True)
        for i in range(prompts):
            frames = drawn_clip(1000 + 10 * place + i)
            frames = np.repeat(frames[:1], FRAMES, axis=0) if system == "frozen" else frames
            file = f"clips/{system}/horse-{i:02}-0.mp4"
            write_mp4(frames, folder / file, FPS)
            metrics = pixel_metrics(frames) | {"clip_score": 60.0 + place + i / 4}
            clips.append(ClipResult(system, "horse", f"horse-{i:02}", f"a horse, prompt {i}", 0, file, metrics))
    titles = {"motion": "Shipped motion", "dpo-1": "Learned from 40 ratings", "frozen": "First frame repeated"}
    systems = tuple(System(one, titles[one], settings.get(one, {})) for one in [*settings, "frozen"])
    write_results(Results("pocket", "2030-01-03T00:00:00+00:00", {}, systems, tuple(clips)), folder)
    return folder
