"""Check that an archive is a complete and unchanged bag (BagIt 1.0, RFC 8493) with SHA-256 manifests.

Stricter than the RFC, as a packet has one writer: every file stands in a manifest exactly once, hashes are in
lower case, and nothing is to be fetched from elsewhere.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from proofloop_verifier.archive import Archive, ArchiveError, Digest
from proofloop_verifier.report import Check, Finding, bounded

if TYPE_CHECKING:
    from collections.abc import Iterator

DECLARATION = "bagit.txt"
MANIFEST = "manifest-sha256.txt"
TAG_MANIFEST = "tagmanifest-sha256.txt"
PAYLOAD = "data/"

_DECLARATION_TEXT = b"BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
_LINE = re.compile(r"(?P<hash>[0-9a-f]{64})  (?P<path>[^\r\n]+)")
_ESCAPED = re.compile(r"%(0D|0A|25)", re.IGNORECASE)


def check_bag(archive: Archive) -> tuple[dict[str, Digest], list[Finding]]:
    """The digest of every readable file, and all that is missing, additional, changed or malformed."""
    digests: dict[str, Digest] = {}
    findings: list[Finding] = []
    for name in archive.names:
        try:
            digests[name] = archive.digest(name)
        except ArchiveError as error:
            findings.append(Finding(Check.BAG, name, f"The packet is damaged: {error}."))
    findings += _check_declaration(archive)
    payload = {name for name in archive.names if name.startswith(PAYLOAD)}
    findings += bounded(_check_manifest(archive, MANIFEST, payload, digests))
    tags = set(archive.names) - payload - {TAG_MANIFEST}
    findings += bounded(_check_manifest(archive, TAG_MANIFEST, tags, digests))
    return digests, findings


def _check_declaration(archive: Archive) -> Iterator[Finding]:
    try:
        if archive.read(DECLARATION) != _DECLARATION_TEXT:
            yield Finding(Check.BAG, DECLARATION, f"The file {DECLARATION} does not declare a BagIt 1.0 bag.")
    except ArchiveError as error:
        yield Finding(Check.BAG, DECLARATION, f"The packet is damaged: {error}.")
    if "fetch.txt" in archive.names:
        yield Finding(Check.BAG, "fetch.txt", "The file fetch.txt says that parts of the packet lie elsewhere.")


def _check_manifest(
    archive: Archive, manifest: str, present: set[str], digests: dict[str, Digest]
) -> Iterator[Finding]:
    """Compare the files that `manifest` lists with those that are there and ought to be in it."""
    try:
        *lines, rest = archive.read(manifest).split(b"\n")
    except ArchiveError as error:
        yield Finding(Check.BAG, manifest, f"The packet is damaged: {error}.")
        return
    if rest:
        yield Finding(Check.BAG, manifest, f"The file {manifest} does not end in a newline.")
    listed: set[str] = set()
    for number, line in enumerate(lines, start=1):
        match = _LINE.fullmatch(line.decode(errors="replace"))
        path = _ESCAPED.sub(lambda escaped: chr(int(escaped[1], 16)), match["path"]) if match else ""
        if match is None or path in listed:
            sentence = f"Line {number} of {manifest} is malformed or lists a file again."
            yield Finding(Check.BAG, manifest, sentence)
            continue
        listed.add(path)
        if path not in present:
            sentence = f"The file {path!r} is missing: {manifest} lists it, and it is not in the packet."
            yield Finding(Check.BAG, path, sentence)
        elif path in digests and digests[path].sha256 != match["hash"]:
            sentence = (
                f"The file {path!r} was changed: its SHA-256 is {digests[path].sha256}, "
                f"{manifest} says {match['hash']}."
            )
            yield Finding(Check.BAG, path, sentence)
    for path in sorted(present - listed):
        yield Finding(Check.BAG, path, f"The file {path!r} was added: {manifest} does not list it.")
