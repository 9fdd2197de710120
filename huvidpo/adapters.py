"""The folders of adapters and their cards: listing, finding, writing cards. Knows no networks, no prompts."""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from huvidpo import __version__
from huvidpo.atomic import write_whole
from huvidpo.categories import known_categories
from huvidpo.home import home
from huvidpo.hub_models import Downloaded
from huvidpo.recipes import ATTENTION_VARIANTS
from huvidpo.shared_adapters import fetch_weights, shared_root

SHIPPED = Path(__file__).parents[1] / "lora_weights"
MOTION_FILE = "motion.safetensors"
PREFERENCE_FILE = "preference_lora.safetensors"
MAX_CARD_BYTES = 1_000_000


@dataclass(frozen=True)
class Adapter:
    """A category's motion weights, with or without a preference adapter on top."""

    name: str
    category: str
    backbone: str
    folder: Path
    status: str  # "default" or "candidate"
    card: dict[str, object]

    @property
    def learned_taste(self) -> bool:
        """Whether preferences taught it; else a few clips did, and there are no votes that could choose it."""
        return self.card.get("kind") == "preference"

    def lineage(self) -> Iterator["Adapter"]:
        """The adapter, then its parents, their parents and so on, each once."""
        to_ask, asked = [self], set()
        while to_ask:
            adapter = to_ask.pop(0)
            yield adapter
            asked.add(adapter.folder)  # cards may come from anyone, and go round in circles
            to_ask += [parent for parent in adapter.parents() if parent.folder not in asked]

    def motion_file(self) -> Path | None:
        """Stage-1 weights: the adapter's own, or the nearest ancestor's; None where there are none."""
        files = (adapter.folder / MOTION_FILE for adapter in self.lineage())
        return next((file for file in files if file.is_file()), None)

    def attention(self) -> str:
        """What frames look at, one of ATTENTION_VARIANTS: as its card says, or the nearest ancestor's that does."""
        said = (adapter.card.get("attention") for adapter in self.lineage())
        return next((name for name in said if name in ATTENTION_VARIANTS), ATTENTION_VARIANTS[0])

    def download(self) -> Iterator[Downloaded]:
        """Fetches what a shared adapter needs to be put on and yields progress. ValueError with one sentence."""
        for adapter in self.lineage():
            yield from fetch_weights(adapter.folder)
            if (adapter.folder / MOTION_FILE).is_file():
                return

    def parents(self) -> list["Adapter"]:
        """The adapters of the name that this one was trained from: the one beside it first, then this machine's."""
        names = [str(self.card.get("parent") or ""), self.backbone, self.category]
        if not all(map(is_plain_name, names)):
            return []
        parent, backbone, category = names
        places = dict.fromkeys([self.folder.parent, *(root / backbone / category for root in adapter_folders())])
        found = (read_adapter(place / parent) for place in places if place / parent != self.folder)
        return [adapter for adapter in found if adapter]

    def parent(self) -> "Adapter | None":
        """The nearest of `parents`; None where it is not here, or there was none."""
        return next(iter(self.parents()), None)

    def revision(self) -> str:
        """First 16 hex digits of the sha256 of its weight files: equal exactly when they are; "" before a download."""
        files = [path for path in (self.motion_file(), self.folder / PREFERENCE_FILE) if path and path.is_file()]
        return digest_of(files) if files else ""


def digest_of(files: list[Path]) -> str:
    """First 16 hex digits of the sha256 of files one after the other; read again only once one of them changed."""
    states = [(path, path.stat()) for path in files]
    return _digest_of(tuple((path, state.st_mtime_ns, state.st_size) for path, state in states))


@lru_cache(maxsize=256)  # half a gigabyte at full size, and asked for with every take
def _digest_of(files: tuple[tuple[Path, int, int], ...]) -> str:
    digest = hashlib.sha256()
    for path, *_ in files:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def is_plain_name(name: str) -> bool:
    """Whether `name` is one step down from a folder: a card may come from anyone and must not point elsewhere."""
    return name not in ("", ".", "..") and not set(name) & set("/\\\0")


def adapter_folders() -> list[Path]:
    """Where adapters are looked for: the shipped ones, then this deployment's own, then those of HUVIDPO_ADAPTERS."""
    return [SHIPPED, home() / "adapters", *filter(None, [shared_root()])]


def list_adapters(backbone: str, category: str | None = None) -> list[Adapter]:
    """All adapters of a backbone (and category), defaults first, then by name.

    Left out are cards that cannot be read, or that say another backbone or category than the folders they lie in.
    """
    pattern = f"{backbone}/{category or '*'}/*/card.json"
    cards = [card for root in adapter_folders() for card in sorted(root.glob(pattern))]
    found = [
        with_promoted_status(adapter)
        for card in cards
        if (adapter := read_adapter(card.parent))
        and (adapter.backbone, adapter.category) == (backbone, card.parent.parent.name)
    ]
    return sorted(found, key=lambda adapter: (adapter.category, adapter.status != "default", adapter.name))


def promotions_file(backbone: str, category: str) -> Path:
    """Where this deployment writes which adapters became a category's default, the latest last."""
    return home() / "adapters" / backbone / category / "promotions.json"


def read_promotions(backbone: str, category: str) -> list[dict[str, object]]:
    """The adapters that became the default here, the latest last; none where nobody promoted one.

    Each has its `name`, and where votes decided the `verdict` on it as it was then. Older files hold names alone.
    """
    try:
        rows = json.loads(promotions_file(backbone, category).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return []
    named = [row if isinstance(row, dict) else {"name": row} for row in rows] if isinstance(rows, list) else []
    return [{**row, "name": str(row["name"])} for row in named if "name" in row]


def with_promoted_status(adapter: Adapter) -> Adapter:
    """The adapter with the status that promotions here give it; its card's own where there were none."""
    promoted = read_promotions(adapter.backbone, adapter.category)
    if not promoted:
        return adapter
    return replace(adapter, status="default" if adapter.name == promoted[-1]["name"] else "candidate")


def read_adapter(folder: Path) -> Adapter | None:
    """The adapter in a folder; None when its card is missing, too large or not a card."""
    try:
        if (folder / "card.json").stat().st_size > MAX_CARD_BYTES:
            return None
        card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
        return Adapter(
            name=folder.name,
            category=str(card["category"]),
            backbone=str(card["backbone"]),
            folder=folder,
            status=str(card.get("status", "candidate")),
            card=card,
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def find_adapter(backbone: str, category: str, name: str) -> Adapter | None:
    """The adapter called `name` or in the folder `name`; "" is the category's default, "none" is None.

    Raises ValueError when there is no such adapter, or it was made for another backbone.
    """
    if name == "none":
        return None
    adapters = list_adapters(backbone, category)
    if not name:
        return adapters[0] if adapters and adapters[0].status == "default" else None
    by_folder = read_adapter(Path(name).resolve()) if {"/", os.sep} & set(name) else None  # Windows takes both
    chosen = by_folder or next((adapter for adapter in adapters if adapter.name == name), None)
    if chosen is None:
        known = ", ".join(["none", *(adapter.name for adapter in adapters)])
        raise ValueError(f"There is no adapter {name!r} for {category}; choose one of: {known}, or give its folder.")
    if chosen.backbone != backbone:
        raise ValueError(f"The adapter {chosen.name!r} was made for the backbone {chosen.backbone}, not {backbone}.")
    return chosen


def taught_actions(backbone: str) -> list[str]:
    """The actions that have a default adapter: without one, the frames of a clip hardly belong together."""
    taught = {adapter.category for adapter in list_adapters(backbone) if adapter.status == "default"}
    return [name for name in known_categories() if name in taught]


def motion_notice(backbone: str, category: str, name: str) -> str:
    """What to know of a clip with the adapter of that name when none, or another action, moves it; else "".

    Raises ValueError where `find_adapter` does.
    """
    adapter = find_adapter(backbone, category, name)
    if name == "none" or (adapter and adapter.category == category):
        return ""
    if adapter:
        return f"The adapter {adapter.name!r} is of {adapter.category}, not of {category}: clips will move like that."
    return (
        f"Nothing has taught {backbone} how {category} moves, so the frames of a clip hardly belong together: the "
        "command train-motion learns it from 8 to 16 clips."
    )


def write_card(folder: Path, card: dict[str, object]) -> Adapter:
    """The last files of an adapter: a folder with a card is complete."""
    card = {
        "schema_version": 1,
        "status": "candidate",
        "code_version": __version__,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        **card,
    }
    write_whole(folder / "README.md", model_card(folder.name, card))
    write_whole(folder / "card.json", json.dumps(card, indent=2) + "\n")
    return read_adapter(folder)


def model_card(name: str, card: dict[str, object], said: str = "") -> str:
    """A Hub-ready README.md with everything that the card says; `said` is a paragraph on what came after it."""
    rows = "\n".join(f"| {key} | {value} |" for key, value in sorted(card.items()))
    what = "Motion weights (stage 1) of a HuViDPO video model. They go onto the backbone's video UNet:"
    if card["kind"] == "preference":
        what = (
            "A LoRA learned from people's preferences (stage 2) on top of the motion weights of "
            f"`{card['parent']}`. Which ratings taught it is fixed by `sources_sha256`:"
        )
    licence = f"license: {card['license']}\n" if "license" in card else ""
    said = f"{said}\n\n" if said else ""
    return (
        f"---\n{licence}library_name: diffusers\ntags: [image-to-video, huvidpo, {card['kind']}]\n---\n\n"
        f"# {name}: {card['category']} for the backbone {card['backbone']}\n\n"
        f"{what}\n\n"
        f"```\npython -m huvidpo video --category {card['category']} --adapter {name} "
        "--prompt ... --out clip.mp4\n```\n\n"
        f"{said}| | |\n|---|---|\n{rows}\n"
    )
