"""Proofs and checkpoints that are tampered with at random: each is refused, and what is wrong with it is said."""

import re
from collections.abc import Sequence
from dataclasses import replace
from random import Random

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from log_copies import KEY, ORIGIN, CopyInMemory, files_of, note_of
from proofloop_verifier import merkle
from proofloop_verifier.log_report import verify_log
from proofloop_verifier.log_watch import Sight, look
from proofloop_verifier.merkle import ProofError, Subtree, leaf_hash, root_of
from proofloop_verifier.note import Checkpoint, Note, sign
from proofloop_verifier.report import LogCheck
from proofloop_verifier.tlog_proof import TlogProof
from tampering import another, changed_bytes, changed_items

ENTRIES = [b'{"entry":%d}' % number for number in range(300)]
HASHES = [leaf_hash(entry) for entry in ENTRIES]
ROOTS = [root_of(HASHES[:size]) for size in range(len(HASHES) + 1)]
NOTES = {size: note_of(ENTRIES[:size]) for size in range(1, len(HASHES) + 1, 13)}


def roots(subtrees: Sequence[Subtree]) -> dict[Subtree, bytes]:
    return {subtree: root_of(HASHES[subtree.position << subtree.level :][: 1 << subtree.level]) for subtree in subtrees}


def included(index: int, size: int) -> list[bytes]:
    return merkle.inclusion_proof(index, size, roots(merkle.inclusion_subtrees(index, size)))


def changed_hashes(chance: Random, hashes: Sequence[bytes]) -> list[bytes]:
    """A hash is another, perhaps one that stands elsewhere, or is not there, or twice, or in another's place."""
    if chance.random() < 0.7:
        return changed_items(chance, hashes, [*HASHES, *ROOTS, *hashes])
    at = chance.randrange(len(hashes))
    return [*hashes[:at], changed_bytes(chance, hashes[at]), *hashes[at + 1 :]]


def test_no_tampered_inclusion_proof_is_accepted(tampered) -> None:
    """The size is not tampered with: only the signature of a checkpoint binds it, see the files of proofs below."""

    def once(chance: Random) -> str | None:
        size = chance.randint(2, len(HASHES))
        index = chance.randrange(size)
        given = {"index": index, "leaf": HASHES[index], "proof": included(index, size), "root": ROOTS[size]}
        what = chance.choice(("index", "leaf", "proof", "proof", "proof", "root"))
        match what:
            case "index":
                given["index"] = another(chance, range(size), index)
            case "leaf":
                given["leaf"] = another(chance, [*HASHES, *ROOTS], HASHES[index])
            case "proof":
                given["proof"] = changed_hashes(chance, given["proof"])
            case "root":
                given["root"] = another(chance, [*HASHES, *ROOTS], ROOTS[size])
        try:
            merkle.verify_inclusion(size=size, **given)
        except ProofError as error:
            said = (f"leaf {given['index']} ", "a hash has 32 bytes, not")
            return "" if str(error).startswith(said) or f"of leaf {given['index']} " in str(error) else str(error)
        return f"{what} of the proof of entry {index} of {size}"

    tampered(once)


def test_no_tampered_consistency_proof_is_accepted(tampered) -> None:
    """The new size is not tampered with: only the signature of a checkpoint binds it."""

    def once(chance: Random) -> str:
        new = chance.randint(2, len(HASHES))
        old = chance.randint(1, new - 1)
        proof = merkle.consistency_proof(old, new, roots(merkle.consistency_subtrees(old, new)))
        given = {"old": old, "old_root": ROOTS[old], "new_root": ROOTS[new], "proof": proof}
        what = chance.choice(("old", "old_root", "new_root", "proof", "proof", "proof"))
        match what:
            case "old" if new > 2:
                given["old"] = another(chance, range(1, new), old)
            case "old_root":
                given["old_root"] = another(chance, [*HASHES, *ROOTS], ROOTS[old])
            case "new_root":
                given["new_root"] = another(chance, [*HASHES, *ROOTS], ROOTS[new])
            case _:
                given["proof"] = changed_hashes(chance, proof)
        try:
            merkle.verify_consistency(new=new, **given)
        except ProofError as error:
            said = (f"from {given['old']} to {new} leaves", f"at {given['old']} leaves", f"at {new} leaves", "32 bytes")
            return "" if any(words in str(error) for words in said) else str(error)
        return f"{what} of the proof from {old} to {new}"

    tampered(once)


def test_no_tampered_proof_file_is_accepted(tampered) -> None:
    """Any line of the file, its checkpoint's too; the entry is the one that stands in the file."""

    def once(chance: Random) -> str | None:
        size = chance.choice(list(NOTES))
        index = chance.randrange(size)
        sound = TlogProof(index, tuple(included(index, size)), Note.parse(NOTES[size]), ENTRIES[index])
        match chance.choice(("text", "lines", "index", "hashes", "checkpoint")):
            case "text":
                data = changed_bytes(chance, sound.to_bytes())
            case "lines":
                lines = sound.to_bytes().split(b"\n")
                data = b"\n".join(changed_items(chance, lines, [*lines, *NOTES[1].split(b"\n")]))
            case "index" if size > 1:
                data = replace(sound, index=another(chance, range(size), index)).to_bytes()
            case "hashes" if size > 1:
                data = replace(sound, hashes=tuple(changed_hashes(chance, sound.hashes))).to_bytes()
            case _:
                data = replace(
                    sound, checkpoint=Note.parse(another(chance, list(NOTES.values()), NOTES[size]))
                ).to_bytes()
        try:
            parsed = TlogProof.parse(data)
            parsed.verify(leaf_hash(parsed.extra), [KEY])
        except ProofError as error:
            return "" if PROOF_ERRORS.search(str(error)) else str(error)
        return None if same(parsed, sound) else f"entry {index} of {size}: {data!r}"

    tampered(once)


PROOF_ERRORS = re.compile(
    r"first line of a proof|not ASCII|lacks an empty line|line 'index'|line 'extra'|extra is not|hash \d+ is not"
    r"|at most 63 hashes|path of leaf \d+|leaf \d+ lies outside|of a checkpoint|checkpoint has|tree size|root hash"
    r"|no trusted key of|signature|note|key name"
)
"""Each names the line of the file, or what of its checkpoint is wrong."""


def same(parsed: TlogProof, sound: TlogProof) -> bool:
    """A signature that stands there twice says nothing new."""
    told = [(proof.index, proof.hashes, proof.extra, *content(proof.checkpoint)) for proof in (parsed, sound)]
    return told[0] == told[1]


def content(note: Note) -> tuple[str, frozenset[object]]:
    return note.text, frozenset(note.signatures)


def test_no_tampered_checkpoint_is_believed(tampered) -> None:
    """Of a copy of a log that someone looked at before; what has another's signature is nobody's word."""

    def once(chance: Random) -> str | None:
        size = chance.choice(list(NOTES))
        note = NOTES[size]
        other = another(chance, list(NOTES), size)
        match what := chance.choice(("text", "lines", "size", "root", "origin", "other key", "other signature")):
            case "text":
                changed = changed_bytes(chance, note)
            case "lines":
                lines = note.split(b"\n")
                changed = b"\n".join(changed_items(chance, lines, [*lines, *NOTES[other].split(b"\n")]))
            case "size" | "root" | "origin":
                told = {"size": other, "root": ROOTS[other], "origin": chance.choice(("a/acme", "proofloop.local/b"))}
                text = replace(Checkpoint.parse(Note.parse(note).text), **{what: told[what]}).to_text()
                changed = replace(Note.parse(note), text=text).to_bytes()
            case "other key":
                stranger = Ed25519PrivateKey.from_private_bytes(chance.randbytes(32))
                changed = sign(Note.parse(note).text, ORIGIN, stranger).to_bytes()
            case _:
                changed = replace(Note.parse(note), signatures=Note.parse(NOTES[other]).signatures).to_bytes()
        copy = CopyInMemory({"checkpoint": changed})
        seen = look(copy, [KEY], None)
        if seen.sight is not Sight.UNPROVEN:
            return None if content(seen.seen) == content(Note.parse(note)) else f"{what}: {changed!r}"
        report = verify_log(copy, [KEY])
        if report.signed is None:
            named = [(finding.check, finding.subject) for finding in report.findings]
            return "" if named == [(LogCheck.CHECKPOINT, "checkpoint")] else f"{what}: {named}"
        # A signature under the log's name with a key that nobody knows: whose it is, nothing can tell.
        return "" if report.signed.key is None and "no trusted key" in seen.sentence else f"{what}: {seen.sentence}"

    tampered(once)


def test_a_log_that_signs_another_past_is_seen_to_do_so(tampered) -> None:
    """What no signature shows, who kept an earlier checkpoint sees."""

    def once(chance: Random) -> str | None:
        kept = chance.randint(2, len(ENTRIES) - 1)
        size = chance.randint(kept, len(ENTRIES))
        match what := chance.choice(("shrunk", "rewritten", "rewritten")):
            case "shrunk":
                entries = ENTRIES[: chance.randrange(1, kept)]
                expected = (Sight.SHRANK, f"shrank from {kept} entries to {len(entries)}.")
            case _:
                past = changed_items(chance, ENTRIES[:kept], [b'{"entry":"another"}'])
                entries = [*past, *ENTRIES[:size]]
                if entries[:kept] == ENTRIES[:kept]:
                    return None
                expected = (Sight.FORKED, f"its first {kept} entries are not those seen before.")
        seen = look(CopyInMemory(files_of(entries)), [KEY], Note.parse(note_of(ENTRIES[:kept])))
        told = (seen.sight, seen.sentence)
        return "" if told[0] is expected[0] and told[1].endswith(expected[1]) else f"{what}: {told}"

    tampered(once)
