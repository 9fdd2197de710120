"""The tab Fine-tune as a visitor meets it: the real page on a small `pocket`, a real run, a real browser."""

import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from huvidpo.adapter_weights import remove_adapter, save_motion_adapter
from huvidpo.adapters import Adapter, find_adapter
from huvidpo.backbones import LoadedBackbone
from huvidpo.models.motion import motion_parameters
from huvidpo.preferences.pairs import training_set
from huvidpo.preferences.store import RatingStore
from tests.rated import rated_pairs, vote
from tests.ui.conftest import Visit, running_page, visits_of
from tests.ui.planted import plant_pair
from tests.ui.test_widgets_in_browser import HIDE

pytestmark = pytest.mark.browser
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


@pytest.fixture(scope="module")
def tune_home(shared_backbone: LoadedBackbone, tmp_path_factory) -> Path:
    """The home of a page that was taught `horse`, with eight rated pairs."""
    home = tmp_path_factory.mktemp("tune") / "home"
    teach_horse(shared_backbone, home)
    rated_pairs(RatingStore(home), home, 8)
    return home


def teach_horse(backbone: LoadedBackbone, home: Path) -> None:
    """Makes an adapter that fits the small model the default."""
    unet, generator = backbone.video.unet, torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in motion_parameters(unet).values():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    folder = home / "adapters" / "pocket" / "horse"
    save_motion_adapter(unet, folder / "gallop", {"backbone": "pocket", "category": "horse"})
    remove_adapter(unet, backbone.still_motion)
    (folder / "promotions.json").write_text('["gallop"]')


@pytest.fixture(scope="module")
def tune_url(tune_home: Path, pocket_weights: Path) -> Iterator[str]:
    settings = {"HUVIDPO_PAIRS_AHEAD": "0", "HUVIDPO_DATASET": "", "HUVIDPO_POCKET_WEIGHTS": str(pocket_weights)}
    with running_page(tune_home.parent, settings) as url:
        yield url


class Tuner(Visit):
    """A visitor on the tab Fine-tune."""

    def on_error(self, error: Exception) -> None:
        """Here there are plots: Gradio's own script may find one hidden that it is about to draw."""
        if "reading 'offsetWidth'" not in str(error):
            super().on_error(error)

    def settled(self) -> None:
        super().settled()
        self.open("Fine-tune")
        self.page.wait_for_function("document.querySelector('#tune-readiness').textContent.includes('Usable')")

    def open(self, tab: str) -> None:
        self.page.get_by_role("tab", name=tab).click()

    def wait(self, selector: str, words: str) -> None:
        """Until `words` stand in an element."""
        self.page.wait_for_function(
            "([selector, words]) => document.querySelector(selector)?.textContent.includes(words)",
            arg=[selector, words],
        )

    def choices(self, dropdown: str) -> list[str]:
        self.page.click(f"{dropdown} input")
        found = self.page.locator(f"{dropdown} [role=option]")
        found.first.wait_for()
        words = found.all_inner_texts()
        self.page.keyboard.press("Escape")
        return [text.strip().lstrip("✓").strip() for text in words]


@pytest.fixture
def tuner(browser, tune_url: str) -> Iterator[Callable[..., Tuner]]:
    """Opens visits."""
    with visits_of(Tuner, browser, tune_url) as start:
        yield start


def test_nothing_is_shown_that_is_not_there(tuner) -> None:
    visit = tuner(**PHONE)
    page = visit.page
    assert "8 pairs, rated by 1 person" in page.inner_text("#tune-readiness")
    assert "Memory" in page.inner_text("#tune-readiness")
    assert page.is_visible("#tune-empty") and page.is_enabled("#tune-begin")
    for absent in ("#tune-plots", "#tune-clips", "#tune-unfinished-row", "#tune-pause", "#tune-real", "#learned-vote"):
        assert not page.is_visible(absent), absent
    page.get_by_text("and real clips (IPO)").click()
    page.wait_for_selector("#tune-real", state="visible")
    page.fill("#tune-minutes input", "")
    visit.wait("#tune-readiness", "Train for 1 to 60 minutes.")
    page.wait_for_selector("#tune-begin:disabled")
    page.fill("#tune-minutes input", "5")
    visit.wait("#tune-readiness", "Memory")
    page.click("#tune-category input")
    page.get_by_role("option", name="Rain").click()
    visit.wait("#tune-readiness", "8 more are needed")
    assert not page.is_enabled("#tune-begin")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.click("#tune-rate")
    page.wait_for_function("document.querySelector('#rate-only input')?.value.includes('Rain')")


def test_a_run_goes_on_while_nobody_looks_until_its_page_is_closed(tuner, tune_home: Path) -> None:
    """The browser says that its tab is behind another one, where Gradio's own timers stand still."""
    visit = tuner()
    page = visit.page
    page.evaluate(HIDE)
    page.click("#tune-begin")
    page.wait_for_selector("#tune-meter:has-text('step 1')")
    assert not page.is_visible("#tune-begin"), "one run at a time"
    other = tuner().page
    other.wait_for_selector("#tune-unfinished-note:has-text('horse/dense-1 is being trained now')")
    page.close()
    other.wait_for_selector("#tune-unfinished-note:has-text('horse/dense-1 is paused')")
    other.click("#tune-discard")
    other.click("#tune-discard:has-text('Really discard horse/dense-1?')")
    other.wait_for_selector("#tune-meter:has-text('is gone')")
    assert not (tune_home / "runs/pocket/horse/dense-1").exists()


def test_from_ratings_to_a_default_and_back(tuner, tune_home: Path, tmp_path: Path) -> None:
    visit = tuner()
    page = visit.page
    page.click("#tune-begin")
    other = tuner().page
    other.wait_for_selector("#tune-unfinished-note:has-text('horse/dense-1 is being trained now')")
    assert not other.is_visible("#tune-unfinished-row")
    visit.wait("#tune-meter", "step 2")
    other.get_by_role("tab", name="Create").click()
    other.click("#make")
    other.wait_for_selector("#meter:has-text('an adapter is being trained. That makes way within about')")
    other.click("#cancel")
    other.get_by_role("tab", name="Fine-tune").click()
    page.wait_for_selector("#tune-plots canvas, #tune-plots svg")
    assert not page.is_visible("#tune-empty")
    button = page.locator("#tune-pause")
    assert button.bounding_box()["width"] > 60, "its word fits"
    page.click("#tune-pause")
    visit.wait("#tune-meter", "is paused")
    page.wait_for_selector("#tune-begin:enabled")
    other.wait_for_selector("#tune-unfinished-note:has-text('horse/dense-1 is paused')")

    visit = tuner()  # a reload, or another visitor
    page = visit.page
    page.wait_for_selector("#tune-unfinished-row", state="visible")
    almost_over(tune_home / "runs/pocket/horse/dense-1/run.json")
    page.click("#tune-resume")
    visit.wait("#tune-meter", "horse/dense-1 is finished")
    visit.wait("#learned-about", "8 examples by 1 person (dense)")
    assert not page.is_visible("#tune-unfinished-row") and not page.is_visible("#learned-packed")

    with page.expect_download() as download:
        page.click("#learned-zip")
    download.value.save_as(tmp_path / "dense-1.zip")
    names = {
        "dense-1/card.json",
        "dense-1/README.md",
        "dense-1/preference_lora.safetensors",
        "dense-1/motion.safetensors",
    }
    assert set(zipfile.ZipFile(tmp_path / "dense-1.zip").namelist()) == names
    visit.open("Create")
    assert "dense-1" in visit.choices("#adapter")
    visit.open("Fine-tune")

    page.click("#learned-vote")
    visit.wait("#learned-meter", "Pair 2 of 12")
    page.click("#tune-category input")  # looks at another action meanwhile
    page.get_by_role("option", name="Rain").click()
    visit.wait("#learned-empty", "Nothing has been learned for “Rain”")
    page.click("#learned-stop")
    visit.wait("#learned-meter", "Stopped.")
    assert "Horse" in page.input_value("#tune-category input")
    visit.wait("#learned-about", "nobody has voted on yet")
    store = RatingStore(tune_home)
    made = [pair for pair in store.pairs("horse") if pair.b.adapter == "dense-1"]
    assert made and {pair.split for pair in made} == {"measure"} and {pair.a.adapter for pair in made} == {"gallop"}
    page.click("#learned-rate")
    page.wait_for_selector(".booth[data-state=open]")
    assert "Horse" in page.input_value("#rate-only input"), "pairs of that action"

    vote(store, *(revision(tune_home, name) for name in ("dense-1", "gallop")), 12)
    visit.open("Fine-tune")
    visit.wait("#learned-about", "12 for it, 0 against")
    page.click("#learned-promote")
    visit.wait("#learned-meter", "dense-1 is the default of horse now.")
    page.click("#learned-rollback")
    visit.wait("#learned-meter", "gallop is the default of horse again.")

    page.click("#tune-begin")
    visit.wait("#tune-meter", "step 1")
    page.click("#tune-pause")
    page.click("#tune-discard")
    page.click("#tune-discard:has-text('Really discard horse/dense-2?')")
    visit.wait("#tune-meter", "is gone")
    page.wait_for_selector("#tune-empty", state="visible")
    assert not (tune_home / "runs/pocket/horse/dense-2").exists() and not page.is_visible("#tune-unfinished-row")

    page.click("#learned-adapter input")
    page.get_by_role("option", name="dense-1").click()
    page.wait_for_selector("#learned-delete", state="visible")
    page.click("#learned-delete")
    page.click("#learned-delete:has-text('Really delete dense-1?')")
    visit.wait("#learned-meter", "dense-1 is gone.")
    assert not (tune_home / "adapters/pocket/horse/dense-1").exists()


def almost_over(request: Path) -> None:
    """The run has as much time as one step takes."""
    begun = json.loads(request.read_text())
    request.write_text(json.dumps(begun | {"settings": begun["settings"] | {"minutes": 1e-3}}))


def revision(home: Path, name: str) -> str:
    """Of an adapter of that home."""
    found = pytest.MonkeyPatch()
    found.setenv("HUVIDPO_HOME", str(home))
    try:
        adapter: Adapter = find_adapter("pocket", "horse", name)
        return adapter.revision()
    finally:
        found.undo()


def test_pairs_of_the_chosen_action_come_until_there_are_enough(
    browser, shared_backbone: LoadedBackbone, pocket_weights: Path, tmp_path: Path
) -> None:
    """Somebody has rated five of their own, and three of rain lie there, which nobody rates here."""
    teach_horse(shared_backbone, tmp_path / "home")
    store = RatingStore(tmp_path / "home")
    rated_pairs(store, tmp_path, 5, origin="live")
    for number in range(3):
        plant_pair(store, tmp_path, number, category="rain")
    settings = {"HUVIDPO_DATASET": "", "HUVIDPO_POCKET_WEIGHTS": str(pocket_weights)}
    with running_page(tmp_path, settings) as url, visits_of(Tuner, browser, url) as start:
        visit = start()
        page = visit.page
        visit.wait("#tune-readiness", "5 pairs, rated by 1 person; 3 more are needed")
        page.click("#tune-rate")
        visit.wait(".booth", "The next one is being made now")
        while usable(store) < 8:
            page.wait_for_selector(".booth[data-state=open]:not(.unseen)")
            page.keyboard.press("1")
            page.wait_for_selector(".booth[data-state=locked]")
            page.keyboard.press("Enter")
        assert {rating.pair.category for rating in store.ratings()} == {"horse"}
        visit.open("Fine-tune")
        page.wait_for_selector("#tune-begin:enabled")


def usable(store: RatingStore) -> int:
    """How many rated pairs can be trained on."""
    return len(training_set(store.ratings("horse"), "dense", "pocket", store.video_path))
