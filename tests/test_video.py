import json
import resource
import subprocess

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from huvidpo import video

AWKWARD = {
    "prompt": 'a "red" horse\'s run\n\r\ton a = ; # \\ beach {}[] é 雨 🎬 \u2028 comment=x',
    "seed": 2**53,
    "guidance": 7.5,
    "shared_noise": True,
    "=;#\\\n": "",
}


def gradient_clip(frames=16, height=48, width=64):
    """A different smooth picture per frame, (f h w 3): green runs down, blue tells the frame."""
    clip = np.zeros((frames, height, width, 3), np.uint8)
    clip[..., 1] = np.linspace(0, 255, height)[None, :, None]
    clip[..., 2] = np.linspace(0, 255, frames)[:, None, None]
    return clip


def distance(one, other):
    return np.abs(one.astype(float) - other).mean()


def header_of(path):
    """What ffmpeg says of a file: an oracle that shares no code with the writer's arguments."""
    return subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-i", path], capture_output=True, text=True).stderr


# 12 and 24 are rates at which moviepy loses the last frame.
@pytest.mark.parametrize("fps", [8, 12, 24, 30, 7.5, 23.976])
@pytest.mark.parametrize("frames", [1, 16, 17])
def test_mp4_keeps_every_frame_in_order_at_its_rate(tmp_path, fps, frames):
    clip = gradient_clip(frames)
    read, read_fps = video.read_frames(video.write_mp4(clip, tmp_path / "x.mp4", fps))
    assert read.shape == clip.shape and read.dtype == np.uint8
    assert read_fps == pytest.approx(fps, abs=0.01)
    assert all(distance(one, other) < 3 for one, other in zip(read, clip, strict=True))


def test_mp4_plays_everywhere(tmp_path):
    path = video.write_mp4(gradient_clip(), tmp_path / "x.mp4", 8, AWKWARD)
    header = header_of(path)
    assert "h264 (High)" in header and "yuv420p(tv, bt709" in header and "8 fps" in header and "00:00:02.00" in header
    data = path.read_bytes()
    assert 0 < data.index(b"moov") < data.index(b"mdat"), "a page can only start playing with the index in front"


def test_mp4_has_a_keyframe_every_eight_frames(tmp_path):
    path = video.write_mp4(gradient_clip(17), tmp_path / "x.mp4", 8)
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-skip_frame", "nokey", "-i", path, "-fps_mode", "passthrough"]
    shown = subprocess.run([*command, "-f", "framemd5", "-"], capture_output=True, text=True, check=True).stdout
    assert len([line for line in shown.splitlines() if not line.startswith("#")]) == 3  # frames 0, 8, 16


@pytest.mark.parametrize(
    "colour", [(255, 0, 0), (0, 255, 0), (20, 40, 220), (240, 160, 30), (255, 255, 255), (0, 0, 0)]
)
def test_mp4_keeps_colours(tmp_path, colour):
    clip = np.full((2, 32, 32, 3), colour, np.uint8)
    read, _ = video.read_frames(video.write_mp4(clip, tmp_path / "x.mp4", 8))
    assert np.abs(read.astype(int) - clip).max() <= 4


@pytest.mark.parametrize("size", [(47, 63), (47, 64), (48, 63), (1, 1)])
def test_odd_sizes_grow_by_the_repeated_edge(tmp_path, size):
    height, width = size
    clip = gradient_clip(3, height, width)
    path = video.write_mp4(clip, tmp_path / "x.mp4", 8)
    read, _ = video.read_frames(path)
    assert read.shape == (3, height + height % 2, width + width % 2, 3)
    assert "yuv420p" in header_of(path)
    assert distance(read[:, :height, :width], clip) < 6
    assert distance(read[:, -1], read[:, height - 1]) < 6 and distance(read[:, :, -1], read[:, :, width - 1]) < 6


@pytest.mark.parametrize("write, name", [(video.write_mp4, "x.mp4"), (video.write_gif, "x.gif")])
def test_metadata_comes_back_exactly(tmp_path, write, name):
    path = write(gradient_clip(2), tmp_path / name, 8, AWKWARD)
    read = video.read_metadata(path)
    assert read == AWKWARD and [type(value) for value in read.values()] == [type(value) for value in AWKWARD.values()]
    assert video.read_metadata(write(gradient_clip(2), tmp_path / name, 8)) == {}
    long = {"prompt": "🎬" * 2000}
    assert video.read_metadata(write(gradient_clip(2), path, 8, long)) == long


@pytest.mark.parametrize("metadata", [{"x": None}, {"x": [1]}, {"x": float("nan")}, {3: "x"}, {"x": "a" * 40_000}])
def test_unfit_metadata_is_refused(tmp_path, metadata):
    with pytest.raises(ValueError, match="Metadata"):
        video.write_mp4(gradient_clip(2), tmp_path / "x.mp4", 8, metadata)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "comment",
    [
        "hello",
        "[1]",
        '{"a": {"b": 1}}',
        '{"a": NaN}',
        '{"a": 1e999}',
        "[" * 20_000,
        '{"a": %s}' % ("9" * 9000),
        "x" * 80_000,
    ],
)
def test_a_strangers_comment_is_never_trusted(tmp_path, comment):
    path = tmp_path / "x.gif"
    Image.new("RGB", (4, 4)).save(path, comment=comment.encode())
    assert video.read_metadata(path) == {}


def test_gif_delays_add_up_to_the_true_rate(tmp_path):
    """8 fps is 12.5 hundredths a frame: 12 and 13 in turn, 2 s for 16 frames; a plain int(125 ms) gives 1.92 s."""
    path = video.write_gif(gradient_clip(), tmp_path / "x.gif", 8)
    with Image.open(path) as image:
        assert image.info["loop"] == 0 and image.n_frames == 16
        delays = []
        for i in range(16):
            image.seek(i)
            delays.append(image.info["duration"])
    assert sum(delays) == 2000 and set(delays) == {120, 130}
    read, fps = video.read_frames(path)
    assert fps == 8 and distance(read, gradient_clip()) < 6
    with pytest.raises(ValueError, match="50 frames per second"):
        video.write_gif(gradient_clip(), path, 60)


def test_a_still_area_does_not_flicker_in_a_gif(tmp_path):
    clip = gradient_clip()
    clip[..., 2] = 0
    clip[:, 40:, :, 0] = np.linspace(0, 255, 16)[:, None, None]
    read, _ = video.read_frames(video.write_gif(clip, tmp_path / "x.gif", 8))
    assert (read[:, :40] == read[:1, :40]).all() and (read[1:, 40:] != read[:-1, 40:]).any()


@pytest.mark.parametrize(
    "shown",
    [[0, 0, 1, 1, 2, 2], [0] * 16, [*range(8), *[8] * 15, 9], [0, 0, 1, 1, 1, 2, 2]],
    ids=["pairs", "a still", "one long hold", "pairs and three"],
)
def test_equal_neighbours_come_back_from_a_gif(tmp_path, shown):
    """Its writer makes one frame of them, which is all that a still has; 16 frames of 8 fps play 2 s."""
    clip = gradient_clip()[shown]
    path = video.write_gif(clip, tmp_path / "x.gif", 8, {"seed": 1})
    read, fps = video.read_frames(path)
    assert len(read) == len(clip) and distance(read, clip) < 6 and fps == pytest.approx(8, rel=0.02)
    assert video.read_metadata(path) == {"seed": 1}


@pytest.mark.parametrize("said", ["0", "-3", "1e300", '"8"', "true"])
def test_a_rate_in_a_strangers_comment_breaks_nothing(tmp_path, said):
    colours = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green")]
    comment = b'{"gif_fps": %s}' % said.encode()
    colours[0].save(tmp_path / "a.gif", save_all=True, append_images=colours[1:], duration=[100, 200], comment=comment)
    assert len(video.read_frames(tmp_path / "a.gif")[0]) == 3


def test_gif_frames_held_longer_are_repeated_and_missing_delays_mean_8_fps(tmp_path):
    colours = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]
    colours[0].save(tmp_path / "a.gif", save_all=True, append_images=colours[1:], duration=[100, 300, 100])
    read, fps = video.read_frames(tmp_path / "a.gif")
    assert fps == 10 and [int(frame[0, 0].argmax()) for frame in read] == [0, 1, 1, 1, 2]
    colours[0].save(tmp_path / "b.gif", save_all=True, append_images=colours[1:])
    read, fps = video.read_frames(tmp_path / "b.gif")
    assert fps == 8 and len(read) == 3


def test_webp_and_webm_are_read(tmp_path):
    clip = gradient_clip()
    images = [Image.fromarray(frame) for frame in clip]
    images[0].save(tmp_path / "x.webp", save_all=True, append_images=images[1:], duration=100, lossless=True)
    read, fps = video.read_frames(tmp_path / "x.webp")
    assert fps == 10 and (read == clip).all()
    mp4 = video.write_mp4(clip, tmp_path / "x.mp4", 8, AWKWARD)
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", mp4, "-c:v", "libvpx", tmp_path / "x.webm"]
    subprocess.run(command, capture_output=True, check=True)
    read, fps = video.read_frames(tmp_path / "x.webm")
    assert fps == 8 and read.shape == clip.shape and distance(read, clip) < 16
    assert video.read_metadata(tmp_path / "x.webm") == AWKWARD


def test_a_folder_is_read_in_natural_order(tmp_path):
    for i in range(12):
        Image.new("RGB", (8, 6), (i, 0, 0)).save(tmp_path / f"frame{i}.png")
    (tmp_path / "caption.txt").write_text("not a frame")
    read, fps = video.read_frames(tmp_path)
    assert fps == 8 and read.shape == (12, 6, 8, 3) and read[:, 0, 0, 0].tolist() == list(range(12))
    Image.new("RGB", (9, 6)).save(tmp_path / "frame12.png")
    with pytest.raises(ValueError, match=r"frame12\.png is \(9, 6\) pixels"):
        video.read_frames(tmp_path)
    (tmp_path / "frame3.png").write_bytes(b"broken")
    with pytest.raises(ValueError, match=r"frame3\.png is not a readable picture"):
        video.read_frames(tmp_path)


@pytest.mark.parametrize("name", ["x.mp4", "x.gif", "folder"])
def test_max_frames_reads_no_more(tmp_path, name):
    path = tmp_path / name
    if name == "folder":
        path.mkdir()
        for i in range(3):
            Image.new("RGB", (8, 8)).save(path / f"{i}.png")
        (path / "3.png").write_bytes(b"broken, but never reached")
    else:
        (video.write_mp4 if name == "x.mp4" else video.write_gif)(gradient_clip(), path, 8)
    assert len(video.read_frames(path, max_frames=3)[0]) == 3
    with pytest.raises(ValueError, match="max_frames"):
        video.read_frames(path, max_frames=0)


@pytest.mark.parametrize("name", ["x.mp4", "x.webm", "x.gif", "x.webp"])
@pytest.mark.parametrize("content", [b"", b"not a clip at all" * 99, b"\x00" * 5000])
def test_a_broken_clip_is_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name} is not a readable clip"):
        video.read_frames(tmp_path / name)
    assert video.read_metadata(tmp_path / name) == {}


def test_a_cut_clip_is_named(tmp_path):
    path = video.write_gif(np.random.default_rng(0).integers(0, 255, (4, 64, 64, 3), np.uint8), tmp_path / "x.gif", 8)
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(ValueError, match=r"x\.gif is not a readable clip"):
        video.read_frames(path)


def test_a_playlist_named_mp4_reads_no_other_file(tmp_path):
    """ffmpeg left to guess the format would follow the playlist: this is how uploads read files of a server."""
    secret = video.write_mp4(gradient_clip(), tmp_path / "secret.mp4", 8)
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{secret}\n#EXT-X-ENDLIST\n"
    (tmp_path / "x.mp4").write_text(playlist)
    (tmp_path / "y.mp4").write_text(f"ffconcat version 1.0\nfile {secret.name}\n")
    for name in ("x.mp4", "y.mp4"):
        with pytest.raises(ValueError, match="not a readable clip"):
            video.read_frames(tmp_path / name)


def test_missing_unknown_empty_and_too_large_are_sentences(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"none\.mp4 does not exist"):
        video.read_frames(tmp_path / "none.mp4")
    with pytest.raises(ValueError, match="is not a file"):
        video.read_metadata(tmp_path / "none.mp4")
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(ValueError, match=r"give one of \.mp4"):
        video.read_frames(tmp_path / "x.txt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no png or jpg frames"):
        video.read_frames(tmp_path / "empty")
    Image.new("L", (5000, 2)).save(tmp_path / "wide.gif")
    with pytest.raises(ValueError, match="at most 4096"):
        video.read_frames(tmp_path / "wide.gif")
    clip = video.write_mp4(gradient_clip(), tmp_path / "x.mp4", 8)
    monkeypatch.setattr(video, "MAX_FRAMES", 15)
    with pytest.raises(ValueError, match="too long"):
        video.read_frames(clip)
    assert len(video.read_frames(clip, max_frames=15)[0]) == 15


@pytest.mark.parametrize("write, name", [(video.write_mp4, "x.mp4"), (video.write_gif, "x.gif")])
def test_bad_input_to_a_writer_leaves_nothing(tmp_path, write, name):
    good = gradient_clip(2)
    for frames in (good[0], good[:0], good.astype(np.float32), good[..., :2]):
        with pytest.raises(ValueError, match=r"uint8 of shape \(f h w 3\)"):
            write(frames, tmp_path / name, 8)
    for fps in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="frames per second"):
            write(good, tmp_path / name, fps)
    with pytest.raises(ValueError, match=r"Could not write .*No such file or directory"):
        write(good, tmp_path / "none" / name, 8)
    (tmp_path / name).mkdir()
    with pytest.raises(ValueError, match=rf"Could not write .*{name}"):
        write(good, tmp_path / name, 8)
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("write, name", [(video.write_mp4, "x.mp4"), (video.write_gif, "x.gif")])
def test_a_failed_write_keeps_the_old_file_and_leaves_no_other(tmp_path, write, name):
    """No file may grow past 4 kB for a moment, as on a full disk; the noise needs far more."""
    path = write(gradient_clip(2), tmp_path / name, 8, {"seed": 1})
    noise = np.random.default_rng(0).integers(0, 255, (16, 64, 64, 3), np.uint8)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(ValueError, match="Could not write"):
            write(noise, path, 8, {"seed": 2})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == [path] and video.read_metadata(path) == {"seed": 1}


def test_the_comment_is_one_plain_line(tmp_path):
    """Other programs read it too: pure ASCII JSON."""
    path = video.write_mp4(gradient_clip(2), tmp_path / "x.mp4", 8, AWKWARD)
    assert json.dumps(AWKWARD).encode() in path.read_bytes()
