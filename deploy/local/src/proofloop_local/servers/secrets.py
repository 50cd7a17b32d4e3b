"""Passwords of local servers, made once and kept in their data folder."""

import hashlib
import hmac
import secrets
from pathlib import Path

from proofloop_local.files import SECRET, write_whole


def kept_secret(file: Path) -> str:
    """The secret in `file` (64 hexadecimal digits, readable by us alone), made at the first call."""
    if not file.exists():
        write_whole(file, secrets.token_hex(32).encode(), SECRET)
    return file.read_text()


def derived_secret(secret: str, purpose: str) -> str:
    """A password of its own for `purpose`, the same whenever it is asked for."""
    return hmac.new(secret.encode(), purpose.encode(), hashlib.sha256).hexdigest()
