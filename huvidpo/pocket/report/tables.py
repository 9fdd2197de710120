"""Tables of figures with their intervals, and the scenes that they are about. Knows no model."""

from collections.abc import Callable
from dataclasses import dataclass

from huvidpo.evaluation.estimates import Estimate, written
from huvidpo.pocket.practice_clips import ACTIONS, Scene, combination, held_out_combinations, sample_scene

Columns = dict[str, Estimate]  # the unit stands in the name of a column
STYLED_VARIANTS = 9  # wordings of a caption that name the style; the last three do not


@dataclass(frozen=True)
class Table:
    """Rows of figures under one title; `aim` says what is asked of them, `note` how they were counted."""

    title: str
    note: str
    rows: dict[str, Columns]
    aim: str = ""

    def to_text(self) -> str:
        """The table as people read it, one line a row."""
        names = list(dict.fromkeys(name for columns in self.rows.values() for name in columns))
        wide = max(len(row) for row in self.rows) + 2
        lines = [self.title, *(f"  {part}" for part in (self.note, self.aim and f"aim: {self.aim}") if part)]
        lines.append(" " * wide + "".join(f"{name:>27}" for name in names) + "      n")
        for row, columns in self.rows.items():
            cells = (written(columns[name]) if name in columns else "" for name in names)
            counts = [columns[name].count for name in names if name in columns]
            lines.append(f"{row:{wide}}" + "".join(f"{cell:>27}" for cell in cells) + f"{max(counts):7}")
        return "\n".join(lines)


def scenes_of(first_seed: int, count: int) -> list[Scene]:
    """`count` scenes of seeds from `first_seed` on, the actions taking turns; none of a held-out combination."""
    found: list[Scene] = []
    seed = first_seed
    while len(found) < count:
        scene = sample_scene(seed, action=ACTIONS[len(found) % len(ACTIONS)])
        if combination(scene) not in held_out_combinations():
            found.append(scene)
        seed += 1
    return found


def held_out_scenes(first_seed: int, count: int) -> list[Scene]:
    """`count` scenes of combinations that no generator has seen; the combinations take turns."""
    combinations = sorted(held_out_combinations())
    return [sample_scene(first_seed + i, *combinations[i % len(combinations)]) for i in range(count)]


def by_action(scenes: list[Scene], columns: Callable[[list[int]], Columns]) -> dict[str, Columns]:
    """A row for all scenes and one for each action; `columns` takes the numbers of a row's scenes."""
    rows = {"all": columns([*range(len(scenes))])}
    for action in ACTIONS:
        if chosen := [i for i, scene in enumerate(scenes) if scene.action == action]:
            rows[action] = columns(chosen)
    return rows
