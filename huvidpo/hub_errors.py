"""What the Hub is told and asked before it is used, and what its errors mean for a person. Knows no files of it."""

import re

from huggingface_hub import get_token
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

SILENCE = 60.0  # seconds without a byte after which a connection is given up; the Hub's client waits for ever
INVALID_TOKEN = (
    "Your Hugging Face token is not valid; it may have expired: set another HF_TOKEN or run `hf auth login`"
)
_NAME = r"[\w-][\w.-]*"


def check_token() -> None:
    """ValueError where nothing can be uploaded, for want of a token."""
    if not get_token():
        raise ValueError("There is no Hugging Face token: set HF_TOKEN or run `hf auth login`.")


def check_repo(repo: str, otherwise: str) -> None:
    """ValueError that says `otherwise` when `repo` is not owner/name."""
    if not re.fullmatch(f"{_NAME}/{_NAME}", repo):
        raise ValueError(otherwise)


def status_of(error: BaseException) -> int | None:
    """The HTTP status that the Hub answered with; None where it was no answer of it."""
    return error.response.status_code if isinstance(error, HfHubHTTPError) else None


def why_not_sent(what: str, repo: str, error: Exception) -> str:
    """Why a repository, which is a dataset, model or Space, did not take or give something, for who has a token.

    An exception's own text can hold a whole page, or a token.
    """
    status = status_of(error)
    if status == 401:
        return f"{INVALID_TOKEN}."
    if status == 403:
        return f"Your Hugging Face token may not write to {repo}: it needs write access to that {what}."
    if isinstance(error, RepositoryNotFoundError) or status == 404:
        return f"There is no {what} {repo} on the Hub, or your token may not see it."
    answer = f"answered with error {status}" if status else f"could not be reached ({type(error).__name__})"
    return f"{repo} on the Hub {answer}: try again later."
