"""Names and folders of runs: none is given twice, and what has become an adapter is not gone on with."""

import json
import os
from pathlib import Path

import pytest

from huvidpo.training.run_folders import (
    CHECKPOINT,
    last_change,
    mark_finished,
    new_run,
    run_folder,
    run_to_resume,
    unfinished_runs,
)


def plant_adapter(home: Path, name: str) -> None:
    folder = home / "adapters" / "pocket" / "horse" / name
    folder.mkdir(parents=True)
    (folder / "card.json").write_text(json.dumps({"backbone": "pocket", "category": "horse"}))


def test_a_new_run_has_the_first_number_that_is_neither_an_adapter_s_nor_a_run_s(own_home: Path) -> None:
    assert new_run("pocket", "horse", "dpo").name == "dpo-1"
    plant_adapter(own_home, "dpo-2")
    assert [new_run("pocket", "horse", "dpo").name for _ in range(2)] == ["dpo-3", "dpo-4"]
    assert new_run("pocket", "horse", "kto").name == "kto-1" == new_run("pocket", "rain", "kto").name


def test_a_run_that_is_discarded_while_it_is_listed_is_the_oldest(own_home: Path) -> None:
    assert last_change(new_run("pocket", "horse", "dpo")) > last_change(own_home / "gone") == 0


def test_names_that_lead_elsewhere_are_refused(own_home: Path) -> None:
    for name in ("..", "a/b", ""):
        with pytest.raises(ValueError, match="There is no run"):
            run_folder("pocket", "horse", name)


def test_what_is_finished_stays_so_without_its_adapter(own_home: Path) -> None:
    finished, adapted, begun = (new_run("pocket", "horse", "dpo") for _ in range(3))
    mark_finished(finished)
    plant_adapter(own_home, adapted.name)
    assert unfinished_runs("pocket") == [begun]


def test_the_newest_run_of_its_kind_is_resumed(own_home: Path) -> None:
    old, new, other = (new_run("pocket", "horse", objective) for objective in ("dpo", "dpo", "kto"))
    for folder in (old, new, other):
        (folder / CHECKPOINT).touch()
    failed = new_run("pocket", "horse", "dpo")  # newer than all, and nothing was learned in it
    for seconds, folder in enumerate((new, old, other)):
        os.utime(folder, (seconds, seconds))
    assert run_to_resume("pocket", "horse", "dpo") == old, "it was worked on last"
    assert unfinished_runs("pocket")[0] == failed
    for category, objective in (("rain", "dpo"), ("horse", "ipo")):
        with pytest.raises(ValueError, match=f"no unfinished run of {category} with the objective {objective}"):
            run_to_resume("pocket", category, objective)
