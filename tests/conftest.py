"""Who needs the fixtures: a process that runs tests, not one that only hands them out to others."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """With `-n` the first process runs no test, and importing torch for nothing takes it seconds."""
    hands_out = config.getoption("numprocesses", None) and not hasattr(config, "workerinput")
    if not hands_out:
        config.pluginmanager.import_plugin("tests.fixtures")
