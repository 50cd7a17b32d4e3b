"""Files that are there whole or not at all."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import typer

from proofloop_audit.cli.words import Exit, fail


def write_whole(file: Path, pieces: Iterable[bytes], check: Callable[[Path], None] | None = None) -> int:
    """Write a file under its name with `.partial` behind it, and name it when it is whole and checked.

    What breaks off, or does not pass, keeps that name, and a file that was there before stays. Returns the number of
    bytes.
    """
    partial = file.with_name(f"{file.name}.partial")
    size = 0
    try:
        with partial.open("wb") as opened:
            for piece in pieces:
                size += opened.write(piece)
            opened.flush()
            os.fsync(opened.fileno())
        if check is not None:
            check(partial)
        partial.replace(file)
    except typer.Exit:
        if size:
            typer.echo(f"  {partial} is kept as it is, and is not whole or not right.", err=True)
        else:
            partial.unlink(missing_ok=True)
        raise
    except OSError as error:
        fail(Exit.WRONG, f"{file} cannot be written: {error.strerror}")
    return size
