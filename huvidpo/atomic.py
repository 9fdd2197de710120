"""Files that are written whole or not at all."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary neighbour that takes the place of `path` when the block ends well, and is gone when it does not."""
    temporary = path.with_name(f".{uuid.uuid4().hex}{path.suffix}")
    try:
        temporary.touch()
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise ValueError(f"Could not write {path}: {error.strerror or error}.") from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_whole(path: Path, content: str | bytes) -> None:
    """Writes a file that fits in memory. ValueError when it cannot be written; an older one is still there then."""
    with replacing(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
