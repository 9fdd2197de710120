"""Several processes share out what is to be done: all of it, nothing twice, and they wait for each other."""

import json
from pathlib import Path

import pytest

from huvidpo.training.processes import copied_from_first, own_share, wait_for_all
from tests.launched import launch_two


def test_one_process_has_everything_to_do() -> None:
    assert own_share(range(3)) == [0, 1, 2] and copied_from_first("dpo-1") == "dpo-1"
    wait_for_all()


@pytest.mark.slow
def test_two_processes_share_wait_and_start_alike(tmp_path: Path) -> None:
    launch_two("tests.training.one_of_two", str(tmp_path))
    shares = [json.loads((tmp_path / f"share-{rank}.json").read_text()) for rank in (0, 1)]
    assert shares == [["a", "c", "e"], ["b", "d"]]
    seen = [json.loads((tmp_path / f"seen-{rank}.json").read_text()) for rank in (0, 1)]
    assert seen == [[2, ["share-0.json", "share-1.json"], [5.0, 5.0], "dpo-0"]] * 2
