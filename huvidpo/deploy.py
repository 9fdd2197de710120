"""Puts this repository on a Hugging Face Space: `python -m huvidpo.deploy owner/name [--dry-run]`, or `make deploy`.

The Hub takes binary files through its large-file store only, which a plain `git push` does not use; a folder upload
does. What goes is what git tracks, as it lies on the disk; what the Space does not need to run stays here. Of an
unpacked archive, which git does not know, the repository's own files and folders go and nothing that lies beside them.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
from huggingface_hub.errors import HTTPError, RepositoryNotFoundError

from huvidpo.hub_errors import check_repo, check_token, why_not_sent

ROOT = Path(__file__).parents[1]
# The last one stays as the Hub makes it: it says there which files lie in the large-file store.
NOT_NEEDED_THERE = ("tests", "benchmarks", ".github", ".ci", ".gitattributes")
NEEDED = ("README.md", "app.py", "requirements.txt", "huvidpo/backbones.py")
OWN = ("app.py", "huvidpo", "docs", "examples", "lora_weights", "README.md", "LICENSE", "Makefile", "pyproject.toml")
OWN += ("requirements.txt", "constraints.txt", ".gitignore")  # the top level, of what is needed
OURS = {"app.py", "huvidpo/backbones.py"}  # a Space that has them is one of ours
OF_A_NEW_SPACE = {"README.md", ".gitattributes"}  # what the Hub's page puts into a Space that it makes
POINTER = b"version https://git-lfs"  # how the files begin that git-lfs leaves in the place of others
NAMED = 3  # files that a warning names


def files_to_send(root: Path) -> list[Path]:
    """What goes, below `root` and relative to it. ValueError where there is no Space in it."""
    names = git_lists(root, "--cached") if (root / ".git").exists() else files_of_an_archive(root)
    files = [name for name in sorted(set(names)) if name.parts[0] not in NOT_NEEDED_THERE and (root / name).is_file()]
    missing = [name for name in NEEDED if Path(name) not in files]
    if missing:
        raise ValueError(f"There is no Space in {root}: {', '.join(missing)} is missing.")
    if pointers := [name for name in files if is_pointer(root / name)]:
        raise ValueError(f"{pointers[0]} is not here, only its place in the large-file store: run `git lfs pull`.")
    return files


def is_pointer(file: Path) -> bool:
    """Whether a file stands for one that git-lfs has not fetched."""
    with file.open("rb") as opened:
        return opened.read(len(POINTER)) == POINTER


def files_left_out(root: Path) -> list[Path]:
    """What git neither tracks nor ignores, so that somebody may miss it there."""
    if not (root / ".git").exists():
        return []
    return [
        name for name in git_lists(root, "--others", "--exclude-standard") if name.parts[0] not in NOT_NEEDED_THERE
    ]


def git_lists(root: Path, *options: str) -> list[Path]:
    """Files by `git ls-files`, relative to `root`. ValueError where git cannot say."""
    try:
        listed = subprocess.run(["git", "ls-files", "-z", *options], cwd=root, capture_output=True, check=False)
    except OSError as error:
        raise ValueError("git is not installed, and only it knows which files of this clone may go.") from error
    if listed.returncode:
        reason = " ".join(listed.stderr.decode(errors="replace").split())
        raise ValueError(f"git cannot list the files of {root}: {reason}")
    return sorted(Path(name) for name in listed.stdout.decode().split("\0") if name)


def files_of_an_archive(root: Path) -> list[Path]:
    """The repository's own files where no git tells them: no caches, nothing hidden further down."""
    found = (path.relative_to(root) for name in OWN for path in [root / name, *(root / name).rglob("*")])
    return [name for name in found if not any(part[0] == "." or part == "__pycache__" for part in name.parts[1:])]


def files_there(space: str, api: HfApi) -> set[str] | None:
    """The files of a Space but the one that the Hub keeps itself; None where there is no such Space."""
    try:
        return set(api.list_repo_files(space, repo_type="space")) - {".gitattributes"}
    except RepositoryNotFoundError:
        return None


def holds_another_program(there: set[str]) -> bool:
    """Whether a Space of these files is neither one of ours nor a new one."""
    return not there >= OURS and not there <= OF_A_NEW_SPACE


def deploy(root: Path, space: str, api: HfApi, replace: bool = False) -> str:
    """Sends the files to a Space as one commit and removes what is no longer here; gives the commit's address.

    The Space is made, private, where there is none yet. Raises ValueError when the Hub refuses, and unless `replace`
    when the Space holds another program.
    """
    files = files_to_send(root)
    try:
        there = files_there(space, api)
        if there is None:
            api.create_repo(space, repo_type="space", space_sdk="gradio", private=True, exist_ok=True)
        elif holds_another_program(there) and not replace:
            raise ValueError(
                f"{space} holds another program, whose {len(there)} files would be removed or replaced: "
                "name another Space, or add --replace (make deploy: REPLACE=1)."
            )
        sent = [CommitOperationAdd(name.as_posix(), root / name) for name in files]
        gone = [CommitOperationDelete(name) for name in to_remove(files, there or set())]
        return api.create_commit(space, [*sent, *gone], commit_message="Deploy", repo_type="space").commit_url
    except (HTTPError, OSError, RuntimeError) as error:  # the last one of the large-file store
        raise ValueError(why_not_sent("Space", space, error)) from error


def to_remove(files: list[Path], there: set[str]) -> list[str]:
    """What is in the Space and not among the files that go."""
    return sorted(there - {name.as_posix() for name in files})


def dry_run(root: Path, space: str, api: HfApi) -> list[str]:
    """What a deployment would send and remove, a line each."""
    files = files_to_send(root)
    sizes = [(root / name).stat().st_size for name in files]
    lines = [f"{size:>10} {name.as_posix()}" for name, size in zip(files, sizes, strict=True)]
    try:
        there = files_there(space, api)
        gone = to_remove(files, there or set())
        lines += [f"{'removed':>10} {name}" for name in gone]
        state = f"{len(gone)} would be removed there" if there is not None else "it would be made, private"
        if there is not None and holds_another_program(there):
            state += "; it holds another program, so this takes --replace"
    except (HTTPError, OSError) as error:
        state = f"what it holds is not known ({type(error).__name__})"
    return [*lines, f"{len(files)} files, {sum(sizes) / 1e6:.1f} MB would go to {space}; {state}; nothing was sent."]


def warning(left_out: list[Path]) -> str:
    """Which files stay here because git does not track them."""
    named = ", ".join(name.as_posix() for name in left_out[:NAMED]) + (" ..." if len(left_out) > NAMED else "")
    count = f"{len(left_out)} file{'s' if len(left_out) > 1 else ''}"
    return f"Warning: git does not track {count}, so not sent (`git add` changes that): {named}"


def main(argv: list[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(prog="python -m huvidpo.deploy", description=__doc__.splitlines()[0])
    parser.add_argument("space", help="owner/name of the Space")
    parser.add_argument("--dry-run", action="store_true", help="list what would go and be removed, and change nothing")
    parser.add_argument("--replace", action="store_true", help="also where the Space holds another program")
    arguments = parser.parse_args(argv)
    try:
        check_repo(arguments.space, "Name the Space as owner/name: make deploy SPACE=owner/name.")
        if left_out := files_left_out(root):
            print(warning(left_out), file=sys.stderr)
        if arguments.dry_run:
            print("\n".join(dry_run(root, arguments.space, HfApi())))
        else:
            check_token()
            print(deploy(root, arguments.space, HfApi(), arguments.replace))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
