"""Copies and exports of logs that are tampered with at random: the tile, the bundle, the entry, the line is named."""

import json
from collections.abc import Sequence
from functools import cache
from random import Random
from typing import Any

from log_copies import CopyInMemory, bundle_of, files_of, leaves
from proofloop_verifier.export import check_export
from proofloop_verifier.leaf import SubjectCommitment, commitment
from proofloop_verifier.log_tree import TreeCheck
from proofloop_verifier.merkle import leaf_hash, root_of
from proofloop_verifier.note import Checkpoint
from proofloop_verifier.report import Finding, LogCheck
from tampering import another, changed_bytes, changed_items

LEAVES = [leaf.to_bytes() for leaf in leaves(600)]
SIZES = (1, 2, 3, 40, 255, 256, 257, 300, 511, 512, 513, 600)


@cache
def sound(size: int) -> dict[str, bytes]:
    return files_of(LEAVES[:size])


@cache
def root(size: int) -> bytes:
    return root_of([leaf_hash(leaf) for leaf in LEAVES[:size]])


def findings(size: int, changed: dict[str, bytes | None]) -> list[Finding]:
    """What is wrong with a copy in which files were changed, or removed; the size and the root are the signed ones."""
    files = {name: content for name, content in (sound(size) | changed).items() if content is not None}
    return list(TreeCheck(CopyInMemory(files), size, root(size)).findings())


def missing(expected: set[tuple[LogCheck, str]], found: Sequence[Finding]) -> str:
    """What should have been named and was not."""
    left = expected - {(finding.check, finding.subject) for finding in found}
    return f"{sorted(left)}, but {[finding.sentence for finding in found]}" if left else ""


def hashes_in(tile: bytes) -> list[bytes]:
    return [tile[at : at + 32] for at in range(0, len(tile), 32)]


def test_a_tampered_tile_is_named(tampered) -> None:
    def once(chance: Random) -> str:
        size = chance.choice(SIZES)
        tiles = {
            name: content for name, content in sound(size).items() if name.startswith("tile/") and "entr" not in name
        }
        name = chance.choice(list(tiles))
        changed: dict[str, bytes | None]
        match chance.choice(("bytes", "hashes", "hashes", "removed", "exchanged")):
            case "bytes":
                changed = {name: changed_bytes(chance, tiles[name])}
            case "hashes":
                elsewhere = [digest for tile in tiles.values() for digest in hashes_in(tile)] + [bytes(32), root(size)]
                changed = {name: b"".join(changed_items(chance, hashes_in(tiles[name]), [*elsewhere, bytes(32)]))}
            case "exchanged" if len(set(tiles.values())) > 1:
                other = another(chance, list(tiles), name)
                changed = {name: tiles[other], other: tiles[name]}
            case _:
                changed = {name: None}
        expected = {(LogCheck.TREE, tile) for tile in changed if changed[tile] != tiles[tile]}
        return missing(expected, findings(size, changed))

    tampered(once)


def test_a_tampered_entry_is_named(tampered) -> None:
    def once(chance: Random) -> str:
        size = chance.choice(SIZES)
        bundles = [name for name in sound(size) if name.startswith("tile/entries/")]
        number = chance.randrange(len(bundles))
        begin, name = number * 256, bundles[number]
        entries = LEAVES[begin : min(begin + 256, size)]
        changed: dict[str, bytes | None]
        index = None
        match chance.choice(
            ("entry", "entry", "bytes", "entries", "entries", "removed", "exchanged", "with its hashes")
        ):
            case "entry":
                at = chance.randrange(len(entries))
                index = begin + at
                entry = chance.choice((changed_bytes(chance, entries[at]), another(chance, LEAVES, entries[at])))
                changed = {name: bundle_of([*entries[:at], entry, *entries[at + 1 :]])}
            case "bytes":
                changed = {name: changed_bytes(chance, sound(size)[name])}
            case "entries":
                changed = {name: bundle_of(changed_items(chance, entries, [*LEAVES, b""]))}
            case "exchanged" if len(bundles) > 1:
                other = another(chance, bundles, name)
                changed = {name: sound(size)[other], other: sound(size)[name]}
            case "with its hashes":
                return rewritten(chance, size)
            case _:
                changed = {name: None}
        found = findings(size, changed)
        if index is not None and not any(finding.sentence.startswith(f"Entry {index} in {name} ") for finding in found):
            return f"entry {index} of {size}: {found}"
        return missing({(LogCheck.ENTRY, bundle) for bundle in changed}, found)

    tampered(once)


def rewritten(chance: Random, size: int) -> str:
    """An entry changes, and with it every tile up to a level, or all: what is above does not fit."""
    index = chance.randrange(size)
    files = files_of([*LEAVES[:index], changed_bytes(chance, LEAVES[index]), *LEAVES[index + 1 : size]])
    del files["checkpoint"]
    levels = [level for level in ("entries", "0", "1") if any(name.startswith(f"tile/{level}/") for name in files)]
    top = chance.randrange(len(levels))
    changed = {name: content for name, content in files.items() if name.split("/")[1] in levels[: top + 1]}
    place, page = index // 256, (index // 256 + 1) * 256 <= size
    bundle, tile = (f"tile/{level}/{place:03}" + ("" if page else f".p/{size % 256}") for level in ("entries", "0"))
    expected = {
        # The hash over the page still is the signed one; at the edge, all that leads to the root was rewritten.
        "entries": {(LogCheck.ENTRY, bundle)},
        "0": {(LogCheck.TREE, tile), (LogCheck.ENTRY, bundle)} if page else {(LogCheck.TREE, "checkpoint")},
        "1": {(LogCheck.TREE, "checkpoint")},
    }[levels[top]]
    return missing(expected, findings(size, changed))


SALT = bytes(range(32))
PART = b'{"actor_id":"ann","details":"{}"}'
PSEUDONYM = "0" * 32
PEOPLE = (SubjectCommitment(PSEUDONYM, commitment(SALT, PART)),)


def lines_of(entries: Sequence[bytes]) -> list[dict[str, Any]]:
    return [
        {
            "index": index,
            "leaf": leaf.decode(),
            "leaf_hash": leaf_hash(leaf).hex(),
            "proof": [],
            "personal": [{"pseudonym": PSEUDONYM, "salt": SALT.hex(), "part": PART.decode()}],
        }
        for index, leaf in enumerate(entries)
    ]


EXPORTED = lines_of([leaf.to_bytes() for leaf in leaves(30, subjects=PEOPLE)])
OTHERS = lines_of([leaf.to_bytes() for leaf in leaves(30, subjects=PEOPLE, entity_id="another")])
FOREIGN = [json.dumps(line | {"index": 30 + line["index"]}).encode() for line in OTHERS]
LINES = [json.dumps(line).encode() for line in EXPORTED]
SIGNED = Checkpoint("proofloop.local/acme", 30, root_of([leaf_hash(line["leaf"].encode()) for line in EXPORTED]))


def test_a_tampered_line_of_an_export_is_named(tampered) -> None:
    def once(chance: Random) -> str | None:
        lines = list(LINES)
        at = chance.randrange(len(lines))
        match chance.choice(("line", "line", "member", "member", "twice", "rewritten", "lines", "lines")):
            case "line":
                lines[at] = changed_bytes(chance, lines[at])
                if told(lines[at]) == told(LINES[at]):
                    return None
            case "member":
                lines[at] = json.dumps(with_another_member(chance, at)).encode()
            case "twice":
                name = chance.choice(list(EXPORTED[at]))
                first = json.dumps({name: OTHERS[at - 1][name]}).encode()
                lines[at] = first[:-1] + b", " + lines[at][1:]
            case "rewritten":
                # Without the tree, no line of it is known to be the wrong one.
                lines[at] = json.dumps(OTHERS[at]).encode()
                [finding] = check_export(lines, SIGNED).findings
                return "" if finding.sentence.startswith("The entries are not those") else finding.sentence
            case _:
                lines = changed_items(chance, lines, FOREIGN)
                pairs = enumerate(zip(lines, LINES, strict=False))
                at = next((number for number, (line, sound) in pairs if line != sound), min(len(lines), 30))
        found = [finding.sentence for finding in check_export(lines, SIGNED).findings]
        return "" if any(names(sentence, at) for sentence in found) else f"line {at}, {lines[at : at + 1]}: {found}"

    tampered(once)


def with_another_member(chance: Random, at: int) -> dict[str, Any]:
    line = dict(EXPORTED[at])
    match name := chance.choice(("index", "leaf", "leaf_hash", "personal", "part", "salt", "missing")):
        case "index":
            return line | {"index": another(chance, [*range(-1, 31), 2**63, True, float(at), str(at), None], at)}
        case "leaf" | "leaf_hash":
            return line | {name: another(chance, EXPORTED, EXPORTED[at])[name]}
        case "personal":
            return line | {"personal": [*line["personal"], {"pseudonym": "1" * 32, "salt": SALT.hex(), "part": "{}"}]}
        case "part" | "salt":
            told = line["personal"][0][name]
            other = changed_bytes(chance, told.encode()).decode(errors="replace")
            return line | {"personal": [line["personal"][0] | {name: other}]}
        case _:
            del line[chance.choice(("index", "leaf", "proof", "personal"))]
            return line


def told(line: bytes) -> Any:
    """What is read of a line: other blanks, other escapes and members that nobody reads change nothing of it.

    `leaf_hash` says what the leaf says, and may be left out.
    """
    try:
        members = json.loads(line)
    except ValueError:
        return line
    if not isinstance(members, dict):
        return members
    expected = leaf_hash(str(members.get("leaf")).encode()).hex()
    return [members.get(name) for name in ("index", "leaf", "proof", "personal")] + [members.get("leaf_hash", expected)]


def names(sentence: str, at: int) -> bool:
    """Whether a sentence says that the line at this place, or what should stand there, is wrong."""
    return any(
        words in sentence
        for words in (
            f"Line {at + 1} of the export",
            f"Where audit entry {at} should stand",
            f"audit entry {at} (",
            f"The export has {at} entries;",
            "goes on after the 30 entries" if at == 30 else f"Line {at + 1} of the export",
        )
    )
