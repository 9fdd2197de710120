"""The tab Rate as a visitor meets it: the real page, the real store, a real browser."""

import re
from collections.abc import Callable, Iterator

import pytest

from huvidpo.preferences.store import RatingStore
from huvidpo.video import write_mp4
from tests.ui.conftest import Visit, visits_of
from tests.ui.planted import FPS, drawn_clip

pytestmark = pytest.mark.browser

FORGED = {"huvidpo": "forged", "seed": 5}
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
HOSTILE = """a horse <img src=x onerror="window.hacked=1"> ${window.hacked=1} {{window.hacked=1}}"""


class Rater(Visit):
    """A fresh visitor on the tab Rate."""

    def settled(self) -> None:
        super().settled()
        self.page.get_by_role("tab", name="Rate").click()
        self.page.wait_for_selector(".booth[data-state=open]")

    def watch(self) -> None:
        """Until both clips have played to their end once."""
        self.page.wait_for_selector(".booth[data-state=open]:not(.unseen)")

    def locked(self) -> None:
        self.page.wait_for_selector(".booth[data-state=locked]")

    def prompt(self) -> str:
        return self.page.inner_text(".booth .words")

    def rate_by_key(self, key: str) -> None:
        self.watch()
        self.page.keyboard.press(key)
        self.locked()

    def next(self) -> None:
        self.page.keyboard.press("Enter")
        self.page.wait_for_selector(".booth[data-state=open]")


@pytest.fixture
def rater(browser, rate_url) -> Iterator[Callable[..., Rater]]:
    """Opens visits to the tab Rate."""
    with visits_of(Rater, browser, rate_url) as start:
        yield start


@pytest.fixture
def store(rate_home):
    """The page's own store, looked at from another process."""
    store = RatingStore(rate_home)
    yield store
    store.close()


def telling(pair) -> list[str]:
    """What would tell the sides of a pair apart."""
    return [text for take in (pair.a, pair.b) for text in (take.sha256[:16], f"seed {take.seed}", "gallop")]


def test_ten_pairs_by_keyboard_blind_until_the_vote(rater, store):
    before = len(store.ratings())
    here = rater()
    by_prompt = {pair.prompt: pair for pair in store.pairs()}
    keys = ["1", "2", "3", "4", "ArrowLeft", "ArrowRight", "1", "4", "2", "3"]
    seen = []
    for key in keys:
        seen.append(here.prompt())
        here.watch()
        source, title = here.page.content(), here.page.title()
        assert [text for text in telling(by_prompt[seen[-1]]) if text in source + title + here.page.url] == []
        here.page.keyboard.press(key)
        here.locked()
        names = [here.page.inner_text(f"[data-side={side}] .name") for side in ("left", "right")]
        assert sorted(re.sub(", seed [0-9]+", "", name) for name in names) == ["gallop", "without an adapter"]
        here.next()
    ratings = store.ratings()[before:]
    assert [rating.pair.prompt for rating in ratings] == seen
    chosen = {"1": "left", "ArrowLeft": "left", "4": "right", "ArrowRight": "right", "2": "tie_good", "3": "tie_bad"}
    for key, rating in zip(keys, ratings, strict=True):
        side = "left" if rating.preference == rating.left_is else "right"
        assert (rating.preference if rating.preference.startswith("tie") else side) == chosen[key]
        assert (
            rating.plays >= 1 and rating.decision_ms > 0 and rating.rater_kind == "owner"
        )  # the browser is on this machine
    assert len({rating.rater for rating in ratings}) == 1
    pairs = len(set(seen))  # a repeat, now and then one of ten, is no further pair
    assert f"{pairs} pairs rated by you" in here.page.inner_text("#tally")
    assert f"{len(store.ratings())} ratings saved here." in here.page.inner_text("#tally")


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_by_touch_on_a_phone(rater, store, colours):
    here = rater(**PHONE, color_scheme=colours)
    page = here.page
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    for choice in ("left", "both_bad"):
        here.watch()
        page.tap("[data-side=right] .segments button >> nth=3")
        page.tap(f"[data-choice={choice}]")
        here.locked()
        page.tap(".next")
        page.wait_for_selector(".booth[data-state=open]")
    first, second = store.ratings()[-2:]
    assert first.preference == first.left_is and second.preference == "tie_bad"
    assert first.segment_labels == ("-", "-", "-", "b" if first.left_is == "a" else "a")
    assert page.locator("#own-ratings li").count() == 2


def test_a_pair_is_rated_without_scrolling(rater):
    here = rater(viewport={"width": 1280, "height": 800})
    here.rate_by_key("4")
    for control in (".ask", ".screen", ".choices", ".next"):
        box = here.page.locator(f".booth {control} >> visible=true").first.bounding_box()
        assert box["y"] >= 0 and box["y"] + box["height"] <= 800, control


def test_undo_change_and_withdraw(rater, store):
    here = rater()
    page = here.page
    before = len(store.ratings())
    first = here.prompt()
    here.rate_by_key("1")
    page.keyboard.press("u")
    page.wait_for_selector(".booth[data-state=open]")
    assert here.prompt() == first and len(store.ratings()) == before
    here.rate_by_key("2")
    assert store.ratings()[-1].preference == "tie_good" and store.ratings()[-1].pair.prompt == first
    here.next()

    page.click("#own-ratings button:has-text('Change')")
    page.wait_for_function(f"document.querySelector('.booth .words').textContent === '{first}'")
    page.wait_for_selector(".booth .note:has-text('earlier answer counts until then')")
    here.rate_by_key("3")
    assert [rating.preference for rating in store.ratings()[before:]] == ["tie_bad"]
    page.wait_for_selector("#own-ratings li:has-text('both were bad')")
    page.click("#own-ratings button:has-text('Withdraw')")
    page.wait_for_selector("#own-ratings .empty:has-text('Nothing yet')")
    assert len(store.ratings()) == before


def test_a_reload_in_the_middle_finds_the_same_pair_and_the_own_ratings(rater):
    here = rater()
    here.rate_by_key("4")
    here.next()
    here.watch()
    prompt = here.prompt()
    here.page.reload()
    here.settled()
    assert here.prompt() == prompt
    here.page.wait_for_selector("#own-ratings li")
    assert here.page.inner_text("[data-side=left] .name") == ""
    here.rate_by_key("1")
    here.page.wait_for_selector("#own-ratings li >> nth=1")


def test_two_visitors_at_once_do_not_meet(rater, store):
    before = len(store.ratings())
    one, two = rater(), rater()
    for here, key in ((one, "2"), (two, "3")):
        here.watch()
        here.page.keyboard.press(key)
    for here, words in ((one, "both were good"), (two, "both were bad")):
        here.locked()
        assert words in here.page.inner_text("#own-ratings") and here.page.locator("#own-ratings li").count() == 1
    ratings = store.ratings()[before:]
    assert {rating.preference for rating in ratings} == {"tie_good", "tie_bad"}
    assert len({rating.rater for rating in ratings}) == len({rating.session for rating in ratings}) == 2


def test_two_own_clips_come_on_the_stage_and_their_words_stay_text(rater, store, tmp_path):
    here = rater()
    page = here.page
    page.click("#own > button")
    page.click("#own-add")
    page.wait_for_selector("text=Choose two clips", state="visible")
    for seed, side in ((100, "a"), (101, "b")):
        clip = write_mp4(
            drawn_clip(seed, 6 + seed % 2), tmp_path / f"{side}.mp4", FPS, {"huvidpo": "forged", "seed": 5}
        )
        page.set_input_files(f"#own-{side} input[type=file]", clip)
        page.wait_for_selector(f"#own-{side} :text('{side}.mp4'), #own-{side} .file-preview")
    page.fill("#own-prompt textarea", HOSTILE)
    page.click("#own-add")
    page.wait_for_function("document.querySelector('.booth .words').textContent.includes('onerror')")
    assert here.prompt() == HOSTILE
    here.rate_by_key("1")
    page.wait_for_selector("#own-ratings li")
    assert HOSTILE in page.inner_text("#own-ratings li span")
    assert page.evaluate("window.hacked") is None and page.locator("#player img, #own-ratings img").count() == 0
    pair = store.ratings()[-1].pair
    assert pair.origin == "upload" and pair.a.num_frames == pair.b.num_frames == 6
    assert (pair.a.huvidpo, pair.a.seed) == ("", -1), "what a file says about itself is not believed"


def test_a_pair_made_from_a_prompt_comes_on_the_stage(rater, store):
    here = rater()
    page = here.page
    page.click("#live > button")
    here.write("#live-prompt textarea", " ")
    page.click("#live-make")
    page.wait_for_selector("text=the prompt is empty", state="visible")
    here.write("#live-prompt textarea", "a blue horse runs on the beach")
    page.click("#live-make")
    page.wait_for_function("document.querySelector('.booth .words').textContent === 'a blue horse runs on the beach'")
    pair = store.pairs()[-1]
    assert (pair.origin, pair.pairing, pair.a.num_frames) == ("live", "varied", 16)
    assert pair.a.seed != pair.b.seed and pair.first_frame and min(pair.a.motion, pair.b.motion) >= 0
    here.rate_by_key("4")
    assert store.ratings()[-1].pair == pair


def test_scores_of_eight_clips_become_ratings_of_random_pairs(rater, store, tmp_path):
    here = rater()
    page = here.page
    before = len(store.ratings())
    page.click("#scores > button")
    clips = [write_mp4(drawn_clip(200 + i), tmp_path / f"{i}.mp4", FPS) for i in range(8)]
    page.set_input_files("#scores-files input[type=file]", clips)
    page.wait_for_selector("#scored li >> nth=7")
    assert page.is_disabled(".scored-go")
    for place, slider in enumerate(page.locator("#scored input").all()):
        slider.fill(str(place / 2))
    page.click(".scored-go")
    page.wait_for_selector("#scored :text('8 ratings saved from 8 clips')")
    ratings = store.ratings()[before:]
    assert len(ratings) == 8 and {rating.pair.origin for rating in ratings} == {"scores"}
    for rating in ratings:
        assert rating.preference == ("a" if rating.score_a > rating.score_b else "b")
