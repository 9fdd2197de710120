"""The tab Create as a visitor meets it: the real page, the real model, a real browser."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

from huvidpo.video import read_frames, read_metadata, write_mp4

pytestmark = pytest.mark.browser

PROMPT = "a blue horse runs in the desert"


def downloaded(visit, button: str, path):
    """The file behind a download button."""
    with visit.page.expect_download() as download:
        visit.page.click(button)
    download.value.save_as(path)
    return path


def test_from_prompt_to_clip_with_the_keyboard_alone(visit, tmp_path):
    here = visit()
    page = here.page
    page.focus("#advanced > button")
    page.keyboard.press("Enter")
    for field in ("#steps input", "#frame-steps input"):
        page.focus(field)
        page.keyboard.press("Control+A")
        page.keyboard.type("1")
        page.keyboard.press("Tab")
    page.focus("#prompt textarea")
    page.keyboard.press("Control+A")
    page.keyboard.type(PROMPT)
    page.keyboard.press("Enter")
    page.wait_for_selector("#picture img")
    page.wait_for_selector("#cancel", state="hidden")
    assert "First frame with seed" in here.said()
    page.wait_for_selector("#estimate:has-text('Starts from the first frame shown (seed ')")  # as its file says
    assert page.locator("#history li").count() == 0
    page.focus("#prompt textarea")
    page.keyboard.press("Control+Enter")
    here.wait_for_clip()

    frames, fps = read_frames(downloaded(here, "#mp4", tmp_path / "clip.mp4"))
    settings = read_metadata(tmp_path / "clip.mp4")
    assert frames.shape == (16, 128, 128, 3) and fps == 8
    assert settings["prompt"] == PROMPT and settings["category"] == "horse" and settings["steps"] == 1
    assert f"Seed {settings['seed']} " in here.said()
    assert page.input_value("#seed input") == str(settings["seed"])
    assert read_metadata(downloaded(here, "#gif", tmp_path / "clip.gif")) == settings
    assert page.evaluate("document.querySelector('#clip video').videoWidth") == 128


def test_an_action_of_one_s_own_brings_its_prompts(visit):
    page = visit().page
    shown = page.locator("#chips .chip:visible")
    assert shown.count() == 4
    page.get_by_text("Ponies rest").first.click()
    page.wait_for_function("document.querySelector('#prompt textarea').value === 'a red horse'")
    page.wait_for_function("document.querySelectorAll('#chips .chip').length === 2")
    assert shown.all_inner_texts() == ["a red horse", "a blue horse"]
    page.wait_for_selector("#motion-note:has-text('Nothing has taught')")
    page.get_by_text("Rain").first.click()
    page.wait_for_function("document.querySelectorAll('#chips .chip').length === 4")


def test_arrow_keys_move_through_the_actions(visit):
    page = visit().page
    page.focus("#actions input:checked")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.querySelector('#prompt textarea').value === 'white birds fly over the beach'")
    assert page.evaluate("document.querySelector('#actions input:checked').value") == "birds"
    page.fill("#prompt textarea", "my own birds")
    page.keyboard.press("Shift+Tab")
    page.focus("#actions input:checked")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.querySelector('.chip').textContent.includes('a red horse')")
    page.keyboard.press("ArrowRight")  # past the last comes the first
    page.wait_for_function("document.querySelector('.chip').textContent.includes('waterfall')")
    assert page.input_value("#prompt textarea") == "my own birds"


def test_markup_stays_text_and_strange_words_are_named(visit):
    here = visit()
    page = here.page
    hostile = """red <img src=x onerror="window.hacked=1"> ${window.hacked=1} {{window.hacked=1}}"""
    here.few_steps()
    page.fill("#prompt textarea", hostile)
    page.wait_for_function("document.querySelector('#unknown').textContent.includes('hacked')")
    assert page.is_visible("#unknown .line")
    warning = page.inner_text("#unknown")
    unknown, known = warning.split("It knows")
    assert "onerror" in unknown and "red" not in unknown.split(":")[1].replace(",", "").split() and " red," in known
    page.click("#make")
    here.wait_for_clip()
    card = page.locator("#history li")
    assert card.locator("span").inner_text() == hostile
    assert page.locator("#history img, #unknown img, #meter img").count() == 0
    assert page.evaluate("window.hacked") is None


def test_settings_come_back_from_history_after_a_reload_and_from_a_dropped_file(visit, tmp_path):
    here = visit()
    page = here.page
    here.few_steps()
    here.new_seed_each_time(False)
    page.fill("#seed input", "77")
    page.fill("#prompt textarea", PROMPT)
    page.click("#styles label:has-text('Cartoon')")
    page.click("#make")
    here.wait_for_clip()
    clip = downloaded(here, "#mp4", tmp_path / "clip.mp4")

    def came_back() -> None:
        page.wait_for_function(f"document.querySelector('#prompt textarea').value === '{PROMPT}'")
        page.wait_for_function("document.querySelector('#seed input').value === '77'")
        assert page.evaluate("document.querySelector('#styles input:checked').value") == "cartoon"
        assert not page.is_checked("#dice input")

    def changed() -> None:
        page.fill("#prompt textarea", "something else")
        page.fill("#seed input", "5")
        page.click("#styles label:has-text('Pixel art')")
        new_words = "document.querySelector('#unknown').textContent.includes('something')"
        page.wait_for_function(new_words)

    changed()
    page.reload()
    here.settled()
    page.click("#history button")
    came_back()

    changed()
    page.set_input_files("#settings-file input[type=file]", clip)
    came_back()

    foreign = write_mp4(np.zeros((16, 32, 32, 3), np.uint8), tmp_path / "foreign.mp4", 8)
    page.set_input_files("#settings-file input[type=file]", foreign)
    page.wait_for_selector("text=This file holds no settings")


def test_a_reload_keeps_what_was_written_into_the_form(visit):
    here = visit()
    page = here.page
    here.few_steps()
    page.click("#actions label:has-text('Birds')")
    page.wait_for_function("document.querySelector('#prompt textarea').value === 'white birds fly over the beach'")
    page.fill("#prompt textarea", "pink birds at night")
    page.click("#styles label:has-text('Claymation')")
    here.new_seed_each_time(False)
    page.fill("#seed input", "41")
    page.wait_for_function("JSON.stringify(localStorage).includes('huvidpo-form')")
    page.wait_for_timeout(1000)  # the last of the changes is on its way

    def as_it_was() -> None:
        page.wait_for_function("document.querySelector('#prompt textarea').value === 'pink birds at night'")
        page.wait_for_function("document.querySelector('#seed input').value === '41'")
        assert page.evaluate("document.querySelector('#actions input:checked').value") == "birds"
        assert page.evaluate("document.querySelector('#styles input:checked').value") == "claymation"
        assert not page.is_checked("#dice input")
        assert "pink birds fly" in page.inner_text("#chips")
        page.click("#advanced > button")
        assert page.input_value("#steps input") == page.input_value("#frame-steps input") == "1"

    for tab in ("", "Rate"):  # what is on a tab that was not opened yet is there once it is
        if tab:
            page.get_by_role("tab", name=tab).click()
        page.reload()
        here.settled()
        page.get_by_role("tab", name="Create").click()
        as_it_was()


@contextmanager
def slow_answers(page) -> Iterator[None]:
    """What the server answers within, except for what waits in its queue, arrives at the end."""
    held = []
    page.route("**/run/predict", lambda route: held.append(route))
    yield
    page.wait_for_timeout(500)  # what was asked for last is on its way
    while held:
        held.pop(0).continue_()
    page.unroute("**/run/predict")


def test_what_is_done_before_the_server_has_answered_stays(visit):
    here = visit()
    page = here.page

    def start_over(words: str) -> None:
        with slow_answers(page):
            page.reload()
            page.fill("#prompt textarea", words)
        here.settled()
        assert page.input_value("#prompt textarea") == words
        assert page.locator("#clip video").count() == 1 and here.said().startswith("Example · Seed 1")

    start_over("a tiger")
    page.click("#styles label:has-text('Claymation')")
    page.fill("#seed input", "41")
    page.wait_for_timeout(1000)  # the last of the changes is on its way
    start_over("a lion")
    assert page.evaluate("document.querySelector('#styles input:checked').value") == "claymation"
    assert page.input_value("#seed input") == "41", "what was not touched is as it was left"

    page.fill("#prompt textarea", "")
    with slow_answers(page):
        page.click("#actions label:has-text('Rain')")
        page.wait_for_selector("#chips:has-text('rain falls on')")
        assert page.input_value("#prompt textarea").startswith("rain falls on")
        page.fill("#prompt textarea", "rain at night")
    page.wait_for_selector("#estimate:has-text('about')")
    assert page.input_value("#prompt textarea") == "rain at night"


def test_an_own_picture_becomes_the_first_frame_with_nothing_else_touched(visit, tmp_path):
    here = visit()
    page = here.page
    wide = tmp_path / "wide.gif"
    Image.new("RGB", (300, 100), (20, 160, 60)).save(wide)
    broken = tmp_path / "broken.gif"
    broken.write_bytes(wide.read_bytes()[:40])
    page.set_input_files("#picture input[type=file]", broken)
    page.wait_for_selector("text=This picture cannot be read")
    page.wait_for_selector("#picture input[type=file]", state="attached")  # it is gone again
    assert all("500" in complaint for complaint in here.complaints)  # the browser's word for a refused input
    here.complaints.clear()
    assert not page.is_visible("#fit")
    page.set_input_files("#picture input[type=file]", wide)
    page.wait_for_selector("#fit", state="visible")
    page.wait_for_selector("text=Starts from the first frame shown")
    page.click("#fit label:has-text('bars')")
    page.click("#make")
    here.wait_for_clip()
    assert "your first frame" in here.said()
    settings = read_metadata(downloaded(here, "#mp4", tmp_path / "clip.mp4"))
    assert settings["first_frame_model"] == "upload" and settings["fit"] == "pad"


def test_while_others_use_the_model_one_is_told_and_may_leave(visit):
    busy, here = visit(), visit()
    busy.page.click("#advanced > button")
    busy.page.fill("#steps input", "200")
    busy.page.click("#make")
    busy.page.wait_for_selector("#meter:has-text('Clip: step')")
    page = here.page
    page.click("#make")
    page.wait_for_selector("#meter:has-text('Waiting for the model')")
    page.wait_for_selector("#meter:has-text('queue: 1/1')")
    assert not page.is_enabled("#make")
    page.click("#cancel")
    page.wait_for_selector("#make:enabled")
    busy.page.click("#cancel")
    busy.page.wait_for_selector("#make:enabled")
    page.wait_for_timeout(2000)  # its turn would have come
    assert here.said() == busy.said() == "Stopped."


def test_bad_input_is_a_toast_and_cancel_gives_the_page_back(visit):
    here = visit()
    page = here.page
    page.fill("#prompt textarea", "   ")
    page.click("#make")
    page.wait_for_selector("#meter:has-text('the prompt is empty')")  # also when the toast is gone
    page.wait_for_selector("#make:enabled")
    assert "Stopped" not in here.said()
    page.fill("#prompt textarea", PROMPT)
    page.click("#advanced > button")
    page.fill("#steps input", "200")
    page.fill("#frame-steps input", "200")
    page.click("#make")
    page.wait_for_selector("#meter:has-text('First frame: step')")
    page.click("#cancel")
    page.click("#make")  # once it can be pressed: it must not be lost then
    page.wait_for_selector("#meter:has-text('First frame: step')")
    assert page.inner_text("#cancel") == "Cancel"
    page.click("#cancel")
    page.wait_for_selector("text=Stopped.")
    page.wait_for_selector("#make:enabled")
    page.wait_for_timeout(3000)  # what comes in late of the cancelled run changes nothing
    page.wait_for_function("document.activeElement.id === 'make'")
    assert page.is_enabled("#make") and here.said() == "Stopped." and page.locator("#history li").count() == 0


@pytest.mark.parametrize("size", [(1280, 800), (390, 844)], ids=["desktop", "phone"])
def test_the_main_button_is_seen_without_scrolling_and_stays_where_it_is(visit, size):
    page = visit(viewport=dict(zip(("width", "height"), size, strict=True))).page
    for action, words in (("smile", "turns to smile"), ("guitar", "plays a red guitar")):
        page.click(f"#actions label:has(input[value={action}])")
        page.wait_for_selector(f"#chips:has-text('{words}')")  # the longest examples
        box = page.locator("#make").bounding_box()
        assert box["y"] + box["height"] <= size[1]
    page.fill("#prompt textarea", "a girl")
    before = page.locator("#make").bounding_box()
    page.fill("#prompt textarea", "a ship")
    page.wait_for_selector("#unknown:has-text('does not know')")
    assert page.locator("#make").bounding_box() == before


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_a_phone_needs_no_sideways_scrolling(visit, colours):
    size = {"width": 390, "height": 844}
    page = visit(viewport=size, is_mobile=True, has_touch=True, color_scheme=colours).page
    page.tap("#advanced > button")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    for control in page.locator("#make, #first-frame, #actions label").all():
        assert control.bounding_box()["height"] >= 44, "a finger needs 44 pixels"
    assert page.evaluate("document.body.classList.contains('dark')") == (colours == "dark")


def test_everything_comes_from_this_server(visit, page_url):
    here = visit()
    asked: list[str] = []
    here.page.on("request", lambda request: asked.append(request.url))
    here.page.reload()
    here.settled()
    own = (page_url, "data:", "blob:")
    assert asked and [url for url in asked if not url.startswith(own)] == []
    assert here.page.title() == "HuViDPO"
