"""The first frame on the page: its file says how it was made, which outlives the server's memory. Knows no model."""

import hashlib
import json
from dataclasses import asdict

from PIL import Image

from huvidpo.images import SETTINGS
from huvidpo.requests import FirstFrameRequest, check_request


def signed(image: Image.Image, made: FirstFrameRequest, backbone: str) -> Image.Image:
    """A first frame with its settings, which Gradio writes into the PNG that it makes of it."""
    image = image.copy()
    image.info[SETTINGS] = json.dumps(asdict(made) | {"backbone": backbone, "pixels_sha256": _digest(image)})
    return image


def read_made(picture: str | None, backbone: str) -> FirstFrameRequest | None:
    """How the first frame in a file was made by a backbone; None for any other picture, and for one changed since."""
    try:
        with Image.open(picture or "", formats=["PNG"]) as image:
            settings = json.loads(image.info[SETTINGS])
            if settings.pop("backbone") != backbone or settings.pop("pixels_sha256") != _digest(image):
                return None
        made = FirstFrameRequest(**settings)
        check_request(made)
        return made
    except Exception:  # the file may come from anyone, and Pillow's decoders raise nearly anything on broken data
        return None


def _digest(image: Image.Image) -> str:
    return hashlib.sha256(image.convert("RGB").tobytes()).hexdigest()
