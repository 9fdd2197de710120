"""Puts this repository on a Hugging Face Space: `python -m huvidpo.deploy owner/name [--dry-run]`, or `make deploy`.

The Hub takes binary files through its large-file store only, which a plain `git push` does not use; a folder upload
does. What goes is what git would commit; what the Space does not need to run stays here.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import HfHubHTTPError

ROOT = Path(__file__).parents[1]
SPACE = re.compile(r"[\w.-]+/[\w.-]+")
NOT_NEEDED_THERE = ("tests", "benchmarks", ".github")
NEEDED = ("README.md", "app.py", "requirements.txt", "huvidpo/backbones.py")


def files_to_send(root: Path) -> list[Path]:
    """What git tracks or would add, below `root` and relative to it. ValueError where there is no Space in it."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, capture_output=True, check=False)
    if listed.returncode:
        raise ValueError(f"{root} is not a clone of the repository: only what git knows is sent.")
    names = sorted({Path(name) for name in listed.stdout.decode().split("\0") if name})
    files = [name for name in names if name.parts[0] not in NOT_NEEDED_THERE and (root / name).is_file()]
    missing = [name for name in NEEDED if Path(name) not in files]
    if missing:
        raise ValueError(f"There is no Space in {root}: {', '.join(missing)} is missing.")
    return files


def deploy(root: Path, space: str, api: HfApi) -> str:
    """Sends the files to a Space as one commit and removes what is no longer here; gives the commit's address.

    The Space is made, private, where there is none yet. Raises ValueError when the Hub refuses.
    """
    files = files_to_send(root)
    try:
        api.create_repo(space, repo_type="space", space_sdk="gradio", private=True, exist_ok=True)
        there = set(api.list_repo_files(space, repo_type="space")) - {".gitattributes"}
        sent = [CommitOperationAdd(name.as_posix(), root / name) for name in files]
        gone = sorted(there - {name.as_posix() for name in files})
        return api.create_commit(
            space,
            [*sent, *(CommitOperationDelete(name) for name in gone)],
            commit_message="Deploy",
            repo_type="space",
        ).commit_url
    except (HfHubHTTPError, OSError) as error:
        raise ValueError(f"The Hub did not take it: {str(error).splitlines()[0]}") from error


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m huvidpo.deploy", description=__doc__.splitlines()[0])
    parser.add_argument("space", help="owner/name of the Space")
    parser.add_argument("--dry-run", action="store_true", help="list what would go, and send nothing")
    arguments = parser.parse_args(argv)
    try:
        if not SPACE.fullmatch(arguments.space):
            raise ValueError("Name the Space as owner/name: make deploy SPACE=owner/name.")
        if arguments.dry_run:
            files = files_to_send(ROOT)
            sizes = [(ROOT / name).stat().st_size for name in files]
            print("\n".join(f"{size:>10} {name.as_posix()}" for name, size in zip(files, sizes, strict=True)))
            print(f"{len(files)} files, {sum(sizes) / 1e6:.1f} MB would go to {arguments.space}; nothing was sent.")
        else:
            print(deploy(ROOT, arguments.space, HfApi()))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
