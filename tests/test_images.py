"""Pictures from anyone: read upright or refused with a sentence, and never half written."""

import io
import json
import resource
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from huvidpo import images
from huvidpo.images import read_image, write_png

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8))


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "gif", "bmp", "tiff"])
def test_common_formats_are_read_whatever_the_file_is_called(tmp_path: Path, suffix: str) -> None:
    NOISE.save(tmp_path / f"x.{suffix}")
    (tmp_path / f"x.{suffix}").rename(tmp_path / "x.data")
    assert read_image(tmp_path / "x.data").size == (60, 40)


def test_modes_are_kept_and_pictures_stand_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise to view
    NOISE.convert("RGBA").save(tmp_path / "x.png", exif=exif)
    image = read_image(tmp_path / "x.png")
    assert (image.mode, image.size) == ("RGBA", (40, 60))
    assert np.array_equal(image.convert("RGB"), np.rot90(NOISE, k=-1))


def broken_files() -> dict[str, bytes]:
    """Name -> content of files that are no picture, or a part of one."""
    file = io.BytesIO()
    NOISE.save(file, "PNG")
    png = file.getvalue()
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
    return {"empty": b"", "text": b"no picture", "cut": png[:1000], "head": png[:20], "postscript": postscript}


@pytest.mark.parametrize("name", broken_files())
def test_broken_files_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "x.png").write_bytes(broken_files()[name])
    with pytest.raises(ValueError, match=r"x\.png is not a readable picture"):
        read_image(tmp_path / "x.png")


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.png"):
        with pytest.raises(ValueError, match="There is no picture at"):
            read_image(path)


@pytest.mark.parametrize("side", [8_001, 11_000, 15_000, 60_000])
def test_a_bomb_is_refused_by_its_header(tmp_path: Path, side: int) -> None:
    """A few hundred bytes that announce up to 3.6 billion pixels; Pillow itself only warns up to 179 million."""
    file = io.BytesIO()
    Image.new("1", (1, 1)).save(file, "PNG")
    data = bytearray(file.getvalue())
    data[16:24] = side.to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    (tmp_path / "x.png").write_bytes(data)
    with warnings.catch_warnings(action="error"), pytest.raises(ValueError, match="more than 64 million pixels"):
        read_image(tmp_path / "x.png")


def test_a_huge_file_is_not_even_opened(tmp_path: Path) -> None:
    with (tmp_path / "x.png").open("wb") as file:
        file.truncate(images.MAX_FILE_BYTES + 1)
    with pytest.raises(ValueError, match="more than 50 MB"):
        read_image(tmp_path / "x.png")


def test_settings_travel_inside_the_png(tmp_path: Path) -> None:
    settings = {"prompt": "é 雨 \n \\", "seed": 7, "guidance": 4.5}
    path = write_png(NOISE, tmp_path / "x.png", settings)
    with Image.open(path) as image:
        assert np.array_equal(image, NOISE) and json.loads(image.text["Comment"]) == settings


def test_a_full_disk_leaves_the_old_picture(tmp_path: Path) -> None:
    """No file may grow past 1 kB for a moment; the noise needs seven."""
    path = write_png(Image.new("RGB", (8, 8)), tmp_path / "x.png", {"seed": 1})
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, limits[1]))
    try:
        with pytest.raises(ValueError, match=r"Could not write .*x\.png"):
            write_png(NOISE, path, {"seed": 2})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == [path] and path.read_bytes() == before
