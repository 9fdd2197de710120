"""The commands about adapters that are there: listed, imported, pushed, promoted, rolled back."""

from argparse import Namespace
from contextlib import closing
from typing import TYPE_CHECKING

from huvidpo.categories import known_categories
from huvidpo.commands.common import answer, chosen_preset
from huvidpo.home import home
from huvidpo.models.weight_files import weight_file

if TYPE_CHECKING:
    from huvidpo.adapters import Adapter
    from huvidpo.preferences.gate import Verdict


def adapters(arguments: Namespace) -> None:
    """`adapters`"""
    from huvidpo.adapters import list_adapters

    backbone = chosen_preset(arguments).name
    rows = [
        {"name": found.name, "category": found.category, "status": found.status, "revision": found.revision()}
        for found in list_adapters(backbone, arguments.category)
    ]
    lines = [f"{row['category']}/{row['name']} ({row['status']})" for row in rows] or ["There are no adapters yet."]
    answer(arguments, {"backbone": backbone, "adapters": rows}, lines)


def import_checkpoint(arguments: Namespace) -> None:
    """`import-checkpoint`"""
    if not arguments.file.exists():
        raise ValueError(f"There is no file or folder {arguments.file}.")
    weight_file(arguments.file)
    from huvidpo.backbones import empty_video_unet
    from huvidpo.candidates import candidate_folder, how_to_use, promote_first
    from huvidpo.published_checkpoints import import_checkpoint as import_into

    preset = chosen_preset(arguments)
    folder = candidate_folder(preset.name, arguments.category, arguments.name)
    card = {"backbone": preset.name, "category": arguments.category, "attention": arguments.attention}
    if arguments.source:
        card["source"] = arguments.source
    saved = import_into(arguments.file, empty_video_unet(preset.name), folder, card, arguments.lora_alpha)
    promote_first(saved)
    said = f"{saved.folder}: imported under {saved.card['license']}, for non-commercial use only."
    plays = f"It plays with the attention {saved.attention()!r}; LAMP's weights want --attention first."
    result = {"out": str(saved.folder), "name": saved.name, "card": saved.card}
    answer(arguments, result, [said, plays, how_to_use(saved)])


def push_adapter(arguments: Namespace) -> None:
    """`push-adapter`"""
    from huvidpo.adapters import find_adapter
    from huvidpo.candidates import push
    from huvidpo.shared_adapters import adapters_repo

    preset = chosen_preset(arguments)
    adapter = find_adapter(preset.name, arguments.category, arguments.name)
    if adapter is None:
        raise ValueError(f"Name an adapter of {arguments.category} to push.")
    repo = arguments.repo or adapters_repo()
    commit = push(adapter, repo)
    answer(arguments, {"repo": repo, "commit": commit, "name": adapter.name}, [f"{adapter.name} is in {repo} now."])


def promote(arguments: Namespace) -> None:
    """`promote`"""
    adapter = named_adapter(arguments)
    from huvidpo import candidates

    # Motion from a few clips has nothing that votes could compare it with.
    verdict = verdict_on(adapter, adapter.parent()) if adapter.learned_taste else None
    if verdict and not verdict.passed and not arguments.force:
        raise ValueError(f"{adapter.name} is not promoted. {verdict.reason} --force promotes it all the same.")
    candidates.promote(adapter, verdict)
    result = {"promoted": adapter.name, "category": adapter.category, "verdict": verdict and verdict.to_row()}
    answer(arguments, result, [f"{adapter.name} is now the default of {adapter.category}."])


def rollback(arguments: Namespace) -> None:
    """`rollback`"""
    from huvidpo import candidates

    backbone = chosen_preset(arguments).name
    adapter = candidates.rollback(backbone, arguments.category)
    result = {"default": adapter.name, "category": adapter.category}
    answer(arguments, result, [f"{adapter.name} is the default of {adapter.category} again."])


def named_adapter(arguments: Namespace) -> "Adapter":
    """The adapter of that name; ValueError when no category has one, or several have."""
    from huvidpo.adapters import list_adapters

    backbone = chosen_preset(arguments).name
    categories = [arguments.category] if arguments.category else list(known_categories())
    found = [a for name in categories for a in list_adapters(backbone, name) if a.name == arguments.name]
    if len(found) > 1:
        where = ", ".join(adapter.category for adapter in found)
        raise ValueError(
            f"Several categories have an adapter {arguments.name!r}: say which with --category ({where})."
        )
    if not found:
        raise ValueError(f"There is no adapter {arguments.name!r} of the backbone {backbone}.")
    return found[0]


def verdict_on(adapter: "Adapter", against: "Adapter | None") -> "Verdict":
    """What the votes in this deployment say."""
    from huvidpo.preferences.gate import judge
    from huvidpo.preferences.store import RatingStore

    with closing(RatingStore(home())) as store:
        answers, taken_back = (find(adapter.category) for find in (store.blind_answers, store.taken_back_answers))
        return judge(answers, adapter.revision(), against.revision() if against else "", taken_back)
