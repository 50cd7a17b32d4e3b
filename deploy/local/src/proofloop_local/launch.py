"""Run a program that cannot outlive the process that started it.

Usage: launch.py PARENT SIGNAL UID GID PROGRAM [ARGUMENT]...

Turns into PROGRAM under UID and GID, having asked the kernel to send SIGNAL to it when PARENT ends, however
PARENT ends. Standard library only, so that it starts in a few milliseconds under `python -I -S`.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1
ORPHANED = 125


def main() -> None:
    """Drop to the user, tie the process to its parent, become the program."""
    parent, death_signal, uid, gid = (int(argument) for argument in sys.argv[1:5])
    program = sys.argv[5:]
    if uid != os.geteuid():
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    # After the change of user, which clears the setting; execve keeps it.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, death_signal) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    # A parent that died before prctl sends no signal any more.
    if os.getppid() != parent:
        sys.exit(ORPHANED)
    os.execv(program[0], program)  # noqa: S606 - a shell is what this must not have


if __name__ == "__main__":
    main()
