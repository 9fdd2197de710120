"""A store in a folder of its own, small real clips, ratings of them, and an empty Hub."""

from collections.abc import Callable, Iterator
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest
from huggingface_hub import HfApi

from huvidpo.preferences.records import Pair, Rating, TakeRecord, new_id, new_pair
from huvidpo.preferences.store import RatingStore
from huvidpo.video import write_mp4
from tests.preferences.hub_server import TOKEN, HubServer

PROMPT = "a red horse runs on the beach"


def write_clip(path: Path, brightness: int, step: int = 2) -> Path:
    """Six frames of 32x32: a square that moves by `step` pixels a frame over a ground of `brightness`."""
    frames = np.full((6, 32, 32, 3), brightness, np.uint8)
    for i, frame in enumerate(frames):
        frame[12:20, step * i % 24 : step * i % 24 + 8] = 255 - brightness
    return write_mp4(frames, path, 8)


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Six different clips."""
    folder = tmp_path_factory.mktemp("clips")
    return [write_clip(folder / f"{i}.mp4", 20 * i, i % 3) for i in range(6)]


@pytest.fixture
def store(tmp_path: Path) -> RatingStore:
    return RatingStore(tmp_path / "home")


@pytest.fixture
def add_pair(store: RatingStore, clips: list[Path]) -> Callable[..., Pair]:
    """Adds the pair of two of the clips to the store."""

    def add(a: int = 0, b: int = 1, prompt: str = PROMPT, category: str = "horse", origin: str = "queue") -> Pair:
        takes = []
        for number in (a, b):
            sha256 = store.keep_file(clips[number])
            settings = {
                "prompt": prompt,
                "category": category,
                "seed": number,
                "backbone": "pocket",
                "adapter": "none",
            }
            takes.append(TakeRecord.from_settings(settings, sha256, 6, 32, 32, 8.0, motion=float(number)))
        return store.add_pair(new_pair(*takes, prompt, category, origin, "shared-noise"))

    return add


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    """An empty Hub; what the client waits between its own attempts is shortened."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    with HubServer() as running:
        yield running


@pytest.fixture
def api(server: HubServer) -> HfApi:
    return HfApi(endpoint=server.url, token=TOKEN)


def no_pause(seconds: float) -> None:
    pass


def rating_of(pair: Pair, preference: str = "a", rater: str = "a" * 16, **more: object) -> Rating:
    return Rating(new_id(), pair, preference, more.pop("left_is", "a"), rater, **more)
