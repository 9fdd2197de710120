"""Where a deployment keeps its state. Knows one environment variable and nothing else."""

import os
from pathlib import Path

CHECKPOINT = "training.pt"  # in the folder of every run, of either stage, that has learned something


def home() -> Path:
    """The folder of all state (takes, ratings, runs, own adapters): HUVIDPO_HOME, by default ./.huvidpo."""
    return Path(os.environ.get("HUVIDPO_HOME") or ".huvidpo").expanduser().resolve()


def why_unusable(folder: Path) -> str:
    """Why nothing can be written into a folder that may not be there yet; "" where it can."""
    there = next((path for path in (folder, *folder.parents) if path.exists()), None)
    if there is None:
        return "there is no such drive"
    if not there.is_dir():
        return f"{there} is a file"
    return "" if os.access(there, os.W_OK | os.X_OK) else f"{there} may not be written to"


def check_home() -> None:
    """ValueError when HUVIDPO_HOME is set to what cannot be used; told before something is written there."""
    if not (said := os.environ.get("HUVIDPO_HOME")):
        return
    try:
        why = why_unusable(home())
    except (OSError, ValueError, RuntimeError) as error:  # too long a name, a zero byte, nobody's ~
        why = str(error)
    if why:
        raise ValueError(f"HUVIDPO_HOME is {said[:200]!r}, which cannot be used: {why}. Set it to another folder.")
