"""What becomes of a trained adapter: promoted, rolled back, deleted, packed. Knows folders, nothing of networks."""

import json
import re
import shutil
import tempfile
import uuid
import zipfile
from pathlib import Path

from huvidpo.adapters import (
    MOTION_FILE,
    PREFERENCE_FILE,
    Adapter,
    find_adapter,
    list_adapters,
    model_card,
    promotions_file,
    read_promotions,
)
from huvidpo.atomic import replacing, write_whole
from huvidpo.home import home
from huvidpo.preferences.gate import Verdict
from huvidpo.shared_adapters import push_folder

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


def candidate_folder(backbone: str, category: str, name: str) -> Path:
    """Where a new adapter of that name goes. ValueError for a name that is unfit or taken."""
    if not NAME.fullmatch(name):
        raise ValueError(f"An adapter's name has small letters, digits, dots, - and _, at most 64; not {name[:80]!r}.")
    if any(adapter.name == name for adapter in list_adapters(backbone, category)):
        raise ValueError(f"There is an adapter {name!r} for {category} already; choose another name.")
    return home() / "adapters" / backbone / category / name


def promote(adapter: Adapter, verdict: Verdict | None = None) -> None:
    """Makes the adapter the default of its category in this deployment; the one before it can be brought back.

    `verdict` is what the votes said of it, where they were asked; it is kept beside the name.
    """
    promoted = read_promotions(adapter.backbone, adapter.category)
    if not promoted and (default := find_adapter(adapter.backbone, adapter.category, "")):
        promoted = [{"name": default.name}]  # what rolling back the first promotion leads to
    if not promoted or promoted[-1]["name"] != adapter.name:
        row = {"name": adapter.name, "revision": adapter.revision()}
        row |= {"verdict": verdict.to_row()} if verdict else {}
        write_promotions(adapter.backbone, adapter.category, [*promoted, row])


def is_own(adapter: Adapter) -> bool:
    """Whether it lies among this deployment's own adapters: neither shipped, nor shared, nor elsewhere."""
    own = home() / "adapters" / adapter.backbone / adapter.category
    return adapter.folder.parent.resolve() == own.resolve()


def promote_first(adapter: Adapter) -> bool:
    """Makes the adapter the default where its category has none that it could be compared with; whether it did."""
    if not is_own(adapter) or find_adapter(adapter.backbone, adapter.category, ""):
        return False
    promote(adapter)
    return True


def how_to_use(adapter: Adapter) -> str:
    """What is said on the command line of an adapter that has just been made."""
    there = {one.folder.resolve(): one for one in list_adapters(adapter.backbone, adapter.category)}
    listed = there.get(adapter.folder.resolve())
    if listed is None:
        return f"Clips move like it with --adapter {adapter.folder.resolve()}."
    if listed.status == "default":
        return f"It is the default of {adapter.category}: clips move like it."
    promoting = f"huvidpo promote {adapter.name} --category {adapter.category}"
    return f"Clips move like it with --adapter {adapter.name}; {promoting} makes it the default."


def promotion_words(adapter: Adapter) -> str:
    """What the votes said when the adapter became the default, in a sentence; "" where none were asked."""
    rows = read_promotions(adapter.backbone, adapter.category)
    said = [row.get("verdict") for row in rows if row.get("revision") == adapter.revision()]
    verdict = next((one for one in reversed(said) if isinstance(one, dict)), {})
    names = ("wins", "losses", "ties", "win_rate", "low", "high", "motion")
    if not all(isinstance(verdict.get(name), int | float) for name in names):
        return ""
    wins, losses, ties, rate, low, high, motion = (verdict[name] for name in names)
    if not wins + losses:
        return ""
    moved = f"its clips moved {motion:.0%} as much" if motion >= 0 else "how much its clips moved was not measured"
    won = f"it had won {wins} of {wins + losses} decided blind votes against `{adapter.card.get('parent')}`"
    interval = f"({rate:.0%}, 95 % interval {low:.0%} to {high:.0%})"
    return f"When it became the default of {adapter.category}, {won} {interval}, {ties} more were ties, and {moved}."


def rollback(backbone: str, category: str) -> Adapter:
    """Brings back the default before the last promotion; gives it. ValueError when there is none."""
    promoted = read_promotions(backbone, category)
    known = {adapter.name: adapter for adapter in list_adapters(backbone, category)}
    earlier = [row for row in promoted[:-1] if row["name"] in known]
    if not earlier:
        raise ValueError(f"There is no earlier default of {category} to go back to.")
    write_promotions(backbone, category, earlier)
    return known[earlier[-1]["name"]]


def write_promotions(backbone: str, category: str, rows: list[dict[str, object]]) -> None:
    """The old list or the new one, whole."""
    path = promotions_file(backbone, category)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(rows) + "\n")


def delete(adapter: Adapter) -> None:
    """Removes an adapter of this deployment. ValueError for a shipped one, the default, or another's parent."""
    if not is_own(adapter):
        raise ValueError(f"The adapter {adapter.name!r} came with this program and stays.")
    if adapter.status == "default":
        raise ValueError(f"The adapter {adapter.name!r} is the default of {adapter.category}: roll back first.")
    others = list_adapters(adapter.backbone, adapter.category)
    children = [other.name for other in others if other.card.get("parent") == adapter.name]
    if children:
        raise ValueError(f"The adapter {adapter.name!r} is needed by {children[0]!r}, which was trained from it.")
    # Gone from the list at once; what a crash leaves behind has no card in its place.
    doomed = adapter.folder.with_name(f".{uuid.uuid4().hex}")
    adapter.folder.rename(doomed)
    shutil.rmtree(doomed)


def pack(adapter: Adapter, path: Path) -> Path:
    """Writes the adapter as a zip that works elsewhere: its parent's motion weights are put in. Gives `path`."""
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name, file in complete_files(adapter).items():
            archive.write(file, f"{adapter.name}/{name}")
    return path


def push(adapter: Adapter, repo: str) -> str:
    """Uploads the adapter, complete as in `pack`, to a repository of shared ones; gives the commit.

    Its README also says how it became the default here, where votes made it so.
    """
    files, place = complete_files(adapter), f"{adapter.backbone}/{adapter.category}/{adapter.name}"
    with tempfile.TemporaryDirectory() as folder:
        if said := promotion_words(adapter):
            files["README.md"] = Path(folder) / "README.md"
            files["README.md"].write_text(model_card(adapter.name, adapter.card, said), encoding="utf-8")
        return push_folder(repo, place, files)


def complete_files(adapter: Adapter) -> dict[str, Path]:
    """Name -> file of all that the adapter needs elsewhere."""
    names = ("card.json", "README.md", PREFERENCE_FILE)
    files = {name: adapter.folder / name for name in names if (adapter.folder / name).is_file()}
    motion = adapter.motion_file()
    return files | ({MOTION_FILE: motion} if motion else {})
