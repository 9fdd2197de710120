"""Raters have names that say nothing of them and stay the same."""

import errno

import pytest

from huvidpo.preferences.raters import SALT_FILE, browser_id, rater_hash, rater_salt


def test_raters_are_salted_hashes_that_stay_the_same(tmp_path, monkeypatch):
    monkeypatch.delenv("HUVIDPO_RATER_SALT", raising=False)
    salt = rater_salt(tmp_path / "home")
    assert salt == rater_salt(tmp_path / "home") and len(salt) == 64 and salt != rater_salt(tmp_path / "other")
    name = rater_hash("huggingface", "anna", salt)
    assert len(name) == 16 and name == rater_hash("huggingface", "anna", salt)
    assert name not in (rater_hash("browser", "anna", salt), rater_hash("huggingface", "anna", b"pepper"))
    monkeypatch.setenv("HUVIDPO_RATER_SALT", "pepper")
    assert rater_salt(tmp_path / "home") == b"pepper"


def test_a_disk_without_hard_links_keeps_its_salt_too(tmp_path, monkeypatch):
    """Such as exFAT; nothing else is left there."""

    def refused(source, target):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.delenv("HUVIDPO_RATER_SALT", raising=False)
    monkeypatch.setattr("os.link", refused)
    salt = rater_salt(tmp_path)
    assert (
        len(salt) == 64 and salt == rater_salt(tmp_path) and [file.name for file in tmp_path.iterdir()] == [SALT_FILE]
    )


@pytest.mark.parametrize("known", ["", None, 7, "x" * 32, "a" * 31, {"id": "a" * 32}])
def test_a_browser_without_a_name_of_ours_gets_a_new_one(known):
    given = browser_id(known)
    assert given != known and browser_id(given) == given
