"""The page that stands in for missing weights: a real browser, a download from a loopback Hub, the page after it."""

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from queue import Queue
from threading import Thread

import gradio as gr
import pytest

from huvidpo import full_size
from huvidpo.hub_models import HubFiles, cached
from huvidpo.ui.first_start import choose_backbone
from tests.preferences.hub_server import HubServer

pytestmark = pytest.mark.browser

WANTED = HubFiles(
    "someone/model", "0" * 40, ("config.json", "unet/x.safetensors"), 4.3, "Some Licence", "https://x.example/licence"
)


@pytest.fixture
def hub(loopback_hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> HubServer:
    """Weights of a megabyte that nobody has downloaded yet, on a machine that nobody has chosen a backbone for."""
    loopback_hub.plant(WANTED.repo, WANTED.revision, {"config.json": b"{}", "unet/x.safetensors": bytes(10**6)})
    monkeypatch.setattr(full_size, "SD14", WANTED)
    monkeypatch.delenv("HUVIDPO_BACKBONE", raising=False)
    monkeypatch.delenv("SPACE_ID", raising=False)
    return loopback_hub


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def standing_in(browser) -> Iterator[tuple]:
    """A visitor's page while `choose_backbone` waits in another thread, and what it will give."""
    port, chosen = free_port(), Queue()
    Thread(target=lambda: chosen.put(choose_backbone("sd14", "127.0.0.1", port)), daemon=True).start()
    with closing(browser.new_context()) as context:
        page = context.new_page()
        for _ in range(100):
            try:
                page.goto(f"http://127.0.0.1:{port}")
                break
            except Exception as error:
                assert "ERR_CONNECTION_REFUSED" in str(error)
                page.wait_for_timeout(200)
        page.wait_for_selector("#first-start h2")
        yield page, chosen


def test_weights_that_are_here_need_no_page(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_backbone("pocket", None, 7861) == ("pocket", 7861)


def test_licence_and_size_first_then_the_download_then_the_real_page(browser, hub: HubServer) -> None:
    with standing_in(browser) as (page, chosen):
        said = page.inner_text("#first-start")
        assert "someone/model (4.3 GB) under Some Licence, https://x.example/licence" in said
        page.wait_for_selector("#download:has-text('Download 4.3 GB and start')")
        assert chosen.empty() and cached(WANTED) is None, "nothing is downloaded before somebody agrees"
        page.click("#download")
        name, port = chosen.get(timeout=60)
        assert name == "sd14" and cached(WANTED)
        page.wait_for_selector("#standing:has-text('The page opens here in a moment')")
        with gr.Blocks(title="the real page") as real:
            gr.Markdown("Here it is.")
        real.launch(server_name="127.0.0.1", server_port=port, prevent_thread_lock=True, _frontend=False, quiet=True)
        page.wait_for_selector("text=Here it is.")
        real.close(verbose=False)


def test_the_embedded_model_can_be_taken_instead(browser, hub: HubServer) -> None:
    with standing_in(browser) as (page, chosen):
        page.click("#embedded")
        assert chosen.get(timeout=60)[0] == "pocket" and cached(WANTED) is None


def test_an_owner_who_chose_is_not_asked_and_a_failed_download_can_be_tried_again(
    browser, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUVIDPO_BACKBONE", "sd14")
    hub.fault = lambda kind, path: 500
    with standing_in(browser) as (page, chosen):
        page.wait_for_selector("#standing [role=alert]:has-text('the Hub could not be reached')")
        page.wait_for_selector("#download:has-text('Try again')")
        assert "Start with" not in page.inner_text("#first-start"), "no visitor changes what the owner chose"
        hub.fault = lambda kind, path: None
        page.click("#download")
        assert chosen.get(timeout=60)[0] == "sd14" and cached(WANTED)
