"""The tab Evaluate as a visitor meets it: the real page, real files, a real browser."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.sync_api import Page

from huvidpo.evaluation.study import StudyAnswers, create_study, read_study
from huvidpo.preferences.records import Answers
from huvidpo.preferences.store import RatingStore
from tests.ui.conftest import Visit, running_page, visits_of
from tests.ui.planted import plant_candidate, plant_evaluation, plant_votes
from tests.ui.test_rate_in_browser import PHONE

pytestmark = pytest.mark.browser


class Reader(Visit):
    """A fresh visitor on the tab Evaluate."""

    def settled(self) -> None:
        super().settled()
        tab = self.page.get_by_role("tab", name="Evaluate")
        if tab.is_visible():
            tab.click()
        else:  # a phone has room for some tabs only; the others are in a menu
            self.page.click(".overflow-menu > button")
            self.page.click(".overflow-dropdown button:has-text('Evaluate')")
        self.page.wait_for_selector("#leaderboard tbody tr")

    def rows(self, table: str) -> list[str]:
        return [row.inner_text() for row in self.page.locator(f"#{table} tbody tr").all()]


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory) -> Path:
    """The folder of a page's home: a candidate with votes, an evaluation, a study with one answer."""
    folder = tmp_path_factory.mktemp("evaluate")
    home = folder / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HUVIDPO_HOME", str(home))
        store = RatingStore(home)
        plant_votes(store, folder / "clips", plant_candidate(home), 15, 5)
        store.close()
        clips = plant_evaluation(home, "first") / "clips"
    for file in clips.glob("*/horse-05-0.mp4"):
        file.unlink()  # an evaluation may come with all figures and some of its clips
    files = {system: clips / system / "horse-00-0.mp4" for system in ("motion", "dpo-1")}
    study, _ = create_study(home, "round-1", {"a horse": files})
    answers = StudyAnswers(home, study)
    answers.append("a" * 16, 0, Answers(2, 2, 2))
    answers.append("a" * 16, 1, Answers(5, 4, 3))
    answers.close()
    return folder


@pytest.fixture(scope="module")
def evaluated_url(evaluated: Path) -> Iterator[str]:
    with running_page(evaluated, {"HUVIDPO_PAIRS_AHEAD": "0", "HUVIDPO_DATASET": ""}) as url:
        yield url


@pytest.fixture
def reader(browser, evaluated_url: str) -> Iterator[Callable[..., Reader]]:
    """Opens visits to the tab Evaluate."""
    with visits_of(Reader, browser, evaluated_url) as start:
        yield start


def test_what_is_known_of_an_action(reader, evaluated: Path) -> None:
    here = reader()
    page = here.page
    assert page.get_by_role("tab").all_inner_texts() == ["Create", "Rate", "Fine-tune", "Evaluate"]
    best, other = here.rows("leaderboard")
    assert "dpo-1" in best and "75%" in best and "15 won, 5 lost" in best and "90%" in best
    assert "not voted yet" in other
    assert page.locator("#leaderboard .interval .middle").count() == 1
    assert [row.split()[0] for row in here.rows("versions")] == ["motion", "dpo-1"]
    systems = here.rows("systems")
    assert not page.is_visible("#evaluate-scope"), "no other action was evaluated"
    assert len(systems) == 3 and "First frame repeated" in systems[2] and "6 prompts" in systems[0]

    page.wait_for_selector("#evaluate-player .booth[data-state=open]")
    names = page.locator("#evaluate-player .name").all_inner_texts()
    assert names == ["Shipped motion", "Learned from 40 ratings"]
    assert not page.is_visible("#evaluate-player .choices")
    page.keyboard.press("1")  # answers nothing: nobody is asked
    page.click("#evaluate-player .on")  # one frame on, which stops the clips
    page.wait_for_selector("#evaluate-player .booth.paused")
    page.click("#evaluate-right input")
    page.click("[role=option]:has-text('First frame repeated')")
    page.wait_for_selector("#evaluate-player .name:text-is('First frame repeated')")
    page.wait_for_selector("#evaluate-player .booth[data-state=open]")

    page.click("#evaluate-prompt input")
    page.wait_for_selector("[role=option]:has-text('prompt 4')")
    assert page.locator("[role=option]").count() == 5, "prompts whose clips are here"
    page.keyboard.press("Escape")

    marks = here.rows("study-marks")
    assert "motion" in marks[0] and "2.00" in marks[0] and "4.00" in marks[1], "whoever sits here owns the page"
    assert "/?study=round-1" in page.inner_text("#evaluate-study-note")
    home, marked = evaluated / "home", ["5,4,3"]
    for given in (Answers(1, 1, 2), Answers(4, 4, 5)):  # each time the answers of this moment
        lines = downloaded(page)
        assert len(lines) == 3 and ",".join(lines[2].split(",")[4:7]) == marked[-1]
        with closing(StudyAnswers(home, read_study(home, "round-1"))) as answers:
            answers.append("a" * 16, 1, given)
        marked.append(",".join(map(str, vars(given).values())))


def downloaded(page: Page) -> list[str]:
    """The lines of the study's CSV file."""
    with page.expect_download() as download:
        page.click("#evaluate-study-row button:has-text('CSV')")
    assert download.value.suggested_filename == "round-1.csv"
    return download.value.path().read_text().splitlines()


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_on_a_phone(reader, colours: str) -> None:
    here = reader(**PHONE, color_scheme=colours)
    page = here.page
    page.wait_for_selector("#evaluate-player .booth[data-state=open]")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    row = page.locator("#leaderboard tbody tr").first.bounding_box()
    assert row["x"] >= 0 and row["x"] + row["width"] <= 390, "tables are cards here"


def test_an_action_that_the_newest_evaluation_lacks_is_looked_for_in_others(reader) -> None:
    """The shipped one has it; who asks for the newest all the same is told what to do."""
    here = reader()
    page = here.page
    page.click("#evaluate-category input")
    page.click("[role=option]:has-text('Rain')")
    page.wait_for_function("document.querySelector('#evaluate-evaluation input').value.startsWith('shipped')")
    page.wait_for_selector("#systems tbody tr:has-text('Default adapter')")
    page.click("#evaluate-evaluation input")
    page.click("[role=option]:has-text('2030')")
    page.wait_for_selector("#systems .empty:has-text('huvidpo evaluate --category rain')")
    for nothing in ("#evaluate-clips", "#versions"):
        page.wait_for_selector(nothing, state="hidden")
    assert len(here.rows("leaderboard")) == 1
