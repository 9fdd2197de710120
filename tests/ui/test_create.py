"""What the tab Create does on the server: the form, the takes on disk, what comes back from them, what is refused."""

import json
import os
import shutil
import socket
import time
from dataclasses import fields, replace

import gradio as gr
import numpy as np
import pytest
from gradio.processing_utils import encode_pil_to_bytes
from PIL import Image

import app
from huvidpo import adapters
from huvidpo.categories import Category, add_category, remove_category
from huvidpo.presets import FirstFrameSettings
from huvidpo.requests import FirstFrameRequest
from huvidpo.takes import Clip
from huvidpo.ui.create import CreateTab
from huvidpo.ui.create_views import show
from huvidpo.ui.first_frames import read_made, signed
from huvidpo.ui.history import open_take, open_takes, read_take, save_take, takes_folder
from huvidpo.ui.making import ASKED, Form, compare_models, draw_first_frame, estimate, make_take, read_upload
from huvidpo.ui.phrases import duration
from huvidpo.ui.rate_layout import visitor_state
from huvidpo.ui.settings import KEPT, form_values, kept_values
from huvidpo.ui.theme import head
from huvidpo.ui.toasts import toasts
from huvidpo.ui.turns import CountedRun
from huvidpo.ui.widgets import picked
from huvidpo.video import read_frames, read_metadata

FORM = Form(
    prompt="a red horse runs on the beach",
    category="horse",
    style="any",
    adapter="none",
    seed=7,
    random_seed=False,
    frame_model="base",
    frame_seed=None,
    frame_steps=1,
    frame_guidance=None,
    negative_prompt="",
    recipe="default",
    steps=1,
    guidance=None,
    attention="first-previous",
    fit="crop",
    picture=None,
)
PICTURE = Image.fromarray(np.arange(128 * 128 * 3, dtype=np.uint8).reshape(128, 128, 3))
SETTINGS = {"huvidpo": "test", "prompt": "a red horse", "category": "horse", "seed": 3, "steps": 1, "guidance": 1.0}
SETTINGS |= {"fit": "crop"}
CLIP = Clip(np.zeros((16, 32, 32, 3), np.uint8), 8, SETTINGS)


@pytest.fixture(scope="module")
def run(pocket):
    return app.gpu_runner(pocket)


def png(picture: Image.Image, tmp_path) -> str:
    """The file of a picture that the page shows, as Gradio hands it to handlers."""
    (tmp_path / "shown.png").write_bytes(encode_pil_to_bytes(picture, "png"))
    return str(tmp_path / "shown.png")


def filled(form: Form, values: dict, tmp_path) -> Form:
    """The form after `values` were put into it, as the page does."""
    picture = values["picture"] and png(values["picture"], tmp_path)
    return replace(form, **values | {"picture": picture, "made": read_made(picture, "pocket")})


def test_one_button_makes_first_frame_and_clip_and_shows_every_step(run):
    views = list(make_take(run, FORM))
    assert all(view.busy for view in views[:-1]) and not views[-1].busy
    first, again = [view.first_frame for view in views if view.first_frame]
    assert again is views[-1].first_frame is first, "once more at the end: a slow browser may have lost it by then"
    assert first.request == FirstFrameRequest(FORM.prompt, model="base", seed=7, steps=1)
    assert [(view.step, view.total) for view in views if view.total] == [(1, 1), (1, 1)]
    take = open_take(views[-1].take)
    assert take.request.seed == 7 and take.request.first_frame_seed == 7 and take.request.first_frame_model == "base"
    assert {file.suffix for file in takes_folder().iterdir()} == {".mp4", ".gif", ".png"}


@pytest.mark.slow
@pytest.mark.parametrize("beside", [True, False], ids=["made here", "dropped file"])
def test_the_settings_of_a_take_make_it_again(run, tmp_path, beside):
    """Frame and clip have different seeds, and the form is full of other things when the settings come back."""
    asked = replace(FORM, frame_seed=3, style="cartoon", guidance=2.5, attention="first", frame_steps=None)
    take = open_take(list(make_take(run, asked))[-1].take)
    if not beside:
        take = read_take(shutil.copy(take.clip, tmp_path / "dropped.mp4"))
    other = replace(FORM, prompt="pink birds", category="birds", style="any", seed=1, random_seed=True, frame_seed=9)
    values = form_values(take)
    assert set(values) <= {field.name for field in fields(Form)}
    assert (values["picture"] is None) == (not beside), "a dropped clip's first frame is drawn again, exactly"
    again = open_take(list(make_take(run, filled(other, values, tmp_path)))[-1].take)
    assert read_metadata(again.clip) == read_metadata(take.clip)
    np.testing.assert_array_equal(read_frames(again.clip)[0], read_frames(take.clip)[0])


def test_an_own_picture_comes_back_from_the_clip_itself(run, tmp_path):
    take = open_take(list(make_take(run, replace(FORM, picture=png(PICTURE, tmp_path))))[-1].take)
    assert take.request.first_frame_model == "upload"
    values = form_values(read_take(shutil.copy(take.clip, tmp_path / "dropped.mp4")))
    assert "frame_model" not in values and read_made(png(values["picture"], tmp_path), "pocket") is None
    np.testing.assert_array_equal(np.asarray(values["picture"]), read_frames(take.clip)[0][0])


def test_what_a_browser_kept_of_the_form_is_put_back_as_far_as_the_form_can_show_it():
    kept = {name: getattr(FORM, name) for name in KEPT}
    assert kept_values(kept, ("dpo", "base")) == kept
    assert set(kept) | {"fit", "picture", "made"} == {field.name for field in fields(Form)}
    hostile = {"prompt": "x" * 1001, "category": "cats", "style": ["any"], "recipe": None, "frame_model": "dpo-small"}
    hostile |= {"adapter": 3, "random_seed": "yes", "seed": 2**31, "steps": True, "guidance": float("nan"), "made": 1}
    assert kept_values(kept | hostile, ("dpo", "base")) == {name: kept[name] for name in KEPT if name not in hostile}
    for nothing in (None, "", [], 3):
        assert kept_values(nothing, ("dpo",)) == {}


def test_an_action_of_one_s_own_is_among_the_others(pocket, own_home):
    """With its own prompts to begin with; what a browser kept of it is put back while it is there."""
    prompts = ("a red horse jumps", "a </script> horse")
    add_category(Category("horse-jump", "Horse jumps", "horse jumps", "🏇", prompts))
    with gr.Blocks() as page:
        tab = CreateTab(page, visitor_state(), pocket, CountedRun(app.gpu_runner(pocket)), {})
    assert ("🏇\nHorse jumps", "horse-jump") in tab.ui.form["category"].choices
    assert "a \\u003c/script> horse" in head() and "</script>" not in head().removesuffix("</script>")
    kept = {"category": "horse-jump", "prompt": "a dog"}
    assert kept_values(kept, ("dpo",)) == kept
    name = save_take(Clip(CLIP.frames, 8, SETTINGS | {"category": "horse-jump"}), PICTURE)
    assert open_take(name).card.title == "🏇 Horse jumps"
    remove_category("horse-jump")
    assert kept_values(kept, ("dpo",)) == {"prompt": "a dog"}
    assert open_take(name).card.title == "horse-jump", "what was made of it stays"


def test_an_adapter_that_is_gone_is_not_put_back(pocket):
    with gr.Blocks() as page:
        tab = CreateTab(page, visitor_state(), pocket, CountedRun(app.gpu_runner(pocket)), {})
    changes = tab.on_load([], {"category": "rain", "adapter": "gone", "prompt": "rain at night"})
    offered = dict(zip(KEPT, changes[tab.ui.recalled], strict=True))
    assert offered["category"] == ["horse", "rain"] and offered["prompt"][1] == "rain at night"
    assert offered["adapter"] == ["", ""] and offered["seed"] == [1, 1]


def test_a_first_frame_s_file_says_how_it_was_made_whatever_the_server_remembers(tmp_path, pocket):
    """So the seed outlives a restart, and an hour in which the browser slept."""
    file = png(signed(PICTURE, MADE, "pocket"), tmp_path)
    assert read_made(file, "pocket") == MADE and read_made(file, "sd14") is None
    with gr.Blocks() as page:
        tab = CreateTab(page, visitor_state(), pocket, CountedRun(app.gpu_runner(pocket)), {})
    form = tab.form([getattr(replace(FORM, picture=file), name) for name in ASKED])
    assert form.made == MADE and "(seed 5)" in estimate(pocket, replace(form, frame_seed=5))

    brought = tab.on_upload(file)[tab.ui.form["picture"]]
    assert np.array_equal(brought, PICTURE) and read_made(png(brought, tmp_path), "pocket") is None


def test_what_a_stranger_s_picture_says_of_itself_is_not_believed(tmp_path):
    changed = signed(PICTURE, MADE, "pocket")
    changed.putpixel((3, 3), (0, 0, 0))
    assert read_made(png(changed, tmp_path), "pocket") is None
    for words in ("", "[]", "{", json.dumps({"seed": -1}), "[" * 10_000):
        picture = PICTURE.copy()
        picture.info["Comment"] = words
        assert read_made(png(picture, tmp_path), "pocket") is None
    assert read_made(None, "pocket") is read_made(str(tmp_path / "gone.png"), "pocket") is None
    hostile = signed(PICTURE, replace(MADE, steps=10**9), "pocket")
    assert read_made(png(hostile, tmp_path), "pocket") is None


MADE = FirstFrameRequest(FORM.prompt, model="base", seed=5, steps=1)


@pytest.mark.parametrize(
    "changes, kept",
    [
        ({}, True),
        ({"seed": 99, "random_seed": True}, True),  # another clip from the same picture
        ({"category": "birds", "guidance": 3.0, "attention": "first"}, True),
        ({"prompt": f"  {FORM.prompt} "}, True),
        ({"prompt": "a blue horse"}, False),
        ({"style": "cartoon"}, False),
        ({"frame_model": "dpo"}, False),
        ({"frame_seed": 6}, False),
        ({"frame_steps": 2}, False),
        ({"picture": None}, False),
        ({"made": None, "prompt": "a blue horse"}, True),  # a picture of the visitor's own goes with every prompt
    ],
)
def test_a_clip_starts_from_the_picture_shown_only_when_it_is_what_is_asked(changes, kept):
    assert replace(FORM, **({"picture": "shown.png", "made": MADE} | changes)).keeps_picture() == kept


def test_rolling_again_takes_a_new_seed_and_the_plain_button_the_one_in_the_form(run):
    drawn = [list(draw_first_frame(run, FORM))[-1].first_frame for _ in range(2)]
    assert drawn[0].request.seed == drawn[1].request.seed == 7
    assert drawn[0].image.tobytes() == drawn[1].image.tobytes()
    rolled = list(draw_first_frame(run, FORM, fresh=True))[-1].first_frame
    assert rolled.request.seed != 7 and rolled.image.tobytes() != drawn[0].image.tobytes()


def test_models_are_compared_at_one_seed(run, pocket):
    models = pocket.preset.first_frame_models
    frames = [view.first_frame for view in compare_models(run, FORM, models) if view.first_frame]
    assert [(frame.request.model, frame.request.seed) for frame in frames] == [(model, 7) for model in models]


def test_numbers_that_are_left_empty_are_those_of_the_chosen_model(pocket):
    own = pocket.preset.first_frames | {"dpo-small": FirstFrameSettings(64, 64, steps=30, guidance=7.5)}
    several = replace(pocket, preset=replace(pocket.preset, first_frames=own))
    with gr.Blocks() as page:
        tab = CreateTab(page, visitor_state(), several, CountedRun(app.gpu_runner(several)), {})
    assert [number.placeholder for number in tab.on_frame_model("dpo-small")] == ["30", "7.5"]
    assert tab.ui.form["frame_guidance"].placeholder == "2.5"


@pytest.mark.slow
def test_base_or_dpo_and_the_one_that_is_kept(pocket, tmp_path):
    """Both stand on the slider, left to right; what is kept becomes the first frame, its model that of the form."""
    with gr.Blocks() as page, gr.Tabs():
        tab = CreateTab(page, visitor_state(), pocket, CountedRun(app.gpu_runner(pocket)), {})
    *steps, shown = tab.on_compare(*(getattr(FORM, name) for name in ASKED))
    assert all(tab.ui.cancel in changes for changes in steps)
    frames = shown[tab.ui.compared]
    assert [frame.request.model for frame in frames] == ["base", "dpo"] and shown[tab.ui.comparison].visible
    assert shown[tab.ui.slider] == tuple(frame.image for frame in frames)
    for place, frame in enumerate(frames):
        kept = tab.keep(place, frames)
        assert read_made(png(kept[tab.ui.form["picture"]], tmp_path), "pocket") == frame.request
        assert kept[tab.ui.form["frame_model"]] == frame.request.model and kept[tab.ui.comparison].visible is False


def test_leaving_in_the_middle_frees_the_model(run, pocket):
    views = make_take(run, replace(FORM, steps=50))
    while next(views).text != "Clip: step 1 of 50":
        pass
    assert pocket.lock.locked()
    views.close()
    assert not pocket.lock.locked() and [*takes_folder().iterdir()] == []


@pytest.mark.parametrize("name", ["../horse", "horse-" + "0" * 31, "horse-" + "g" * 32, 7, None, {"clip": "x"}])
def test_only_names_that_were_given_out_open_a_take(name):
    assert open_take(name) is None


def test_a_gif_that_is_dropped_plays_as_an_mp4_and_stays_a_gif(run, pocket, tmp_path):
    """Its settings and its frames come back; a GIF of anyone's is refused before it is decoded."""
    with gr.Blocks() as page, gr.Tabs():
        tab = CreateTab(page, visitor_state(), pocket, CountedRun(run), {})
    gif = tmp_path / "mine.gif"
    moving = replace(CLIP, frames=np.arange(16, dtype=np.uint8)[:, None, None, None] * 15 + np.zeros_like(CLIP.frames))
    shutil.copy(open_take(save_take(moving, PICTURE)).gif, gif)
    shown = tab.on_file(str(gif))
    assert shown[tab.ui.video].endswith("mine.mp4") and shown[tab.ui.gif].visible
    assert shown[tab.ui.form["seed"]] == CLIP.metadata["seed"]
    assert len(read_frames(shown[tab.ui.video])[0]) == len(CLIP.frames)
    PICTURE.save(tmp_path / "other.gif")
    with pytest.raises(gr.Error, match="holds no settings"):
        tab.on_file(str(tmp_path / "other.gif"))


def test_a_new_first_frame_takes_the_clip_before_it_off_the_stage(run, pocket, tmp_path):
    """Its seed stands in the field that it came from; an uploaded picture brings what to know of it instead."""
    with gr.Blocks() as page, gr.Tabs():
        tab = CreateTab(page, visitor_state(), pocket, CountedRun(run), {})
    *_, view = draw_first_frame(run, FORM)
    shown = show(tab.ui, view)
    assert shown[tab.ui.video] is None and shown[tab.ui.mp4].visible is shown[tab.ui.gif].visible is False
    assert shown[tab.ui.form["seed"]] == 7 and "exactly this picture" in shown[tab.ui.hint]
    *_, view = draw_first_frame(run, replace(FORM, frame_seed=9))
    assert tab.ui.form["seed"] not in show(tab.ui, view), "it came from a field of its own"
    assert "drawings only" in tab.on_upload(png(PICTURE, tmp_path))[tab.ui.hint]
    assert "exactly this picture" in tab.on_clear()[tab.ui.hint]


def test_clips_of_two_tabs_of_one_browser_stand_together(run, pocket):
    """Each tab knows only what it was told itself; the answer to either has what both made, the newest first."""
    with gr.Blocks() as page, gr.Tabs():
        tab = CreateTab(page, visitor_state(), pocket, CountedRun(run), {})
    old, left, right, other = (save_take(CLIP, PICTURE) for _ in range(4))
    assert tab.remember(left, [old], "me")[tab.ui.names] == [left, old]
    assert tab.remember(other, [], "somebody")[tab.ui.names] == [other]
    assert tab.remember(right, [old], "me")[tab.ui.names] == [right, left, old]
    assert tab.remember(other, [old], "")[tab.ui.names] == [other, old]  # a browser that has no name yet


def test_on_a_space_takes_go_after_a_week(monkeypatch):
    """Elsewhere they stay: it is somebody's own disk."""
    old, new = save_take(CLIP, PICTURE), save_take(CLIP, PICTURE)
    for suffix in (".mp4", ".gif", ".png"):
        os.utime(takes_folder() / f"{old}{suffix}", times=(time.time() - 8 * 86_400,) * 2)
    save_take(CLIP, PICTURE)
    assert open_take(old)
    monkeypatch.setenv("SPACE_ID", "somebody/page")
    save_take(CLIP, PICTURE)
    assert open_take(old) is None and open_take(new)
    assert not list(takes_folder().glob(f"{old}*"))


def test_history_keeps_order_forgets_what_is_gone_and_believes_nothing():
    names = [save_take(CLIP, PICTURE) for _ in range(3)]
    assert len(set(names)) == 3 and all(name.startswith("horse-") for name in names)
    open_take(names[1]).clip.unlink()
    assert [*open_takes([*names, "../secret", 7])] == [names[0], names[2]]
    assert open_takes("horse") == open_takes(None) == open_takes({"a": 1}) == {}


def test_a_take_that_cannot_be_saved_leaves_nothing_behind():
    with pytest.raises(ValueError, match="frames per second"):
        save_take(replace(CLIP, fps=60), PICTURE)  # too fast for the GIF
    assert [*takes_folder().iterdir()] == []


def test_a_foreign_file_is_refused_with_a_sentence(tmp_path):
    foreign = tmp_path / "foreign.mp4"
    foreign.write_bytes(b"not a clip")
    with pytest.raises(ValueError, match="holds no settings"):
        read_take(foreign)


@pytest.mark.parametrize("place", [3, -1, "0", None, 1.0, [0]])
def test_only_a_place_on_the_wall_can_be_picked(place):
    with pytest.raises(ValueError, match="no longer here"):
        picked(gr.EventData(None, {"place": place}), 3)
    assert picked(gr.EventData(None, {"place": 2}), 3) == 2


def test_what_people_typed_is_escaped_in_toasts():
    with pytest.raises(gr.Error) as caught, toasts():
        raise ValueError('unknown category "<img src=x onerror=alert(1)>"')
    assert "<" not in caught.value.message and "&lt;img" in caught.value.message
    with pytest.raises(gr.Error, match="No space left on device") as caught, toasts():
        raise OSError(28, "No space left on device", "/secret/place")
    assert "secret" not in caught.value.message
    with pytest.raises(KeyError), toasts():
        raise KeyError("a mistake of ours stays one")


def test_the_form_says_what_is_not_read(run, pocket):
    """24 words of 22 that are read; with a style it is said that this is lost as well."""
    with gr.Blocks() as page, gr.Tabs():
        tab = CreateTab(page, visitor_state(), pocket, CountedRun(run), {})
    assert tab.on_words("horse", "a red horse", "cartoon", "") == ""
    assert "first 22 words the prompt is not read:" in tab.on_words("horse", "a red horse " * 8, "any", "")
    assert "not read, nor is the style" in tab.on_words("horse", "a red horse " * 8, "cartoon", "")
    assert "does not know these words: zebra. It knows: a, " in tab.on_words("horse", "a zebra", "any", "")
    assert "reads like “Horse run”, and the action is “Firework”" in tab.on_words("firework", "a red horse", "any", "")


def test_a_request_that_makes_no_sense_is_a_toast_before_anything_is_drawn(run):
    for changes in (
        {"prompt": " "},
        {"prompt": "!!!"},
        {"prompt": "x" * 10_000},
        {"seed": -1},
        {"frame_steps": 0},
        {"steps": 201},
    ):
        with pytest.raises((gr.Error, ValueError)):
            list(make_take(run, replace(FORM, **changes)))
    with pytest.raises(ValueError, match="from 0 to"):
        next(make_take(run, replace(FORM, seed=1e23)))  # not even shown: the page could not take such a number
    assert [*takes_folder().iterdir()] == []


def test_a_port_in_use_is_one_sentence_and_exit_code_2(monkeypatch, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr("sys.argv", ["app.py", "--port", str(port)])
        assert app.main() == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and f"Port {port} on 127.0.0.1 cannot be used" in message
    monkeypatch.setattr("sys.argv", ["app.py", "--port", "70000"])
    assert app.main() == 2


def test_a_home_that_cannot_be_written_is_one_sentence_before_any_weights(monkeypatch, tmp_path, capsys):
    (tmp_path / "file").touch()
    monkeypatch.setenv("HUVIDPO_HOME", str(tmp_path / "file"))
    monkeypatch.setenv("HUVIDPO_POCKET_WEIGHTS", "nowhere")
    monkeypatch.setattr("sys.argv", ["app.py"])
    assert app.main() == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and "which cannot be used" in message


def test_a_number_of_pairs_that_is_none_is_one_sentence_before_any_weights(monkeypatch, own_home, capsys):
    monkeypatch.setenv("HUVIDPO_PAIRS_AHEAD", "many")
    monkeypatch.setattr("sys.argv", ["app.py"])
    assert app.main() == 2
    assert capsys.readouterr().err.endswith("must be a number of pairs, 0 for none, not 'many'.\n")


def test_durations_are_said_roughly():
    """89 s stay seconds; 90 s are 1.5 min, said as 2; 5400 s are 1.5 h."""
    assert [duration(seconds) for seconds in (0.2, 8.4, 89, 90, 5400)] == ["1 s", "8 s", "89 s", "2 min", "1.5 h"]


def test_clips_without_guidance_take_half_the_time(pocket):
    """On a CPU: 0.1 s for the first frame's step, and 100 steps of 0.7 s with guidance, of 0.35 s without."""
    said = {guidance: estimate(pocket, replace(FORM, steps=100, guidance=guidance)) for guidance in (None, 1, 2)}
    assert "about 35 s" in said[1] and said[None] == said[1] and "about 70 s" in said[2]


def test_a_message_is_a_toast_once():
    """It comes through two of these on its way from the model; gr.Error is a ValueError itself."""
    with pytest.raises(gr.Error) as caught, toasts(), toasts():
        raise ValueError("It's <b>wrong</b>.")
    assert caught.value.message == "It&#x27;s &lt;b&gt;wrong&lt;/b&gt;."


@pytest.mark.slow
def test_a_photograph_is_kept_at_the_size_of_the_clip(run, own_home, tmp_path):
    """At its own it takes seconds to write, beside every clip made of it."""
    photograph = PICTURE.resize((3000, 2000))
    *views, last = make_take(run, replace(FORM, picture=png(photograph, tmp_path)))
    assert Image.open(takes_folder() / f"{last.take}.png").size == (128, 128)
    assert max(view.preview.size[0] for view in views if view.preview) <= 1024


def test_uploads_are_read_as_the_command_line_reads_them(tmp_path):
    """A GIF's first frame; what is transparent is white; half of 65535 is half of 255."""
    red, blue = (Image.new("RGB", (4, 4), colour) for colour in ("red", "blue"))
    red.save(tmp_path / "two.gif", save_all=True, append_images=[blue])
    Image.new("RGBA", (4, 4), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    Image.fromarray(np.full((4, 4), 32768, np.uint16)).save(tmp_path / "deep.png")
    read = [read_upload(str(tmp_path / name)) for name in ("two.gif", "clear.png", "deep.png")]
    assert [image.mode for image in read] == ["RGB"] * 3
    assert [image.getpixel((0, 0)) for image in read] == [(255, 0, 0), (255, 255, 255), (128, 128, 128)]
    (tmp_path / "broken.png").write_bytes((tmp_path / "clear.png").read_bytes()[:40])
    with pytest.raises(ValueError, match="This picture cannot be read: use another one"):
        read_upload(str(tmp_path / "broken.png"))


def test_a_clip_that_cannot_be_made_draws_no_first_frame(run):
    with pytest.raises(ValueError, match="from 1 to 200, not 999"):
        next(make_take(run, replace(FORM, steps=999)))


def test_what_no_adapter_has_taught_is_said_beside_the_adapter(pocket, own_home, monkeypatch):
    monkeypatch.setattr(adapters, "SHIPPED", own_home / "shipped")
    with gr.Blocks() as page, gr.Tabs():
        tab = CreateTab(page, visitor_state(), pocket, CountedRun(app.gpu_runner(pocket)), {})
    chosen = tab.on_category("horse")
    assert chosen[tab.ui.motion_note].startswith("Nothing has taught pocket how horse moves")
    assert tab.motion_note("horse", "none") == {tab.ui.motion_note: ""}, "as it was asked for"
    assert "no adapter 'gone' for horse" in tab.motion_note("horse", "gone")[tab.ui.motion_note]


def test_a_fresh_page_shows_an_example_and_chooses_nothing_for_the_visitor(pocket, own_home):
    """Else a promoted adapter, and another recipe's own steps, would not be used until somebody noticed."""
    with gr.Blocks() as page, gr.Tabs():
        tab = CreateTab(page, visitor_state(), pocket, CountedRun(app.gpu_runner(pocket)), {})
        shown = tab.on_load([], {})
    form = tab.ui.form
    unset = [form[name].value for name in ("adapter", "attention", "steps", "guidance", "random_seed")]
    assert unset == ["", "", None, None, True] and form["prompt"].value and tab.ui.video.value
    assert all(built_in == offered for built_in, offered in shown[tab.ui.recalled])
