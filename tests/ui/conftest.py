"""The real page, started as people start it, and a browser to look at it with."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import gradio as gr
import pytest

from huvidpo import adapters
from huvidpo.backbones import LoadedBackbone
from huvidpo.categories import Category, add_category
from huvidpo.ui.jobs import Job, Step
from tests.ui.planted import plant_pairs

ROOT = Path(__file__).parents[2]
MINUTES = 60_000  # milliseconds; a page on a busy machine of two cores is slow, and nothing here measures time


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HUVIDPO_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def no_shipped_adapters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shipped ones fit the full size only."""
    monkeypatch.setattr(adapters, "SHIPPED", tmp_path / "shipped")


def out_of_quota(job: Job) -> Iterator[Step]:
    """What computes on ZeroGPU, for a visitor whose quota is used up."""
    raise gr.Error("You have exceeded your GPU quota. Try again in 3:12:05")
    yield


@pytest.fixture(scope="session")
def pocket(shared_backbone: LoadedBackbone) -> LoadedBackbone:
    """The small untrained one: what a tab does with it does not depend on what it has learned."""
    return shared_backbone


@pytest.fixture(scope="session")
def page_url(tmp_path_factory) -> Iterator[str]:
    """The page as it ships, with a home of its own, in which there is a ninth action."""
    folder = tmp_path_factory.mktemp("page")
    with pytest.MonkeyPatch.context() as here:
        here.setenv("HUVIDPO_HOME", str(folder / "home"))
        add_category(Category("pony", "Ponies rest", "ponies rest", "🐴", ("a red horse", "a blue horse")))
    with running_page(folder) as url:
        yield url


@pytest.fixture(scope="session")
def rate_home(tmp_path_factory) -> Path:
    """The home of a page with two dozen short pairs."""
    folder = tmp_path_factory.mktemp("rate")
    plant_pairs(folder / "home", folder / "clips", 24)
    return folder / "home"


@pytest.fixture(scope="session")
def rate_url(rate_home: Path) -> Iterator[str]:
    """The page as it ships, on that home; nothing is made ahead, nothing is pushed."""
    settings = {"HUVIDPO_PAIRS_AHEAD": "0", "HUVIDPO_DATASET": ""}
    with running_page(rate_home.parent, settings) as url:
        yield url


@contextmanager
def running_page(folder: Path, settings: Mapping[str, str] = MappingProxyType({})) -> Iterator[str]:
    """`python app.py` on a free port, with its home in `folder` and further environment variables."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {"HUVIDPO_HOME": str(folder / "home"), "HUVIDPO_BACKBONE": "pocket"} | settings
    environment["GRADIO_TEMP_DIR"] = str(folder / "gradio")
    with (folder / "log").open("w") as log:
        command = [sys.executable, "app.py", "--port", str(port)]
        server = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(3000):
            assert server.poll() is None, (folder / "log").read_text()
            try:
                urllib.request.urlopen(url, timeout=60).close()
                break
            except OSError:
                time.sleep(0.5)
        yield url
    finally:
        server.terminate()
        server.wait(60)


@pytest.fixture(scope="session")
def living_browser() -> Iterator[Callable]:
    """Gives headless Chromium, the system's or the one that playwright brought; another one when that has crashed."""
    from playwright.sync_api import sync_playwright

    flags = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    flags += " --disable-component-update --disable-sync"
    with sync_playwright() as playwright:
        program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        program = program or playwright.chromium.executable_path
        if not Path(program).exists():
            message = "no Chromium here: apt-get install chromium, or playwright install chromium"
            pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
        started = []

        def living():
            if not started or not started[-1].is_connected():
                started.append(playwright.chromium.launch(executable_path=program, args=flags.split()))
            return started[-1]

        yield living
        for one in started:
            one.close()


@pytest.fixture
def browser(living_browser: Callable):
    """A browser that lives: a crash costs the test that it happens in, and not all that follow."""
    return living_browser()


class Visit:
    """A fresh visitor's open page, with what a test does again and again."""

    def __init__(self, browser, url: str, **context):
        self.context = browser.new_context(**{"viewport": {"width": 1366, "height": 900}, **context})
        self.context.set_default_timeout(3 * MINUTES)
        self.complaints: list[str] = []
        self.page = self.context.new_page()
        self.page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", self.on_error)
        self.page.goto(url)
        self.settled()

    def on_error(self, error: Exception) -> None:
        """Keeps an error of the page's scripts."""
        self.complaints.append(str(error))

    def settled(self) -> None:
        """Waits until the page has asked the server for its start, and has the answer."""
        self.page.wait_for_selector("#make", state="attached")
        self.page.wait_for_function("document.querySelector('#estimate').textContent.includes('about')")

    def few_steps(self) -> None:
        """Opens the advanced settings and asks for one step of each kind."""
        self.page.click("#advanced > button")
        for field in ("#steps input", "#frame-steps input"):
            self.page.fill(field, "1")
            self.page.press(field, "Tab")

    def write(self, field: str, words: str) -> None:
        """Types into a field as people do, who are slower than the page.

        An accordion that was just opened gives its fields their first words once more, and Gradio closes its stream
        of answers after the last one: an event at that very moment would wait for the next one.
        """
        box = self.page.locator(field)
        box.click()
        self.page.wait_for_timeout(1000)
        box.press("Control+a")
        box.press_sequentially(words)
        self.page.wait_for_timeout(1000)
        assert box.input_value() == words

    def new_seed_each_time(self, wanted: bool) -> None:
        self.page.set_checked("#dice input", wanted)

    def wait_for_clip(self) -> None:
        """Until a clip has been made, is shown and can be played."""
        self.page.wait_for_selector("#cancel", state="visible")
        self.page.wait_for_selector("#cancel", state="hidden")
        self.page.wait_for_function("document.querySelector('#clip video')?.readyState >= 2")

    def said(self) -> str:
        return self.page.inner_text("#meter")


Kind = TypeVar("Kind", bound=Visit)


@contextmanager
def visits_of(kind: type[Kind], browser, url: str) -> Iterator[Callable[..., Kind]]:
    """Opens visits of a kind, each with the options of a browser context; at the end they are closed.

    No page may have complained to its console by then.
    """
    visits: list[Kind] = []

    def start(**context) -> Kind:
        visits.append(kind(browser, url, **context))
        return visits[-1]

    yield start
    for visit in visits:
        visit.context.close()
    assert [visit.complaints for visit in visits] == [[] for _ in visits]


@pytest.fixture
def visit(browser, page_url) -> Iterator[Callable[..., Visit]]:
    """Opens visits to the page as it ships."""
    with visits_of(Visit, browser, page_url) as start:
        yield start
