"""The commands that list, add and remove actions: checks, calls, one answer on stdout. Knows no model."""

import dataclasses
from argparse import Namespace

from huvidpo.categories import CATEGORIES, Category, add_category, known_categories, remove_category
from huvidpo.commands.common import answer

SHOWN = "A page that runs already shows the change once it is started again."


def categories(arguments: Namespace) -> None:
    """`categories`"""
    known = known_categories().values()
    rows = [dataclasses.asdict(category) | {"added": category.name not in CATEGORIES} for category in known]
    lines = [f"{row['name']}: {row['motion_prompt']}, such as {row['example_prompts'][0]!r}" for row in rows]
    answer(arguments, {"categories": rows}, lines)


def add(arguments: Namespace) -> None:
    """`add-category`"""
    title = arguments.title or arguments.name.replace("-", " ").capitalize()
    words = arguments.motion_prompt or title.lower()
    category = Category(arguments.name, title, words, arguments.emoji, tuple(arguments.prompts))
    add_category(category)
    taught = f"Teach it with: huvidpo train-motion --category {category.name} --clips FOLDER"
    said = [f"{category.label} is an action now.", taught, SHOWN]
    answer(arguments, {"category": dataclasses.asdict(category)}, said)


def remove(arguments: Namespace) -> None:
    """`remove-category`"""
    remove_category(arguments.name)
    left = f"{arguments.name} is no action any more; its adapters, clips and ratings stay on the disk."
    answer(arguments, {"removed": arguments.name}, [left, SHOWN])
