"""The pair player in a real browser: two clips on one clock, and what it sends when someone answers."""

from collections.abc import Iterator
from itertools import count

import pytest

from huvidpo.video import write_mp4
from tests.ui.planted import FPS, FRAMES, SIZE, drawn_clip
from tests.ui.player_page import served_folder, write_page

pytestmark = pytest.mark.browser

LONG = 16
PROMPT = "a red horse runs on the beach"


def showing(name: str, frames: int = FRAMES, prompt: str = PROMPT) -> dict:
    clips = {side: {"url": f"{side}-{frames}.mp4"} for side in ("left", "right")}
    size = {"frames": frames, "fps": FPS, "width": SIZE, "height": SIZE}
    return {"id": name, "prompt": prompt, "note": "Watch, then choose.", **clips, **size}


def told(stage: dict | None, turn: int = 0, **changes) -> dict:
    return {"showing": stage, "revealed": None, "note": "", "can_undo": False, "turn": turn, **changes}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("player")
    for frames in (FRAMES, LONG):
        for seed, side in enumerate(("left", "right")):
            write_mp4(drawn_clip(seed, frames), folder / f"{side}-{frames}.mp4", FPS)
    return folder


@pytest.fixture(scope="module")
def address(folder) -> Iterator[str]:
    with served_folder(folder) as url:
        yield url


@pytest.fixture
def player(browser, folder, address):
    """Opens the player with a value, in a fresh page; no page may have complained."""
    contexts, complaints = [], []

    def start(value: dict, **options):
        write_page(folder, value)
        contexts.append(browser.new_context(**options))
        contexts[-1].set_default_timeout(180_000)
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address)
        return page

    yield start
    for context in contexts:
        context.close()
    assert complaints == []


def sent(page) -> list:
    return page.evaluate("window.sent")


def watched(page) -> None:
    """Until both clips have been seen to their end once."""
    page.wait_for_selector(".booth[data-state=open]:not(.unseen)")


def test_both_clips_stay_within_a_fraction_of_a_frame_over_several_rounds(player):
    page = player(told(showing("one", LONG)))
    page.wait_for_selector(".booth[data-state=open]")
    page.evaluate("""() => {
        const videos = [...document.querySelectorAll('video')];
        const [left, right] = videos;
        window.drifts = []; window.rounds = 0;
        left.addEventListener('ended', () => { window.rounds += 1; });
        const look = () => {
            if (!left.paused && !right.paused && !left.seeking && !right.seeking)
                window.drifts.push(Math.abs(left.currentTime - right.currentTime));
            left.requestVideoFrameCallback(look);
        };
        left.requestVideoFrameCallback(look);
    }""")
    page.wait_for_function("window.rounds >= 3")
    drifts = sorted(page.evaluate("window.drifts"))
    assert len(drifts) > LONG
    assert drifts[len(drifts) * 9 // 10] < 0.5 / FPS, "nine of ten looks find them within half a frame"


def test_a_late_clip_catches_up(player):
    page = player(told(showing("one", LONG)))
    page.wait_for_selector(".booth[data-state=open]")
    page.evaluate("document.querySelectorAll('video')[1].currentTime = 1.5")
    page.wait_for_function("""() => {
        const [left, right] = document.querySelectorAll('video');
        return !left.seeking && !right.seeking && left.currentTime > 0.3 && right.currentTime < 1.9
            && Math.abs(left.currentTime - right.currentTime) < 0.5 / 8;
    }""")


def test_nothing_counts_before_both_clips_were_seen_once(player):
    page = player(told(showing("one", LONG)))
    page.wait_for_selector(".booth[data-state=open].unseen")
    page.keyboard.press("1")
    assert sent(page) == [] and "watch both clips" in page.inner_text(".note")
    watched(page)
    page.keyboard.press("1")
    ((name, answer),) = sent(page)
    assert name == "rate" and answer["showing"] == "one" and answer["choice"] == "left"
    assert answer["seen"] == LONG and answer["plays"] >= 1 and answer["watched"] >= 1.5 and answer["decision_ms"] > 0
    assert answer["segments"] == ["-"] * 4 and answer["answers"] == {"left": {}, "right": {}}
    page.keyboard.press("4")
    assert len(sent(page)) == 1, "a second answer waits for what the server says to the first"


@pytest.mark.parametrize(
    "key, choice",
    [
        ("1", "left"),
        ("2", "both_good"),
        ("3", "both_bad"),
        ("4", "right"),
        ("ArrowLeft", "left"),
        ("ArrowRight", "right"),
    ],
)
def test_each_key_has_its_choice(player, key, choice):
    page = player(told(showing("one")))
    watched(page)
    page.keyboard.press(key)
    assert sent(page)[0][1]["choice"] == choice


def test_keys_leave_typing_and_shortcuts_alone(player):
    page = player(told(showing("one"), can_undo=True))
    watched(page)
    page.focus("#elsewhere")
    page.keyboard.type("1 s u")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("Control+1")
    page.keyboard.press("Alt+ArrowLeft")
    page.evaluate("document.querySelector('#player').style.display = 'none'")  # as Gradio hides another tab
    page.keyboard.press("1")
    assert sent(page) == []


def test_marks_of_an_answer_taken_back_are_there_again_and_are_sent_again(player):
    segments = ["left", "-", "tie", "right"]
    answers = {"left": {"quality": 4}, "right": {"alignment": 2}}
    page = player(told(showing("one") | {"marks": {"segments": segments, "answers": answers}}))
    watched(page)
    pressed = "[...document.querySelectorAll('[data-side=left] .segments button')].map((b) => b.ariaPressed)"
    assert page.evaluate(pressed) == ["true", "false", "true", "false"]
    page.click("[data-side=left] .segments button >> nth=0")  # this part not, after all
    page.keyboard.press("1")
    ((_, answer),) = sent(page)
    assert answer["segments"] == ["-", "-", "tie", "right"] and answer["answers"] == answers


def test_undo_and_skip_have_keys_and_say_which_pair_they_are_about(player):
    page = player(told(showing("one"), can_undo=True))
    page.wait_for_selector(".booth[data-state=open]")
    page.keyboard.press("s")
    assert sent(page) == [["skip", {"showing": "one"}]], "a pair may be skipped before it was watched"
    page.evaluate("value => window.tell(value)", told(showing("two"), 1, can_undo=True))
    page.wait_for_selector(".booth[data-state=open]")
    page.keyboard.press("u")
    assert sent(page)[1:] == [["undo", {"showing": "two"}]]


def test_names_come_after_the_vote_which_is_locked_then(player):
    page = player(told(showing("one")))
    watched(page)
    page.click("[data-choice=right]")
    revealed = {"id": "one", "choice": "right", "left": "gallop, seed 5", "right": "without an adapter, seed 6"}
    page.evaluate(
        "value => window.tell(value)", told(showing("two"), 1, revealed=revealed, note="Saved.", can_undo=True)
    )
    page.wait_for_selector(".booth[data-state=locked]")
    assert page.inner_text("[data-side=left] .name") == revealed["left"]
    assert page.inner_text("[data-side=right] .name") == revealed["right"]
    assert page.get_attribute("[data-choice=right]", "aria-pressed") == "true"
    assert page.inner_text(".note") == "Saved." and page.evaluate("document.activeElement.className") == "next"
    page.keyboard.press("1")
    page.click("[data-choice=left]", force=True)
    page.click("[data-side=left] .segments button >> nth=0", force=True)
    assert len(sent(page)) == 1
    page.keyboard.press("Enter")
    page.wait_for_selector(".booth[data-state=open]")
    assert page.inner_text("[data-side=left] .name") == ""
    watched(page)
    page.keyboard.press("2")
    assert sent(page)[1][1]["showing"] == "two"


def test_a_refused_answer_can_be_given_again(player):
    page = player(told(showing("one")))
    watched(page)
    page.keyboard.press("1")
    page.wait_for_selector(".booth[data-state=sending]")
    page.evaluate("value => window.tell(value)", told(showing("one"), 1, note="Please go on in 5 s."))
    page.wait_for_selector(".booth[data-state=open]")
    assert page.inner_text(".note") == "Please go on in 5 s."
    page.keyboard.press("1")
    assert len(sent(page)) == 2


def test_parts_and_questions_go_with_the_answer(player):
    page = player(told(showing("one")))
    watched(page)
    left, right = (page.locator(f"[data-side={side}] .segments button") for side in ("left", "right"))
    left.nth(0).click()
    right.nth(1).click()
    left.nth(2).click()
    right.nth(2).click()
    left.nth(3).click()
    left.nth(3).click()
    assert left.nth(0).get_attribute("aria-pressed") == "true" and left.nth(3).get_attribute("aria-pressed") == "false"
    page.click(".ask-more")
    page.click("[data-side=left] [data-question=quality][data-value='4']")
    page.click("[data-side=right] [data-question=alignment][data-value='5']")
    page.click("[data-side=right] [data-question=alignment][data-value='2']")
    page.keyboard.press("3")
    answer = sent(page)[0][1]
    assert answer["segments"] == ["left", "right", "tie", "-"]
    assert answer["answers"] == {"left": {"quality": 4}, "right": {"alignment": 2}}


def test_frame_by_frame_and_seeking_move_both_clips(player):
    page = player(told(showing("one", LONG)))
    watched(page)
    page.keyboard.press(" ")
    page.wait_for_selector(".booth.paused")

    def at(frame: int) -> None:
        page.wait_for_function(
            """([frame, fps]) => [...document.querySelectorAll('video')].every(
                (video) => !video.seeking && Math.floor(video.currentTime * fps + 0.01) === frame)""",
            arg=[frame, FPS],
        )

    page.locator(".seek").fill("9")
    at(9)
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press(".")
    at(10)
    page.keyboard.press(",")
    page.keyboard.press(",")
    page.wait_for_function("document.querySelector('.frame').textContent === '9 / 16'")
    page.click("[data-side=left] .segments button >> nth=1")
    at(4)
    page.keyboard.press(" ")
    page.wait_for_function("!document.querySelector('video').paused")


def test_reduced_motion_waits_for_play_and_frame_steps_count_as_watching(player):
    page = player(told(showing("one")), reduced_motion="reduce")
    page.wait_for_selector(".booth[data-state=open].paused")
    assert page.evaluate("document.querySelector('video').paused") and "press play" in page.inner_text(".note").lower()
    for frame in range(2, FRAMES + 1):
        page.keyboard.press(".")
        page.wait_for_function(f"document.querySelector('.frame').textContent === '{frame} / {FRAMES}'")
    watched(page)
    page.keyboard.press("1")
    assert sent(page)[0][1]["seen"] == FRAMES


def test_prompts_stay_text(player):
    hostile = '<img src=x onerror="window.hacked=1"> ${window.hacked=1} {{window.hacked=1}}'
    page = player(told(showing("one", prompt=hostile)))
    page.wait_for_selector(".booth[data-state=open]")
    assert page.inner_text(".words") == hostile
    assert page.evaluate("window.hacked") is None and page.locator("#player img").count() == 0


def test_a_pair_that_cannot_be_loaded_can_be_skipped(player):
    page = player(told(showing("one") | {"left": {"url": "gone.mp4"}}))
    page.wait_for_function("document.querySelector('.note').textContent.includes('could not be loaded')")
    page.keyboard.press("s")
    assert sent(page) == [["skip", {"showing": "one"}]]


def test_without_a_pair_only_the_sentence_is_shown(player):
    page = player(told(None, note="None is left.", can_undo=True))
    page.wait_for_selector(".booth[data-state=empty]")
    assert page.inner_text(".note") == "None is left." and not page.is_visible(".choices")
    page.click(".undo")
    assert sent(page) == [["undo", {"showing": ""}]]


def test_every_control_has_a_name_and_a_finger_finds_it(player):
    page = player(told(showing("one")), viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
    page.wait_for_selector(".booth[data-state=open]")
    numbers = count()
    for button in page.locator(".booth button:visible, .booth input:visible").all():
        next(numbers)
        name = button.get_attribute("aria-label") or button.inner_text()
        assert name.strip() and button.bounding_box()["height"] >= 44, name
    assert next(numbers) >= 18 and page.evaluate("document.documentElement.scrollWidth") == 390
