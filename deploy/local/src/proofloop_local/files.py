"""Files that are whole or absent, and secret where they must be."""

import os
from pathlib import Path

SECRET = 0o600
PUBLIC = 0o644


def write_whole(file: Path, content: bytes, mode: int = PUBLIC) -> None:
    """Write beside the file and move into place, so that no reader and no crash sees half of it."""
    partial = file.with_name(file.name + ".new")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as output:
        output.write(content)
    partial.replace(file)
