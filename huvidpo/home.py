"""Where a deployment keeps its state. Knows one environment variable and nothing else."""

import os
from pathlib import Path

CHECKPOINT = "training.pt"  # in the folder of every run, of either stage, that has learned something


def home() -> Path:
    """The folder of all state (takes, ratings, runs, own adapters): HUVIDPO_HOME, by default ./.huvidpo."""
    return Path(os.environ.get("HUVIDPO_HOME") or ".huvidpo").expanduser().resolve()


def check_home() -> None:
    """ValueError when HUVIDPO_HOME is set to what cannot be used; told before something is written there."""
    if not (said := os.environ.get("HUVIDPO_HOME")):
        return
    try:
        there = next((path for path in (home(), *home().parents) if path.exists()), None)
        why = (
            "there is no such drive" if there is None
            else f"{there} is a file" if not there.is_dir()
            else f"{there} may not be written to" if not os.access(there, os.W_OK | os.X_OK)
            else ""
        )  # fmt: skip
    except (OSError, ValueError, RuntimeError) as error:  # too long a name, a zero byte, nobody's ~
        why = str(error)
    if why:
        raise ValueError(f"HUVIDPO_HOME is {said[:200]!r}, which cannot be used: {why}. Set it to another folder.")
