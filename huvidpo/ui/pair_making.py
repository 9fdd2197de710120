"""Two takes of one prompt and one first frame, made now: for a visitor who asks, or ahead of all visitors."""

import logging
import random
import threading
import time
from collections.abc import Iterator
from contextlib import closing

import gradio as gr

from huvidpo.adapters import list_adapters
from huvidpo.backbones import LoadedBackbone
from huvidpo.categories import check_prompt, find_category, known_categories
from huvidpo.preferences.making import keep_pair
from huvidpo.preferences.pairing import default_pairing, pair_requests
from huvidpo.preferences.records import Pair
from huvidpo.preferences.store import RatingStore
from huvidpo.presets import Backbone
from huvidpo.requests import ClipRequest, FirstFrameRequest, draw_seed
from huvidpo.takes import Clip, FirstFrame, Progress
from huvidpo.ui.jobs import MakeTakes, Run
from huvidpo.ui.making import WAITING, View, progress_words
from huvidpo.ui.turns import CountedRun

MADE_OF = ("First frame", "Clip 1 of 2", "Clip 2 of 2")


def make_pair(
    run: Run,
    preset: Backbone,
    store: RatingStore,
    prompt: str,
    category: str,
    origin: str,
    against: str | None = None,
    adapter: str = "",
    split: str = "",
) -> Iterator[View | Pair]:
    """Yields what to show, at last the pair, which is in the store then. Closing the generator ends the work.

    Both takes are of `adapter`, by default the category's own, and have noise and guidance of their own; with
    `against` they have both in common, and the second one is of that adapter.
    """
    prompt, name = check_prompt(prompt), find_category(category).name
    request = ClipRequest(prompt, name, adapter=adapter, seed=draw_seed())
    pairing = default_pairing(request, against)
    requests = pair_requests(preset, request, pairing, against=against)
    yield View(WAITING)
    made: list[FirstFrame | Clip] = []
    # Without previews: a picture of one side before the other would take sides.
    job = MakeTakes(FirstFrameRequest(prompt, seed=draw_seed()), tuple(requests), previews=False)
    with closing(run(job)) as steps:
        for item in steps:
            if isinstance(item, Progress):
                yield View(progress_words(MADE_OF[len(made)], item), item.step, item.total)
            else:
                made.append(item)
    frame, a, b = made
    yield keep_pair(store, a, b, frame.image, prompt, name, origin, pairing, split)


def rival(backbone: str, category: str) -> str | None:
    """The adapter that should be compared with the category's default; None while there is no other one."""
    names = [adapter.name for adapter in list_adapters(backbone, category)]
    return names[1] if len(names) > 1 else None


class Filler:
    """Keeps a few pairs ahead of the visitors, in a thread of its own, while somebody is rating.

    A visitor's own run always comes first: the filler gives its unfinished pair up at the next step. It downloads
    nothing: the first-frame model's licence and size are shown to a visitor, who then makes the first picture with it.
    """

    PATIENCE = 600  # seconds after the last rating

    def __init__(self, visitors: CountedRun, store: RatingStore, backbone: LoadedBackbone, ahead: int):
        self.visitors, self.store, self.backbone, self.ahead = visitors, store, backbone, ahead
        self._needed = threading.Event()
        self._last = 0.0
        threading.Thread(target=self._work, daemon=True, name="pairs-ahead").start()

    def wake(self) -> bool:
        """Somebody is rating. Gives whether pairs are missing, and will be made."""
        self._last = time.monotonic()
        self._needed.set()
        return self._missing()

    def _work(self) -> None:
        while True:
            self._needed.wait()
            self._needed.clear()
            while time.monotonic() - self._last < self.PATIENCE and self._missing():
                if self.visitors.active or not self._make_one():
                    time.sleep(2)

    def _missing(self) -> bool:
        if self.backbone.missing_files(self.backbone.preset.first_frame_models[0]):
            return False
        untouched = [pair for pair in self.store.outlines() if not pair.chosen_a + pair.chosen_b + pair.ties]
        return len([pair for pair in untouched if pair.origin == "queue"]) < self.ahead

    def _make_one(self) -> bool:
        """Whether a pair was finished; a visitor or an error ends it, and the next attempt starts afresh."""
        preset = self.backbone.preset
        category = random.choice(list(known_categories().values()))
        prompt = random.choice(category.example_prompts)
        # Every second pair compares the two best adapters, where there are two; the others are two takes of the best.
        against = random.choice([None, rival(preset.name, category.name)])
        making = make_pair(self.visitors.run, preset, self.store, prompt, category.name, "queue", against)
        try:
            with closing(making) as steps:
                for item in steps:
                    if isinstance(item, Pair):
                        return True
                    if self.visitors.active:
                        return False
        except (ValueError, gr.Error):
            pass  # whoever makes a clip is told
        except Exception:  # the thread must outlive what nobody thought of
            logging.exception("No pair could be made ahead")
        return False
