"""Signing in with Hugging Face: the real page in a Space's environment, its provider of sign-ins on loopback."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from huvidpo.preferences.store import RatingStore
from tests.ui.conftest import running_page
from tests.ui.planted import plant_pairs
from tests.ui.sign_in import SignIn
from tests.ui.test_rate_in_browser import Rater

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def provider() -> Iterator[SignIn]:
    with SignIn() as running:
        yield running


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("signed-in")
    plant_pairs(folder / "home", folder / "clips", 8)
    return folder / "home"


@pytest.fixture(scope="module")
def url(provider: SignIn, home: Path) -> Iterator[str]:
    settings = {"HUVIDPO_PAIRS_AHEAD": "0", "HUVIDPO_DATASET": "", **provider.settings}
    with running_page(home.parent, settings) as url:
        yield url


class Person(Rater):
    """A visitor with a browser of its own who can sign in."""

    def sign_in(self, name: str) -> None:
        with self.page.expect_navigation():
            self.page.get_by_role("button", name="Sign in with Hugging Face").click()
        self.page.wait_for_selector(".booth[data-state=open]")  # without a click: they are where they left
        self.page.wait_for_selector(f"button:has-text('Logout ({name})')")


def test_a_signed_in_rater_is_one_person_on_every_device_and_nowhere_named(
    browser, provider: SignIn, url: str, home: Path
) -> None:
    store = RatingStore(home)
    desk, phone, other = (Person(browser, url) for _ in range(3))
    desk.rate_by_key("1")
    desk.next()
    provider.person = "annabel"
    for device in (desk, phone):
        device.sign_in("annabel")
        device.rate_by_key("4")
    assert phone.page.locator("#own-ratings li").count() == 2, "what was rated at the desk is on the phone"
    provider.person = "owner"
    other.sign_in("owner")
    other.rate_by_key("2")
    ratings = store.ratings()
    assert [rating.rater_kind for rating in ratings] == ["anonymous", "huggingface", "huggingface", "owner"]
    before, at_the_desk, on_the_phone, somebody_else = (rating.rater for rating in ratings)
    assert at_the_desk == on_the_phone and len({before, at_the_desk, somebody_else}) == 3
    kept = [file.read_bytes() for file in (home / "ratings").rglob("*") if file.is_file()]
    assert kept and not any(b"annabel" in content for content in kept)
    for person in (desk, phone, other):
        person.context.close()
        # On a Space, Gradio's page also asks huggingface.co about it, which a test cannot reach.
        gradios = ("Failed to load resource", "Space not found")
        assert [said for said in person.complaints if not said.startswith(gradios)] == []
