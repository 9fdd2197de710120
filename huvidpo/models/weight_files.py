"""Which file of UNet weights is meant by a path. Knows nothing of what is in it, and needs no torch."""

from pathlib import Path

SUFFIXES = (".safetensors", ".bin", ".pth", ".pt", ".ckpt")
WEIGHT_FILES = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")


def weight_file(path: Path) -> Path:
    """The file itself, or the weight file in the folder. ValueError when there is none."""
    if path.is_file() and path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{path} is no weight file: these end in {', '.join(SUFFIXES)}.")
    if path.is_file():
        return path
    candidates = [path / name for name in WEIGHT_FILES] + [path / "unet" / name for name in WEIGHT_FILES]
    for file in candidates:
        if file.is_file():
            return file
    raise ValueError(
        f"{path} is neither a weight file nor a folder with (unet/){WEIGHT_FILES[0]} or {WEIGHT_FILES[1]}."
    )
