"""The commands about adapters made elsewhere or kept elsewhere: imported, pushed. Knows nothing of argparse.

As in `commands`, heavy modules are imported inside, after what can be checked without them.
"""

from argparse import Namespace

from huvidpo.categories import find_category
from huvidpo.commands import answer, chosen_preset


def import_checkpoint(arguments: Namespace) -> None:
    """`import-checkpoint`"""
    category = find_category(arguments.category)
    if not arguments.file.exists():
        raise ValueError(f"There is no file or folder {arguments.file}.")
    from huvidpo.backbones import empty_video_unet
    from huvidpo.candidates import candidate_folder, how_to_use, promote_first
    from huvidpo.published_checkpoints import import_checkpoint as import_into

    preset = chosen_preset(arguments)
    folder = candidate_folder(preset.name, category.name, arguments.name)
    card = {"backbone": preset.name, "category": category.name, "attention": arguments.attention}
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
    category = find_category(arguments.category)
    from huvidpo.adapters import find_adapter
    from huvidpo.candidates import push
    from huvidpo.shared_adapters import adapters_repo

    preset = chosen_preset(arguments)
    adapter = find_adapter(preset.name, category.name, arguments.name)
    if adapter is None:
        raise ValueError(f"Name an adapter of {category.name} to push.")
    repo = arguments.repo or adapters_repo()
    commit = push(adapter, repo)
    answer(arguments, {"repo": repo, "commit": commit, "name": adapter.name}, [f"{adapter.name} is in {repo} now."])
