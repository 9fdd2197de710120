"""Components that Gradio lacks, on a small page of Gradio's in a real browser: the ticker, the meter."""

from collections.abc import Iterator

import gradio as gr
import pytest

from huvidpo.ui.widgets import meter, meter_value, ticker
from tests.ui.conftest import MINUTES

pytestmark = pytest.mark.browser
# What a browser says to a page behind another tab; it draws nothing then.
HIDE = """() => {
    Object.defineProperty(document, 'visibilityState', { get: () => 'hidden' });
    window.requestAnimationFrame = () => 0;
}"""


@pytest.fixture
def page(browser) -> Iterator:
    """A ticker whose ticks are counted, with a button to start and one to stop it; a meter that hears old news."""
    ticks = [0]

    def count() -> str:
        ticks[0] += 1
        return str(ticks[0])

    with gr.Blocks() as blocks:
        clock, ticked, old = ticker(0.1), gr.HTML("", elem_id="ticked"), meter_value("old")
        said = meter(elem_id="said")
        clock.tick(count, None, ticked, queue=False)
        for text, value in (("Start", True), ("Stop", False)):
            gr.Button(text).click(lambda value=value: value, None, clock, queue=False)
        gr.Button("News").click(lambda: meter_value("news"), None, said, queue=False)
        gr.Button("Old").click(lambda: old, None, said, queue=False).then(lambda: "it came", None, ticked, queue=False)
    _, url, _ = blocks.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False, _frontend=False)
    context = browser.new_context()
    context.set_default_timeout(MINUTES)
    page = context.new_page()
    page.goto(url)
    page.get_by_role("button", name="Start").wait_for()
    yield page
    context.close()
    blocks.close()


def test_a_ticker_goes_while_nobody_looks_and_only_while_it_is_asked_to(page) -> None:
    press = {name: page.get_by_role("button", name=name).click for name in ("Start", "Stop")}
    page.wait_for_timeout(500)
    assert page.text_content("#ticked").strip() == ""
    page.evaluate(HIDE)
    press["Start"]()
    page.locator("#ticked", has_text="3").wait_for()
    press["Stop"]()
    page.wait_for_timeout(1000)
    count = page.text_content("#ticked")
    page.wait_for_timeout(500)
    assert page.text_content("#ticked") == count
    press["Start"]()
    page.wait_for_selector(f"#ticked:not(:has-text('{count.strip()}'))")


def test_a_meter_keeps_what_was_said_last(page) -> None:
    """An answer that is sent again, or overtaken by another one, changes nothing."""
    page.get_by_role("button", name="News").click()
    page.locator("#said", has_text="news").wait_for()
    page.get_by_role("button", name="Old").click()
    page.locator("#ticked", has_text="it came").wait_for()
    assert page.text_content("#said .line") == "news"
