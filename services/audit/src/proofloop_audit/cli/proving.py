"""`proofloop audit prove`: an entry's proof, fetched and checked here before anybody relies on it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
from proofloop_verifier import merkle
from proofloop_verifier.leaf import Leaf, LeafError
from proofloop_verifier.merkle import ProofError
from proofloop_verifier.note import Checkpoint, NoteError, VerifierKey
from proofloop_verifier.report import Verdict
from proofloop_verifier.terminal import EXIT_CODES, read_keys
from proofloop_verifier.tlog_proof import TlogProof

from proofloop_audit.cli.client import connected
from proofloop_audit.cli.files import write_whole
from proofloop_audit.cli.options import Connection, spread
from proofloop_audit.cli.words import Exit, fail, plain

Trust = Annotated[
    list[str] | None,
    typer.Option(metavar="KEY", help="The log's verifier key, or a file that holds one. Repeatable."),
]


@dataclass(frozen=True, slots=True)
class Proven:
    """What a proof shows; `key` is the trusted key that signed, None where none was named."""

    index: int
    leaf_hash: bytes
    checkpoint: Checkpoint
    key: VerifierKey | None

    @property
    def verdict(self) -> Verdict:
        """Whether somebody vouches for it."""
        return Verdict.VERIFIED if self.key else Verdict.CONSISTENT_UNKNOWN_KEY

    def sentence(self) -> str:
        """Return it for people."""
        stands = f"entry {self.index} of {self.checkpoint.size} of the log {plain(self.checkpoint.origin)}"
        if self.key:
            return f"verified: {stands}, signed by key {self.key.fingerprint}"
        return f"consistent, the key was not checked: {stands}; name the log's key with --trust"

    def to_json(self) -> dict[str, object]:
        """Return it for programs: as `proofloop audit proof` says it."""
        return {
            "verdict": self.verdict,
            "origin": self.checkpoint.origin,
            "index": self.index,
            "size": self.checkpoint.size,
            "leaf_hash": self.leaf_hash.hex(),
            "key_fingerprint": self.key.fingerprint if self.key else None,
        }


def check_proof(text: str, entry_id: str, trusted: Sequence[VerifierKey]) -> Proven:
    """Check that a text proves this entry, and where keys are given, that one of them signed its tree.

    Raises:
        ProofError: it does not.
    """
    parsed = TlogProof.parse(text.encode())
    try:
        found = Leaf.parse(parsed.extra).entry_id
        checkpoint = Checkpoint.parse(parsed.checkpoint.text)
    except (LeafError, NoteError) as error:
        raise ProofError(str(error)) from error
    if found != entry_id:
        raise ProofError(f"it is the proof of another entry, {found}")
    digest = merkle.leaf_hash(parsed.extra)
    if trusted:
        return Proven(parsed.index, digest, *parsed.verify(digest, trusted))
    merkle.verify_inclusion(parsed.index, checkpoint.size, digest, parsed.hashes, checkpoint.root)
    return Proven(parsed.index, digest, checkpoint, None)


@spread
def prove(
    entry_id: Annotated[UUID, typer.Argument(metavar="ENTRY_ID", help="The entry's id, as `list` shows it.")],
    connection: Connection,
    trust: Trust = None,
    output: Annotated[
        Path | None, typer.Option(dir_okay=False, help="Where to write the proof. Default: standard output.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print what it proves as JSON; the proof then needs --output.")
    ] = False,
) -> None:
    """Fetch the proof that an entry stands in the log (C2SP tlog-proof), and check it here.

    A proof that does not hold is not written. Whoever has the log's key checks the file again, without the service:
    `proofloop audit proof`.

    Exit codes: 0 verified; 1 not proven, or the service refused; 2 wrong usage; 3 it holds, and no key was named to
    check the signature with; 5 no answer, try again.
    """
    if as_json and output is None:
        raise typer.BadParameter("needs --output, for the proof goes to standard output", param_hint="--json")
    trusted = read_keys(trust or ())
    with connected(connection) as audit:
        text = audit.tlog_proof(str(entry_id))
    try:
        proven = check_proof(text, str(entry_id), trusted)
    except ProofError as error:
        fail(Exit.WRONG, f"the service's proof does not hold: {plain(str(error))}", "Nothing was written.")
    if output is None:
        typer.echo(text, nl=False)
        typer.echo(proven.sentence(), err=True)
    else:
        write_whole(output, [text.encode()])
        typer.echo(json.dumps(proven.to_json(), indent=2) if as_json else proven.sentence())
    raise typer.Exit(EXIT_CODES[proven.verdict])
