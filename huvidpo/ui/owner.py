"""Whose page this is, and what follows: who may undo what others made, push with its token, see a study's results."""

import os

import gradio as gr


def is_owner(request: gr.Request, profile: gr.OAuthProfile | None) -> bool:
    """Whether someone owns this page: elsewhere than on a Space whoever sits at the machine.

    On a Space its author, signed in, and those named in HUVIDPO_OWNERS (user names with commas between them), which an
    organisation's Space needs.
    """
    if space := os.environ.get("SPACE_ID"):
        owners = {space.split("/")[0], *map(str.strip, os.environ.get("HUVIDPO_OWNERS", "").split(","))}
        return profile is not None and profile.username in owners - {""}
    through_a_proxy = "x-forwarded-for" in request.headers
    return not through_a_proxy and request.client is not None and request.client.host in ("127.0.0.1", "::1")


def may_change(request: gr.Request | None, profile: gr.OAuthProfile | None) -> bool:
    """Whether someone may undo what others made, or push with the owner's token: only the owner may.

    Without a request, so without a page, whoever calls owns the machine unless it is a Space.
    """
    return is_owner(request, profile) if request else not os.environ.get("SPACE_ID")
