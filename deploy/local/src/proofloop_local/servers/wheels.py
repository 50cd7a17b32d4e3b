"""Find the servers' programs inside the installed wheels."""

import os
from importlib import metadata
from pathlib import Path

from proofloop_local.errors import ServerError


def program(distribution: str, ending: str) -> Path:
    """The executable file of `distribution` whose path ends in `ending`.

    Raises ServerError when the wheel is missing, or is one for another platform and holds no such program.
    """
    try:
        files = metadata.files(distribution) or []
    except metadata.PackageNotFoundError:
        raise ServerError(
            f"The Python package {distribution} is not installed", "Install it with `make .venv/.ready`"
        ) from None
    for file in files:
        path = Path(str(file.locate())).resolve()
        if file.as_posix().endswith(ending) and os.access(path, os.X_OK):
            return path
    version = metadata.version(distribution)
    raise ServerError(
        f"{distribution} {version} holds no program for this platform",
        "The local stack needs Linux with glibc on x86-64 or arm64; remove .venv and install again there",
    )
