"""Logs that are damaged where they are kept, by whoever may do anything in the database and in the object store."""

import asyncio
import json
import re
import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from kept_logs import Kept
from proofloop_audit.log.checkpoints import load_signing_key
from proofloop_audit.settings import AuditSettings
from proofloop_verifier import cli
from proofloop_verifier.merkle import root_of
from proofloop_verifier.note import Checkpoint, sign
from typer.testing import CliRunner

ORIGIN = "proofloop.local/acme"
REPOSITORY = Path(__file__).parents[4]
REQUIRED = {
    name for name, field in AuditSettings.model_fields.items() if field.is_required() or name.startswith("s3_")
} | {"tls_authority"}


STATEMENTS = (
    # Columns that entries are found by, and personal parts.
    {
        "UPDATE log_entry SET entry_id = gen_random_uuid() WHERE index = 7": "search: entry 7, entry_id",
        "UPDATE log_entry SET entity_type = 'claim' WHERE index = 7": "search: entry 7, entity_type",
        "UPDATE log_entry SET entity_id = 'prompt-8' WHERE index = 7": "search: entry 7, entity_id",
        "UPDATE log_entry SET action = 'prompt.asked' WHERE index = 7": "search: entry 7, action",
        "UPDATE log_entry SET session_id = NULL WHERE index = 10": "search: entry 10, session_id",
        "UPDATE log_entry SET outcome = 'denied' WHERE index = 7": "search: entry 7, outcome",
        "UPDATE log_entry SET fingerprint = '\\x00' WHERE index = 7": "search: entry 7, fingerprint",
        "UPDATE log_entry SET claim_sequence = 70 WHERE index = 7": "search: entry 7, claim_sequence",
        "UPDATE log_entry SET claim_id = gen_random_uuid() WHERE index = 599": "search: entry 599, claim_id",
        "UPDATE log_entry SET append_time = now() WHERE index = 7": "search: entry 7, append_time",
        "UPDATE log_entry SET pseudonym = $bob WHERE index = 2": "search: entry 2, pseudonym",
        "UPDATE subject SET blind_index = '\\x00' WHERE pseudonym = $bob": "search: subject $bob, blind_index",
        "UPDATE log_entry SET sealed_part = '\\x00' WHERE index = 10": "personal: entry 10, sealed_part",
        "UPDATE log_entry a SET sealed_part = b.sealed_part FROM log_entry b WHERE a.index = 13 AND b.index = 16": (
            "personal: entry 13, sealed_part"
        ),
    },
    # Side by side, each is named.
    {
        "UPDATE log_entry SET leaf_hash = '\\x00' WHERE index = 7": "entry: entry 7",
        "UPDATE log_entry SET leaf = leaf || ' ' WHERE index = 590": "entry: entry 590, leaf: entry 590",
        "UPDATE log_subtree SET root = '\\x00' WHERE level = 8 AND position = 1": "tree: subtree 8/1",
        "UPDATE log_subtree SET root = '\\x00' WHERE level = 4 AND position IN (3, 36)": (
            "tree: subtree 4/3, tree: subtree 4/36"
        ),
        "INSERT INTO log_subtree VALUES ('acme', 3, 0, ''), ('acme', 12, 0, '')": (
            "tree: subtree 3/0, tree: subtree 12/0"
        ),
        "UPDATE log_checkpoint SET root = '\\x00' WHERE size = 301": "checkpoint: checkpoint 301",
        "UPDATE log_checkpoint SET note = replace(note, 'loop', 'pool') WHERE size = 100": "checkpoint: checkpoint 100",
        "UPDATE subject SET wrapped_key = '\\x00' WHERE pseudonym = $bob": "personal: subject $bob",
    },
    {
        "DELETE FROM log_entry WHERE index = 300": "entry: entry 300, tree: entry 256",
        "DELETE FROM log_subtree WHERE level = 8 AND position = 1": "tree: subtree 8/1",
        # One beside that entry, one above it, and the last.
        "DELETE FROM log_subtree WHERE level = 4 AND position IN (17, 18, 36)": (
            "tree: subtree 4/17, tree: subtree 4/18, tree: subtree 4/36"
        ),
        "UPDATE log_checkpoint SET note = note || E'\\n' WHERE size = 100": "checkpoint: checkpoint 100",
        "UPDATE log_checkpoint SET size = 601 WHERE size = 600": "checkpoint: checkpoint 601",
        "DELETE FROM subject WHERE pseudonym = $bob": "personal: subject $bob",
    },
    {
        "UPDATE log_entry SET index = -1 WHERE index = 599": "entry: entry -1, checkpoint: checkpoint 600",
        "UPDATE log_subtree SET position = 2 WHERE level = 8 AND position = 1": (
            "tree: subtree 8/2, tree: subtree 8/1"
        ),
        "UPDATE log_subtree SET position = 37 WHERE level = 4 AND position = 36": (
            "tree: subtree 4/37, tree: subtree 4/36"
        ),
        "UPDATE log_checkpoint SET size = 101 WHERE size = 100": "checkpoint: checkpoint 101",
    },
    {"DELETE FROM log_entry WHERE index >= 590": "checkpoint: checkpoint 600, published: acme/checkpoint"},
    {"UPDATE log_entry SET index = 9223372036854775807 WHERE index = 599": "entry: entry 599, entry: entry 768"},
    {
        "UPDATE log_entry a SET leaf = b.leaf, leaf_hash = b.leaf_hash FROM log_entry b"
        " WHERE (a.index, b.index) IN ((7, 8), (8, 7))": (
            "tree: subtree 4/0, tree: subtree 8/0, search: entry 7, entry_id, search: entry 8, entry_id, "
            "published: acme/tile/0/000"
        )
    },
)
"""Statements that are done together, and what must be found, beside what follows from it."""


async def rewritten_with_its_hashes(log: Kept) -> None:
    """An entry of the first page changes together with every hash in the database."""
    leaf = json.loads((await log.entry(8))["leaf"])
    leaf["correlation_id"] = "another"
    await log.replace(8, json.dumps(leaf, separators=(",", ":"), sort_keys=True).encode())
    rows = await log.superuser.fetch("SELECT leaf_hash FROM log_entry WHERE index < 256 ORDER BY index")
    hashes = [row["leaf_hash"] for row in rows]
    for level in (4, 8):
        root = root_of(hashes[: 1 << level])
        await log.sql("UPDATE log_subtree SET root = $1 WHERE level = $2 AND position = 0", root, level)


async def rewritten_at_the_end(log: Kept) -> None:
    leaf = json.loads((await log.entry(599))["leaf"])
    leaf["correlation_id"] = "another"
    await log.replace(599, json.dumps(leaf, separators=(",", ":"), sort_keys=True).encode())


async def signed_with_another_key(log: Kept) -> None:
    row = await log.superuser.fetchrow("SELECT * FROM log_checkpoint WHERE size = 100")
    text = Checkpoint(ORIGIN, 100, row["root"]).to_text()
    note = sign(text, ORIGIN, Ed25519PrivateKey.generate()).to_bytes().decode()
    await log.sql("UPDATE log_checkpoint SET note = $1 WHERE size = 100", note)


async def signed_over_another_tree(log: Kept) -> None:
    text = Checkpoint(ORIGIN, 100, bytes(32)).to_text()
    note = sign(text, ORIGIN, load_signing_key(log.settings.log_key)).to_bytes().decode()
    await log.sql("UPDATE log_checkpoint SET note = $1, root = $2 WHERE size = 100", note, bytes(32))


async def published_files_changed_or_removed(log: Kept) -> None:
    content = bytearray(await log.published("tile/0/001"))
    content[32 * 5] ^= 1
    await log.publish("tile/0/001", bytes(content))
    content = await log.published("tile/entries/002.p/88")
    await log.publish("tile/entries/002.p/88", content.replace(b"prompt-599", b"prompt-600"))
    await log.publish("tile/1/000.p/2", None)
    await log.publish("tile/entries/000", None)


async def published_checkpoint_changed(log: Kept) -> None:
    await log.publish("checkpoint", (await log.published("checkpoint")).replace(b"600", b"599"))


DEEDS = {
    rewritten_with_its_hashes: "checkpoint: checkpoint 100, published: acme/tile/0/000, published: acme/checkpoint",
    rewritten_at_the_end: "checkpoint: checkpoint 600, published: acme/tile/entries/002.p/88",
    signed_with_another_key: "checkpoint: checkpoint 100",
    signed_over_another_tree: "checkpoint: checkpoint 100",
    published_files_changed_or_removed: (
        "published: acme/tile/0/001, published: acme/tile/entries/002.p/88, published: acme/tile/1/000.p/2, "
        "published: acme/tile/entries/000"
    ),
    published_checkpoint_changed: "published: acme/checkpoint",
}


async def test_every_damage_is_named_and_an_intact_log_has_none(kept: Kept) -> None:
    assert await kept.findings() == []
    bob = (await kept.entry(1))["pseudonym"]
    for together in STATEMENTS:
        for statement in together:
            await kept.sql(statement.replace("$bob", f"'{bob}'"))
        found = set(await kept.findings())
        for statement, expected in together.items():
            assert names(expected.replace("$bob", bob)) <= found, statement
        await kept.undo()
    for act, expected in DEEDS.items():
        await act(kept)
        assert names(expected) <= set(await kept.findings()), act.__name__
        await kept.undo()
    assert await kept.findings() == []


def names(expected: str) -> set[str]:
    """`check: subject` as findings are named; a subject may have a comma of its own."""
    return set(re.split(", (?=[a-z]+: )", expected))


async def test_the_command_reports_in_words_and_in_json(kept: Kept, monkeypatch) -> None:
    declared = tomllib.loads((REPOSITORY / "services/audit/pyproject.toml").read_text())["project"]["entry-points"]
    commands = [EntryPoint(name, value, cli.COMMANDS) for name, value in declared[cli.COMMANDS].items()]
    monkeypatch.setattr(cli, "entry_points", lambda group: {cli.COMMANDS: commands}[group])
    for name, value in kept.settings.model_dump(exclude_none=True).items():
        text = value.get_secret_value() if hasattr(value, "get_secret_value") else value
        if name in REQUIRED:
            monkeypatch.setenv(f"AUDIT_{name.upper()}", json.dumps(text) if name == "tenants" else str(text))

    async def fsck(*arguments: str):
        argv = ["audit", "fsck", *arguments]
        # A command has an event loop of its own.
        return await asyncio.to_thread(lambda: CliRunner().invoke(cli.application(argv), argv))

    intact = await fsck()
    assert intact.exit_code == 0, intact.output
    assert f"verified: the log {ORIGIN}, 600 entries" in intact.output
    assert "verified: the log proofloop.local/globex, 0 entries" in intact.output
    await kept.sql("UPDATE log_entry SET action = 'a.b' WHERE index = 7")
    damaged = await fsck("--tenant", "acme")
    assert damaged.exit_code == 1
    headline = "failed: The column action of entry 7 says a.b, and the entry prompt.answered."
    assert headline in " ".join(damaged.output.split())
    assert (await fsck("--tenant", "globex")).exit_code == 0
    as_json = await fsck("--json")
    assert as_json.exit_code == 1
    report = json.loads(as_json.stdout)
    assert (report["verdict"], [log["verdict"] for log in report["logs"]]) == ("failed", ["failed", "verified"])
    assert [finding["subject"] for finding in report["logs"][0]["findings"]] == ["entry 7, action"]
    assert (await fsck("--tenant", "nobody")).exit_code == 2
    monkeypatch.setenv("AUDIT_DATABASE_URL", "postgresql://127.0.0.1:1/none")
    assert (await fsck()).exit_code == 1
    monkeypatch.delenv("AUDIT_LOG_KEY")
    assert (await fsck()).exit_code == 2
