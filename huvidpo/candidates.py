"""What becomes of a trained adapter: promoted, rolled back, deleted, packed. Knows folders, nothing of networks."""

import json
import re
import shutil
import uuid
import zipfile
from pathlib import Path

from huvidpo.adapters import (
    MOTION_FILE,
    PREFERENCE_FILE,
    Adapter,
    find_adapter,
    list_adapters,
    promotions_file,
    read_promotions,
)
from huvidpo.home import home
from huvidpo.shared_adapters import push_folder
from huvidpo.video import replacing

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def candidate_folder(backbone: str, category: str, name: str) -> Path:
    """Where a new adapter of that name goes. ValueError for a name that is unfit or taken."""
    if not NAME.fullmatch(name):
        raise ValueError(f"An adapter's name has small letters, digits, dots, - and _, at most 64; not {name[:80]!r}.")
    if any(adapter.name == name for adapter in list_adapters(backbone, category)):
        raise ValueError(f"There is an adapter {name!r} for {category} already; choose another name.")
    return home() / "adapters" / backbone / category / name


def new_candidate_name(backbone: str, category: str, objective: str) -> str:
    """The first of dpo-1, dpo-2 ... that is not taken."""
    taken = {adapter.name for adapter in list_adapters(backbone, category)}
    return next(name for i in range(1, len(taken) + 2) if (name := f"{objective}-{i}") not in taken)


def promote(adapter: Adapter) -> None:
    """Makes the adapter the default of its category in this deployment; the one before it can be brought back."""
    promoted = read_promotions(adapter.backbone, adapter.category)
    if not promoted and (default := find_adapter(adapter.backbone, adapter.category, "")):
        promoted = [default.name]  # what rolling back the first promotion leads to
    if promoted[-1:] != [adapter.name]:
        write_promotions(adapter.backbone, adapter.category, [*promoted, adapter.name])


def rollback(backbone: str, category: str) -> Adapter:
    """Brings back the default before the last promotion; gives it. ValueError when there is none."""
    promoted = read_promotions(backbone, category)
    known = {adapter.name: adapter for adapter in list_adapters(backbone, category)}
    earlier = [name for name in promoted[:-1] if name in known]
    if not earlier:
        raise ValueError(f"There is no earlier default of {category} to go back to.")
    write_promotions(backbone, category, earlier)
    return known[earlier[-1]]


def write_promotions(backbone: str, category: str, names: list[str]) -> None:
    """The old list or the new one, whole."""
    path = promotions_file(backbone, category)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(names) + "\n")


def delete(adapter: Adapter) -> None:
    """Removes an adapter of this deployment. ValueError for a shipped one, the default, or another's parent."""
    own = home() / "adapters" / adapter.backbone / adapter.category
    if adapter.folder.parent != own:
        raise ValueError(f"The adapter {adapter.name!r} came with this program and stays.")
    if adapter.status == "default":
        raise ValueError(f"The adapter {adapter.name!r} is the default of {adapter.category}: roll back first.")
    others = list_adapters(adapter.backbone, adapter.category)
    children = [other.name for other in others if other.card.get("parent") == adapter.name]
    if children:
        raise ValueError(f"The adapter {adapter.name!r} is needed by {children[0]!r}, which was trained from it.")
    # Gone from the list at once; what a crash leaves behind has no card in its place.
    doomed = own / f".{uuid.uuid4().hex}"
    adapter.folder.rename(doomed)
    shutil.rmtree(doomed)


def pack(adapter: Adapter, path: Path) -> Path:
    """Writes the adapter as a zip that works elsewhere: its parent's motion weights are put in. Gives `path`."""
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name, file in complete_files(adapter).items():
            archive.write(file, f"{adapter.name}/{name}")
    return path


def push(adapter: Adapter, repo: str) -> str:
    """Uploads the adapter, complete as in `pack`, to a repository of shared ones; gives the commit."""
    return push_folder(repo, f"{adapter.backbone}/{adapter.category}/{adapter.name}", complete_files(adapter))


def complete_files(adapter: Adapter) -> dict[str, Path]:
    """Name -> file of all that the adapter needs elsewhere."""
    names = ("card.json", "README.md", PREFERENCE_FILE)
    files = {name: adapter.folder / name for name in names if (adapter.folder / name).is_file()}
    motion = adapter.motion_file()
    return files | ({MOTION_FILE: motion} if motion else {})
