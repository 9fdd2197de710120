"""Two takes of one prompt and one first frame, made now: for a visitor who asks, or ahead of all visitors."""

import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing

import gradio as gr

from huvidpo.adapters import list_adapters, motion_notice, taught_actions
from huvidpo.backbones import LoadedBackbone
from huvidpo.categories import check_prompt, find_category
from huvidpo.hub_models import HubFiles
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
ON_THE_WAY = "The next one is being made now and appears by itself, usually within a minute."
NOTHING_TAUGHT = (
    "Nothing has taught {} an action yet, so there is nothing worth rating: teach it one from 8 to 16 clips with the "
    "command train-motion, then rate pairs of it here."
)
FIRST_ONE = "Make the first one from a prompt below: that downloads {:.1f} GB, and then more come by themselves."
MAKE_ONE = "Make one from a prompt below, or come back later."


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
    """Keeps `ahead` pairs of each action that is being rated ahead of the visitors, in a thread of its own.

    Of actions that something has taught: two clips whose frames hardly belong together teach nothing. A visitor's own
    run always comes first: the filler gives its unfinished pair up at the next step. It downloads nothing: the
    first-frame model's licence and size are shown to a visitor, who then makes the first picture with it.
    """

    PATIENCE = 600  # seconds after an action was last asked for

    def __init__(self, visitors: CountedRun, store: RatingStore, backbone: LoadedBackbone, ahead: int):
        self.visitors, self.store, self.backbone, self.ahead = visitors, store, backbone, ahead
        self._needed = threading.Event()
        self._asked: dict[str, float] = {}  # action, "" for any of them -> when somebody last asked for its pairs
        threading.Thread(target=self._work, daemon=True, name="pairs-ahead").start()

    def wake(self, action: str = "") -> None:
        """Somebody rates pairs of an action, or waits for them; "" is any."""
        self._asked[action] = time.monotonic()
        self._needed.set()

    def hope(self, action: str = "") -> str:
        """What somebody who waits for such pairs can hope for, or do; wakes the filler."""
        self.wake(action)
        preset = self.backbone.preset
        taught = taught_actions(preset.name)
        if not taught:
            return NOTHING_TAUGHT.format(preset.name)
        if action not in ("", *taught):
            return f"{motion_notice(preset.name, action, '')} Or choose another action."
        if action in self._lacking():
            return ON_THE_WAY
        missing = self._missing_files() if self.ahead else []
        return FIRST_ONE.format(sum(wanted.gigabytes for wanted in missing)) if missing else MAKE_ONE

    def _work(self) -> None:
        while True:
            self._needed.wait()
            self._needed.clear()
            while lacking := self._lacking():
                if self.visitors.active or not self._make_one(lacking[0]):
                    time.sleep(2)

    def _missing_files(self) -> list[HubFiles]:
        return self.backbone.missing_files(self.backbone.preset.first_frame_models[0])

    def _lacking(self) -> list[str]:
        """The actions asked for of which pairs are to be made, in the order in which they are.

        First those with the fewest pairs that nobody has rated, as for them somebody waits; of equals, the one that
        was asked for last.
        """
        name, long_ago = self.backbone.preset.name, time.monotonic() - self.PATIENCE
        asked = {action: at for action, at in self._asked.copy().items() if at > long_ago}
        if not (self.ahead and asked) or self._missing_files():
            return []
        fresh = Counter(
            pair.category
            for pair in self.store.outlines(backbone=name)
            if pair.origin == "queue" and not pair.chosen_a + pair.chosen_b + pair.ties
        )
        fresh[""] = fresh.total()
        taught = taught_actions(name)
        can_be_made = [action for action in asked if action in taught or (taught and not action)]
        lacking = [action for action in can_be_made if fresh[action] < self.ahead]
        return sorted(lacking, key=lambda action: (fresh[action], -asked[action]))

    def _make_one(self, action: str) -> bool:
        """Whether a pair was finished; a visitor or an error ends it, and the next attempt starts afresh."""
        preset = self.backbone.preset
        try:
            category = find_category(action or random.choice(taught_actions(preset.name)))
            prompt = random.choice(category.example_prompts)
            # Every second pair compares the two best adapters, where there are two; else two takes of the best.
            against = random.choice([None, rival(preset.name, category.name)])
            making = make_pair(self.visitors.run, preset, self.store, prompt, category.name, "queue", against)
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
        self._asked.pop(action, None)  # who still waits asks again; others are served before
        return False
