"""Still pictures from a file and into a file, with their settings inside. Knows nothing of clips, models or takes."""

import json
import warnings
from pathlib import Path

from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from huvidpo.atomic import replacing
from huvidpo.video import Metadata

# What people have. Pillow's other readers have no place here: the one for EPS, say, runs an interpreter.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
MAX_FILE_BYTES = 50_000_000
MAX_PIXELS = 64_000_000
SETTINGS = "Comment"  # the key of a PNG's text


def read_image(path: str | Path) -> Image.Image:
    """The picture in a file, decoded and upright, in whatever mode it has; of an animation the first frame.

    The file may come from anyone. Raises ValueError when it is missing, broken, cut off or too large.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"There is no picture at {path}.")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise ValueError(f"{path} has more than {MAX_FILE_BYTES // 10**6} MB: scale the picture down.")
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(path, formats=FORMATS) as image:
            if image.width * image.height <= MAX_PIXELS:  # known from the header, nothing is decoded yet
                return ImageOps.exif_transpose(image)
    except Image.DecompressionBombError:
        pass
    except Exception as error:  # Pillow's decoders raise nearly anything on broken data
        raise ValueError(f"{path} is not a readable picture; it may be broken or cut off.") from error
    raise ValueError(f"{path} has more than {MAX_PIXELS // 10**6} million pixels: scale the picture down.")


def write_png(image: Image.Image, path: str | Path, settings: Metadata) -> Path:
    """Writes a PNG with `settings` as JSON in its text; returns `path`.

    Raises ValueError when that is not possible; then nothing is left behind.
    """
    text = PngInfo()
    text.add_text(SETTINGS, json.dumps(dict(settings)))
    with replacing(Path(path)) as temporary:
        image.save(temporary, format="PNG", pnginfo=text)
    return Path(path)
