"""What programs can call, through Gradio's own client against the real page."""

import shutil

import gradio_client
import pytest
from PIL import Image

from huvidpo.video import read_frames, read_metadata

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def client(page_url, tmp_path_factory):
    return gradio_client.Client(page_url, download_files=str(tmp_path_factory.mktemp("downloads")), verbose=False)


def test_three_endpoints_are_public_and_say_what_they_take(client):
    described = client.view_api(return_format="dict")["named_endpoints"]
    assert set(described) == {"/first_frame", "/video", "/adapters"}
    parameters = {item["parameter_name"]: item for item in described["/video"]["parameters"]}
    required = {name for name, item in parameters.items() if not item["parameter_has_default"]}
    assert {"prompt"} <= required <= {"prompt", "first_frame", "steps", "guidance"}
    assert parameters["seed"]["parameter_default"] == -1


def test_a_first_frame_and_the_clip_from_it(client, tmp_path):
    prompt = "a red horse runs on the beach"
    picture, settings = client.predict(prompt=prompt, seed=5, steps=1, guidance=3, api_name="/first_frame")
    assert Image.open(picture).size == (128, 128) and settings["seed"] == 5 and "unknown_words" not in settings
    _, strange = client.predict(prompt="a red zebra", seed=5, steps=1, guidance=3, api_name="/first_frame")
    assert strange["unknown_words"] == ["zebra"] and "zebra" in strange["warnings"][0]
    _, cut = client.predict(prompt="a red horse " * 9, seed=5, steps=1, guidance=3, api_name="/first_frame")
    assert cut["warnings"] == ["Beyond the first 22 words the prompt is not read: write fewer words."]
    clip, made = client.predict(
        prompt=prompt, category="horse", first_frame=gradio_client.handle_file(picture), seed=6, steps=1, guidance=2,
        api_name="/video",
    )  # fmt: skip
    path = shutil.copy(clip["video"] if isinstance(clip, dict) else clip, tmp_path / "clip.mp4")
    assert read_frames(path)[0].shape == (16, 128, 128, 3)
    assert read_metadata(path) == made and made["seed"] == 6 and made["first_frame_model"] == "upload"


def test_adapters_are_listed_and_no_folder_of_the_server_is_opened(client):
    listed = client.predict(category="horse", api_name="/adapters")
    assert all(set(item) == {"name", "category", "status"} for item in listed)
    with pytest.raises(gradio_client.exceptions.AppError, match="no adapter of that name"):
        client.predict(prompt="a horse", category="horse", adapter="/etc", steps=1, guidance=1, api_name="/video")
