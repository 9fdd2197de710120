"""Files under the sha256 of their bytes: written whole and durably, once. Knows no rows."""

import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from huvidpo.preferences.fields import check_sha256

MAX_FILE_BYTES = 50_000_000
FOLDERS = {".mp4": "videos", ".png": "frames"}


def keep_file(root: Path, path: Path) -> str:
    """Copies an .mp4 or .png into its folder under `root`; returns its sha256, its name there.

    Raises ValueError for another kind of file, a missing or too large one, or a full disk; then nothing is left.
    """
    suffix = path.suffix.lower()
    if suffix not in FOLDERS:
        raise ValueError(f"The store keeps .mp4 and .png files, not {path.name!r}.")
    folder = root / FOLDERS[suffix]
    temporary = folder / f".{uuid.uuid4().hex}"
    try:
        with writing():
            if path.stat().st_size > MAX_FILE_BYTES:
                raise ValueError(f"{path.name} has more than {MAX_FILE_BYTES // 10**6} MB.")
            with path.open("rb") as source, temporary.open("wb") as target:
                shutil.copyfileobj(source, target)
                target.flush()
                os.fsync(target.fileno())
            with temporary.open("rb") as copied:
                sha256 = hashlib.file_digest(copied, "sha256").hexdigest()
            temporary.replace(file_path(root, sha256, suffix))
            sync_folder(folder)
    finally:
        with suppress(OSError):
            temporary.unlink()
    return sha256


def file_path(root: Path, sha256: str, suffix: str) -> Path:
    """Where a file lies, or would lie. ValueError when `sha256` is none: it may come from anyone."""
    check_sha256("A clip or a first frame", sha256)
    return root / FOLDERS[suffix] / f"{sha256}{suffix}"


class DiskProblem(ValueError):
    """This machine could not do it, its disk or its database for one; it may later."""


@contextmanager
def writing() -> Iterator[None]:
    """What the disk says, as one sentence."""
    try:
        yield
    except OSError as error:
        message = error.strerror or str(error)
        raise DiskProblem(f"The store could not be written, so nothing was saved: {message}.") from error


def sync_folder(folder: Path) -> None:
    """Makes new names in a folder durable, where the system can do that."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
