"""Turn a server's last words into a problem and an advice."""

from pathlib import Path

from proofloop_local.errors import ServerError

TAIL_LINES = 8
CAUSES = (
    ("no space left on device", "The disk is full", "Free some space there and start again"),
    ("disk quota exceeded", "The disk quota is used up", "Free some space there and start again"),
    ("address already in use", "A port was taken by another program", "Start again; other ports will be chosen"),
    (
        "exec format error",
        "The installed wheel holds a program for another platform",
        "Remove .venv and install again on this machine",
    ),
    (
        "glibc_",
        "This system's C library is too old for the installed wheel",
        "Use a newer Linux distribution",
    ),
    (
        "error while loading shared libraries",
        "A system library is missing",
        "Install the library named in the log",
    ),
    (
        "permission denied",
        "A file or folder may not be used",
        "Give the data folder back to the user who starts this",
    ),
)


def explain(title: str, words: str, log: Path) -> ServerError:
    """What kept the server `title` from starting, judged by what it said (`words`) before it ended."""
    lowered = words.lower()
    for sign, problem, advice in CAUSES:
        if sign in lowered:
            return ServerError(f"{title} did not start: {problem} ({log.parent})", f"{advice}; its log is {log}")
    tail = "\n  ".join(words.strip().splitlines()[-TAIL_LINES:]) or "(it said nothing)"
    return ServerError(f"{title} did not start. Its last words:\n  {tail}\n", f"Read the rest in {log}")
