"""`proofloop demo` as a newcomer runs it, and what a stranger finds out about the packet it leaves."""

import hashlib
import re
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import bagit
import pytest
import pytest_asyncio
from demos import PlayedDemo, play
from proofloop_verifier.cli import application
from typer.testing import CliRunner

pytestmark = pytest.mark.xdist_group("stack")

LAST_LINE = re.compile(r"demo: packet ([0-9a-f-]{36}) verified, (\d+) audit entries proven, trace ([0-9a-f]{32})")
LEFT = ("packet.zip", "summary.pdf", "audit.jsonl", "checkpoint.txt", "trace.txt")
VERIFIED, FAILED, WRONG_USAGE, UNKNOWN_KEY = range(4)


@dataclass(frozen=True, slots=True)
class Demo(PlayedDemo):
    """What a run leaves, by name."""

    @classmethod
    async def play(cls, data: Path, output: Path) -> "Demo":
        played = await play(data, output)
        return cls(played.lines, played.folder)

    @property
    def last_line(self) -> tuple[str, str, str]:
        """Packet id, number of entries, trace id."""
        return last_line(self)

    @property
    def packet(self) -> Path:
        return self.folder / "packet.zip"

    @property
    def key(self) -> Path:
        return self.folder / "log.vkey"


def last_line(demo: PlayedDemo) -> tuple[str, str, str]:
    """Packet id, number of entries, trace id."""
    found = LAST_LINE.fullmatch(demo.lines[-1])
    assert found, demo.lines[-1]
    return found[1], found[2], found[3]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The demo in a folder in which nothing ever ran."""
    folder = tmp_path_factory.mktemp("demo")
    return await Demo.play(folder / "data", folder / "out")


@pytest.fixture
def verify() -> Callable[..., tuple[int, str]]:
    """Runs `proofloop verify`; gives its exit code and what it prints."""

    def verify(*arguments: str | Path) -> tuple[int, str]:
        words = ["verify", *map(str, arguments)]
        ended = CliRunner(env={"COLUMNS": "200"}).invoke(application(words), words)
        return ended.exit_code, ended.output

    return verify


def members(packet: Path) -> Iterator[tuple[zipfile.ZipInfo, bytes]]:
    with zipfile.ZipFile(packet) as archive:
        for member in archive.infolist():
            yield member, archive.read(member)


def rewritten(packet: Path, target: Path, change: Callable[[str, bytes], bytes]) -> Path:
    """The packet with the bytes of its files changed."""
    with zipfile.ZipFile(target, "w") as archive:
        for member, content in members(packet):
            archive.writestr(member, change(member.filename.partition("/")[2], content))
    return target


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def test_it_says_each_step_and_leaves_what_it_promises(demo: Demo) -> None:
    packet_id, entries, trace_id = demo.last_line
    steps = {line.split()[2] for line in demo.lines if re.match(r" *\d+\.\d\d s ", line)}
    assert {"claim", "evidence", "prompt", "answer", "export", "packet", "download", "verify"} <= steps
    assert all((demo.folder / name).stat().st_size for name in LEFT)
    audit = (demo.folder / "audit.jsonl").read_text()
    assert len(audit.splitlines()) >= int(entries)
    assert [audit.count(f"prompt.{step}") for step in ("created", "delivered", "answered")] == [1, 1, 1]
    assert (demo.folder / "summary.pdf").read_bytes().startswith(b"%PDF-")
    trace = (demo.folder / "trace.txt").read_text()
    assert trace.startswith(f"Trace {trace_id}\n")
    assert re.search(r"Spans by service: .*", trace)[0].count(",") == 4  # the demo and four services
    assert {member.filename.partition("/")[0] for member, _ in members(demo.packet)} == {packet_id}


# On the session's loop, on which the span receiver of the shared stack lives.
@pytest.mark.asyncio(loop_scope="session")
async def test_it_plays_on_a_stack_that_runs_already_and_leaves_it_running(stack, played_demo, tmp_path: Path) -> None:
    assert not any(line.startswith("starting") for line in played_demo.lines)
    again = await play(stack.data, tmp_path)
    assert last_line(again)[0] != last_line(played_demo)[0]


def test_an_independent_checker_accepts_the_packet_as_a_bag(demo: Demo, tmp_path: Path) -> None:
    with zipfile.ZipFile(demo.packet) as archive:
        archive.extractall(tmp_path)
    assert bagit.Bag(str(tmp_path / demo.last_line[0])).validate()


def test_the_verdict_depends_on_the_key_that_is_trusted(demo: Demo, verify, tmp_path: Path) -> None:
    assert verify(demo.packet, "--trust", demo.key)[0] == VERIFIED
    assert verify(demo.packet)[0] == UNKNOWN_KEY
    assert verify(tmp_path / "nothing.zip")[0] == WRONG_USAGE
    (tmp_path / "text.zip").write_text("no packet")
    assert verify(tmp_path / "text.zip", "--trust", demo.key)[0] == FAILED


def test_one_flipped_byte_in_any_file_is_found_and_the_file_named(demo: Demo, verify, tmp_path: Path) -> None:
    names = [member.filename.partition("/")[2] for member, _ in members(demo.packet)]
    assert len(names) > 15
    for name in names:

        def flip(file: str, content: bytes, name: str = name) -> bytes:
            return flipped(content) if file == name else content

        changed = rewritten(demo.packet, tmp_path / "changed.zip", flip)
        code, said = verify(changed, "--trust", demo.key)
        assert code == FAILED, name
        assert name in said, f"{name} is not named:\n{said}"


def without_entry(packet: Path, target: Path, number: int) -> Path:
    """The packet without one audit entry, its bag mended so that every checksum holds again."""
    files = {member.filename.partition("/")[2]: content for member, content in members(packet)}
    new = dict(files)
    lines = files["data/audit/entries.jsonl"].splitlines(keepends=True)
    new["data/audit/entries.jsonl"] = b"".join(lines[:number] + lines[number + 1 :])

    def mend(tag: str, *changed: str) -> None:
        for name in changed:
            old_sum, new_sum = (hashlib.sha256(each[name]).hexdigest().encode() for each in (files, new))
            new[tag] = new[tag].replace(old_sum, new_sum)

    oxum = re.compile(rb"(Payload-Oxum: )(\d+)")
    shorter = len(lines[number])
    new["bag-info.txt"] = oxum.sub(lambda found: found[1] + b"%d" % (int(found[2]) - shorter), files["bag-info.txt"])
    mend("manifest-sha256.txt", "data/audit/entries.jsonl")
    mend("tagmanifest-sha256.txt", "manifest-sha256.txt", "bag-info.txt")
    return rewritten(packet, target, lambda name, _: new[name])


def test_a_removed_audit_entry_is_missed_even_where_every_checksum_was_mended(
    demo: Demo, verify, tmp_path: Path
) -> None:
    last = int(demo.last_line[1]) - 1
    missed = {number: f"number {number} was left out" for number in (0, last // 2)} | {last: "the end was left out"}
    for number, finding in missed.items():
        code, said = verify(without_entry(demo.packet, tmp_path / "changed.zip", number), "--trust", demo.key)
        assert code == FAILED
        assert finding in said
