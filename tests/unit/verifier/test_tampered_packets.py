"""Packets that are tampered with at random: the file, or the audit entry, is named."""

import json
import zipfile
from hashlib import sha256
from io import BytesIO
from random import Random
from typing import Any

import pytest
from proofloop_verifier.packet import verify_packet
from proofloop_verifier.report import Report, Verdict
from tampering import another, changed_bytes, changed_items

ENTRIES = "data/audit/entries.jsonl"
UNSEALED = ("VERIFY.txt", "bag-info.txt", "manifest-sha256.txt", "tagmanifest-sha256.txt")
"""What only the manifests vouch for, which anyone can write anew: the documentation says so."""


@pytest.fixture
def verify(packet, zipped):
    """Verify these files as a packet of the trusted log."""

    def run(files: dict[str, bytes]) -> Report:
        return verify_packet(zipped(files), [packet.log_key])

    return run


def unnamed(report: Report, *names: str) -> str:
    """Which of the names, each a choice of words, no finding has."""
    said = [finding.subject + " " + finding.sentence for finding in report.findings]
    left = [name for name in names if not any(words in text for words in name.split("|") for text in said)]
    if report.verdict is Verdict.FAILED and not left:
        return ""
    return f"{report.verdict}, without {left}: {said}"


def test_a_tampered_file_of_a_packet_is_named(tampered, packet, verify) -> None:
    """Whoever changes a file leaves the manifests alone."""
    sound = packet.with_manifests()

    def once(chance: Random) -> str:
        files = dict(sound)
        name = chance.choice([name for name in sound if sound[name]])
        match what := chance.choice(("bytes", "bytes", "removed", "exchanged", "added", "of another packet")):
            case "bytes":
                files[name] = changed_bytes(chance, files[name])
            case "removed":
                del files[name]
            case "exchanged":
                other = another(chance, list(files), name)
                files[name], files[other] = files[other], files[name]
                return unnamed(verify(files), name, other)
            case "added":
                name = chance.choice(("data/evidence/more.txt", "data/more.txt", "more.txt", "fetch.txt"))
                files[name] = sound["VERIFY.txt"]
            case _:
                files[name] = another(chance, list(files.values()), files[name])
        problem = unnamed(verify(files), name)
        return problem and f"{what} {name}: {problem}"

    tampered(once)


def test_it_is_named_though_the_manifests_were_made_to_fit(tampered, packet, verify) -> None:
    """Whoever changes it knows the format, and has no key."""
    sound = dict(packet.files)
    lines = sound[ENTRIES].splitlines()

    def once(chance: Random) -> str | None:
        packet.files = dict(sound)
        match what := chance.choice(("bytes", "removed", "exchanged", "entry", "entries", "contents", "evidence")):
            case "bytes" | "removed" | "exchanged":
                names = tamper_with_files(chance, packet.files)
                if all(same(name, packet.files.get(name), sound[name]) for name in sound):
                    return None
            case "entry":
                at = chance.randrange(len(lines))
                line = with_another_member(chance, json.loads(lines[at]))
                packet.files[ENTRIES] = b"".join(
                    [
                        *(old + b"\n" for old in lines[:at]),
                        json.dumps(line).encode() + b"\n",
                        *(old + b"\n" for old in lines[at + 1 :]),
                    ]
                )
                names = [f"audit entry {2 * at + 1} (|{ENTRIES} line {at + 1}|audit entry {line.get('index')} ("]
            case "entries":
                changed = changed_items(chance, lines, lines)
                packet.files[ENTRIES] = b"".join(line + b"\n" for line in changed)
                at = next(
                    (n for n, pair in enumerate(zip(changed, lines, strict=False)) if pair[0] != pair[1]), len(changed)
                )
                # Where lines were left out, what follows says so; at the end, that the seal is not the last.
                index = json.loads(changed[min(at, len(changed) - 1)])["index"] if changed else ""
                names = [f"audit entry {index} ("] if changed else [ENTRIES]
            case "contents":
                contents = json.loads(sound["data/packet.json"])
                name = chance.choice(list(contents))
                packet.files["data/packet.json"] = json.dumps(contents | {name: "another"}).encode()
                names = ["data/packet.json"]
            case _:
                names = [exchange_evidence(chance, packet.files)]
        problem = unnamed(verify(packet.with_manifests()), *names)
        return problem and f"{what}: {problem}"

    tampered(once)


def tamper_with_files(chance: Random, files: dict[str, bytes]) -> list[str]:
    name = chance.choice([name for name in files if name not in UNSEALED and files[name]])
    match chance.choice(("bytes", "bytes", "removed", "exchanged")):
        case "bytes":
            files[name] = changed_bytes(chance, files[name])
        case "removed":
            del files[name]
        case _:
            other = another(chance, [other for other in files if other not in UNSEALED], name)
            files[name], files[other] = files[other], files[name]
            return [words(name), words(other)]
    return [words(name)]


def words(name: str) -> str:
    """What a file is named by, or what is said where another file keeps it from being looked at."""
    if name.startswith("data/evidence/"):
        return f"{name}|The evidence was not checked"
    return {
        ENTRIES: f"{name}|audit entry ",
        # Of the checkpoint and the key beside it, nobody can tell which one is another's.
        "data/audit/checkpoint.txt": f"{name}|The checkpoint is not signed by",
        "data/keys/log.vkey": f"{name}|checkpoint.txt cannot be read",
    }.get(name, name)


def with_another_member(chance: Random, line: dict[str, Any]) -> dict[str, Any]:
    match name := chance.choice(("index", "leaf", "proof", "proof", "part", "salt", "pseudonym", "missing")):
        case "index":
            return line | {name: another(chance, [*range(-1, 20), 2**63, True, str(line[name])], line[name])}
        case "leaf":
            return line | {name: changed_bytes(chance, line[name].encode()).decode(errors="replace")}
        case "proof":
            return line | {name: changed_items(chance, line[name], [*line[name], "0" * 64])}
        case "part" | "salt" | "pseudonym":
            [told] = line["personal"]
            other = changed_bytes(chance, told[name].encode()).decode(errors="replace")
            return line | {"personal": [told | {name: other}]}
        case _:
            del line[chance.choice(list(line))]
            return line


def exchange_evidence(chance: Random, files: dict[str, bytes]) -> str:
    """Another file in the place of one, and the contents that list it say so."""
    contents = json.loads(files["data/packet.json"])
    item = chance.choice(contents["evidence"])
    files[f"data/{item['path']}"] = content = chance.randbytes(20)
    item |= {"size": len(content), "sha256": sha256(content).hexdigest()}
    files["data/packet.json"] = json.dumps(contents).encode()
    return "data/packet.json"


def same(name: str, changed: bytes | None, sound: bytes) -> bool:
    """A certificate may have other lines around it, and JSON other blanks: what is read of it is the same."""
    if changed is None:
        return False
    try:
        if name.endswith(".pem"):
            return body(changed) == body(sound)
        if name == ENTRIES:
            return [json.loads(line) for line in changed.splitlines()] == [
                json.loads(line) for line in sound.splitlines()
            ]
    except ValueError:
        return False
    return changed == sound


def body(pem: bytes) -> bytes:
    begin, end = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"
    return b"".join(pem[pem.index(begin) + len(begin) : pem.index(end)].split())


def test_a_tampered_archive_is_named(tampered, packet, written, tmp_path) -> None:
    """Any byte of the archive itself; what its tables say beside names, sizes and sums is not read."""
    sound = written(packet).read_bytes()
    contents = where_contents_stand(sound)
    changed = tmp_path / "changed.zip"

    def once(chance: Random) -> str | None:
        if chance.random() < 0.5:
            name, content = chance.choice([item for item in contents.items() if len(item[1])])
            at = chance.choice(content)
            data = sound[:at] + bytes([sound[at] ^ 1 << chance.randrange(8)]) + sound[at + 1 :]
        else:
            name, data = "", changed_bytes(chance, sound)
        changed.write_bytes(data)
        report = verify_packet(changed, [packet.log_key])
        if report.verdict is Verdict.VERIFIED:
            return None if read(data) == read(sound) else f"{len(data)} bytes instead of {len(sound)}"
        # Of an archive that cannot be read at all, it is the archive that is named.
        return unnamed(report, f"damaged: the file {name} " if name else "")

    tampered(once)


def where_contents_stand(data: bytes) -> dict[str, range]:
    """Where in the archive each file's content stands, which is stored as it is."""
    with zipfile.ZipFile(BytesIO(data)) as archive:
        begins = {info: info.header_offset + 30 + len(info.filename.encode()) for info in archive.infolist()}
    return {info.filename.partition("/")[2]: range(begin, begin + info.file_size) for info, begin in begins.items()}


def read(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}
