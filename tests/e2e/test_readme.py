"""What the README tells people to type works as it stands."""

import asyncio
import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTED = re.compile(r"<!-- tested -->\n```(sh|python)\n(.*?)```", re.DOTALL)


def script(readme: str) -> str:
    """All tested blocks, in order, as one shell script; those in Python as a program that the shell runs."""
    blocks = TESTED.findall(readme)
    assert len(blocks) == readme.count("<!-- tested -->") > 3
    here = {"sh": "{}", "python": ".venv/bin/python - <<'PYTHON'\n{}PYTHON"}
    return "\n".join(["set -euo pipefail", *(here[language].format(text) for language, text in blocks)])


async def test_its_commands_run_one_after_the_other(stack, tmp_path: Path) -> None:
    (tmp_path / ".venv").symlink_to(sys.prefix)
    (tmp_path / ".proofloop").symlink_to(stack.data)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", script((ROOT / "README.md").read_text())),
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{os.environ['PATH']}:{Path(__file__).parent / 'stand_in'}"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = (text.decode() for text in await process.communicate())
    assert process.returncode == 0, output + errors
    assert "PACKET_STATE_COMPLETED" in output
    assert "verified: packet" in output
    assert "PROMPT_STATE_PENDING" in output
    assert "pallet-label.png', 'image/png'" in output
    assert "proofloop.local/acme\n" in output


def test_its_links_lead_somewhere() -> None:
    for name in ("README.md", "CONTRIBUTING.md", "docs/README.md", "docs/design.md"):
        page = ROOT / name
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{name} links {target}"
