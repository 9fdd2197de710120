"""Whose page it is: who may delete, push, and see what a study's people said."""

import gradio as gr
import pytest
from starlette.requests import Request

from huvidpo.preferences.store import RatingStore
from huvidpo.ui.evaluate import EvaluateTab
from huvidpo.ui.owner import is_owner, may_change
from tests.ui.sign_in import signed_in


def asked_from(host: str, **headers: str) -> gr.Request:
    """A request of somebody at that address."""
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return gr.Request(Request({"type": "http", "headers": named, "client": (host, 50000)}))


@pytest.mark.parametrize(
    "host, headers, owns",
    [
        ("127.0.0.1", {}, True),
        ("::1", {}, True),
        ("192.0.2.5", {}, False),
        ("127.0.0.1", {"x_forwarded_for": "192.0.2.5"}, False),  # a proxy on this machine: anyone may be behind it
    ],
)
def test_off_a_space_who_sits_at_the_machine_owns_the_page(host: str, headers: dict, owns: bool, monkeypatch) -> None:
    monkeypatch.delenv("SPACE_ID", raising=False)
    request = asked_from(host, **headers)
    assert is_owner(request, None) is may_change(request, None) is owns
    assert is_owner(request, signed_in("someone")) is owns, "whoever signs in"


@pytest.mark.parametrize(
    "person, owns", [("someone", True), ("anna", True), ("ben", True), ("eve", False), ("", False), (None, False)]
)
def test_on_a_space_its_author_and_those_named_own_it(person: str | None, owns: bool, monkeypatch) -> None:
    monkeypatch.setenv("SPACE_ID", "someone/space")
    monkeypatch.setenv("HUVIDPO_OWNERS", "anna, ben,")
    profile = None if person is None else signed_in(person)
    request = asked_from("127.0.0.1")
    assert is_owner(request, profile) is may_change(request, profile) is owns
    assert may_change(None, profile) is False


def test_only_the_owner_sees_what_a_study_s_people_said(pocket, own_home) -> None:
    with gr.Blocks(), gr.Tabs():
        tab = EvaluateTab(pocket, RatingStore(own_home))
    for ask in (tab.on_study, tab.on_csv):
        with pytest.raises(gr.Error, match="Only the owner of this page"):
            ask("round-1", asked_from("192.0.2.5"), None)
        with pytest.raises(gr.Error, match="round-1"):  # for the owner it is looked for
            ask("round-1", asked_from("127.0.0.1"), None)
