"""A study as an invited person meets it: the real page behind the link, real files, a real browser."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from huvidpo.evaluation.study import StudyAnswers, create_study, read_study
from huvidpo.preferences.records import Answers
from huvidpo.video import write_mp4
from tests.ui.conftest import Visit, visits_of
from tests.ui.planted import FPS, SETTINGS, drawn_clip
from tests.ui.test_rate_in_browser import HOSTILE, PHONE

pytestmark = pytest.mark.browser


class Guest(Visit):
    """A fresh visitor who follows the link of a study."""

    def settled(self) -> None:
        self.page.wait_for_selector(".study[data-state=open]")

    def mark(self, *keys: int) -> None:
        """Watches the clip, answers by keyboard, goes on."""
        before = self.page.inner_text(".study .count")
        for key in keys:
            self.page.keyboard.press(str(key))
        self.page.wait_for_selector(".study .next:not(.waiting)")
        self.page.keyboard.press("Enter")
        self.page.wait_for_function(f"document.querySelector('.study .count').textContent !== '{before}'")


@pytest.fixture(scope="module")
def study_url(rate_home: Path, rate_url: str, tmp_path_factory) -> str:
    """The link of a study of two prompts and two systems; a page that runs finds new studies by itself."""
    folder = tmp_path_factory.mktemp("study")
    clips = {
        prompt: {
            system: write_mp4(drawn_clip(10 * i + j), folder / f"{i}{j}.mp4", FPS, SETTINGS | {"adapter": system})
            for j, system in enumerate(("zebra-dpo", "zebra-lamp"))
        }
        for i, prompt in enumerate((HOSTILE, "a blue horse"))
    }
    create_study(rate_home, "round-1", clips)
    return f"{rate_url}/?study=round-1"


@pytest.fixture
def answers(rate_home: Path, study_url: str) -> Iterator[StudyAnswers]:
    """The page's own answers, looked at from another process."""
    found = StudyAnswers(rate_home, read_study(rate_home, "round-1"))
    yield found
    found.close()


@pytest.fixture
def guest(browser, study_url: str) -> Iterator[Callable[..., Guest]]:
    """Opens visits to the study."""
    with visits_of(Guest, browser, study_url) as start:
        yield start


def test_a_study_by_keyboard_blind_and_on_after_a_reload(guest, answers) -> None:
    here = guest()
    page = here.page
    assert not page.is_visible(".tabs") and page.inner_text(".study .count") == "0 of 4 clips answered"
    page.keyboard.press("Enter")  # neither watched nor answered
    assert "0 of 4" in page.inner_text(".study .count")
    here.mark(5, 4, 3)
    here.mark(1, 1, 2)
    assert [vars(one.answers) for one in answers.answers()] == [
        {"alignment": 5, "quality": 4, "consistency": 3},
        {"alignment": 1, "quality": 1, "consistency": 2},
    ]
    source = page.content()
    assert "zebra" not in source and not any(clip.sha256[:16] in source for clip in answers.study.clips)
    shown = page.inner_text(".study .words")
    page.reload()
    here.settled()
    assert page.inner_text(".study .count") == "2 of 4 clips answered" and page.inner_text(".study .words") == shown

    page.keyboard.press("Backspace")  # the clip before, with what was said of it
    page.wait_for_selector("[data-question=consistency] [data-value='2'][aria-pressed=true]")
    page.click("[data-question=quality] [data-value='5']")
    page.keyboard.press("Enter")
    page.wait_for_function(f"document.querySelector('.study .words').textContent === {shown!r}")
    assert answers.answers()[-1].answers == Answers(1, 5, 2) and len(answers.answers()) == 2
    here.mark(3, 3, 3)
    here.mark(2, 2, 2)
    page.wait_for_selector(".study .note:has-text('that was the last one')")
    assert page.inner_text(".study .count") == "4 of 4 clips answered"
    assert page.evaluate("window.hacked") is None
    (participant,) = {one.participant for one in answers.answers()}
    assert sorted(answers.answered(participant)) == [0, 1, 2, 3]


def test_by_touch_on_a_phone_as_somebody_else(guest, answers) -> None:
    before = {one.participant for one in answers.answers()}
    here = guest(**PHONE, color_scheme="dark")
    page = here.page
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    for question in ("alignment", "quality", "consistency"):
        button = page.locator(f"[data-question={question}] [data-value='4']")
        assert button.bounding_box()["height"] >= 44
        button.tap()
    page.wait_for_selector(".study .next:not(.waiting)")
    page.tap(".study .next")
    page.wait_for_selector(".study .count:has-text('1 of 4')")
    (new,) = {one.participant for one in answers.answers()} - before
    assert list(answers.answered(new).values()) == [Answers(4, 4, 4)]


def test_a_link_without_a_study_says_so(browser, rate_url) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{rate_url}/?study=gone")
    page.wait_for_selector(".study .note:has-text(\"There is no study 'gone'\")", timeout=180_000)
    context.close()
