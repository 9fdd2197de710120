import numpy as np
import pytest
from PIL import Image

from huvidpo.adapter_weights import apply_adapter
from huvidpo.adapters import Adapter
from huvidpo.backbones import LoadedBackbone
from huvidpo.pipelines.image_to_video import ImageToVideoPipeline


@pytest.fixture
def pipeline(backbone: LoadedBackbone, moving_adapter: Adapter) -> ImageToVideoPipeline:
    """The small video model with random motion."""
    apply_adapter(backbone.video.unet, moving_adapter, backbone.still_motion)
    return backbone.video


@pytest.fixture
def pictures() -> list[Image.Image]:
    """Two pictures of 64x64 pixels that look nothing alike."""
    ramp = np.tile(np.linspace(0, 255, 64).astype(np.uint8)[:, None, None], (1, 64, 3))
    return [Image.fromarray(ramp), Image.new("RGB", (64, 64), (220, 40, 40))]
