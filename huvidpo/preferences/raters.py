"""Who rated, as a salted hash: the same person gets the same one, and nobody can go back from it to a name."""

import hashlib
import hmac
import os
import re
import secrets
from pathlib import Path

SALT_FILE = "rater_salt"
BROWSER_ID = re.compile(r"[0-9a-f]{32}")


def rater_salt(home: Path) -> bytes:
    """HUVIDPO_RATER_SALT; else a secret that is drawn once and kept in `home`, so that raters stay who they are.

    On a Space whose disk is emptied at a restart, only the variable does that.
    """
    if given := os.environ.get("HUVIDPO_RATER_SALT"):
        return given.encode()
    file = home / SALT_FILE
    if not file.is_file():
        home.mkdir(parents=True, exist_ok=True)
        drawn = home / f".{secrets.token_hex(8)}"
        drawn.touch(mode=0o600)
        drawn.write_text(secrets.token_hex(32), encoding="utf-8")
        try:
            os.link(drawn, file)  # whole or not at all, and never over another
        except OSError:  # another process was faster, or a disk has no hard links
            if not file.is_file():
                drawn.replace(file)
        finally:
            drawn.unlink(missing_ok=True)
    return file.read_bytes()


def rater_hash(kind: str, name: str, salt: bytes) -> str:
    """16 hex digits for a name of that kind: a Hugging Face user, or what a signed-out browser calls itself."""
    return hmac.new(salt, f"{kind}:{name}".encode(), hashlib.sha256).hexdigest()[:16]


def browser_id(known: object) -> str:
    """What a signed-out browser calls itself: what it remembered, when that is one of ours in form; else a new one."""
    return known if isinstance(known, str) and BROWSER_ID.fullmatch(known) else secrets.token_hex(16)
