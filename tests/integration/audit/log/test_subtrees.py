"""Roots of subtrees that are stored at every fourth level: how older logs get them, and what holds while they lack."""

import pytest
from proofloop.audit.v1 import log_service_pb2 as contract
from proofloop.audit.v1.log_service_pb2_grpc import LogServiceStub
from proofloop_audit.fsck import check
from proofloop_runtime.migrate import migrate
from proofloop_verifier import merkle

SIZE = 4_375
"""A root at level 12 and some of what is behind it; the last 256 entries, and the last sixteen, are not complete."""
OTHERS_SIZE = 300
ROWS = "SELECT tenant, level, position, root FROM log_subtree ORDER BY tenant, level, position"
BETWEEN_TILES = "DELETE FROM log_subtree WHERE level % 8 <> 0"


@pytest.fixture
async def receipts(append_many, audit, log):
    """Those of acme; globex has a log as well. Both are signed, so nothing is signed of what a test makes of them."""
    async with audit.channel(tenant="globex") as channel:
        other = LogServiceStub(channel)
        await append_many(OTHERS_SIZE, other)
        await other.GetCheckpoint(contract.GetCheckpointRequest())
    receipts = await append_many(SIZE)
    await log.GetCheckpoint(contract.GetCheckpointRequest())
    return receipts


async def prove(log, receipts) -> None:
    """Check proofs, of entries at the edges of subtrees and in between, in the log as it was and as it is."""
    leaves = [receipt.leaf_hash for receipt in receipts]
    for size in (4_096, len(leaves)):
        root = merkle.root_of(leaves[:size])
        for index in (0, 15, 16, 255, 256, 3_000, 4_095, *range(4_096, size, 55), size - 1):
            request = contract.GetInclusionProofRequest(entry_id=receipts[index].entry_id, tree_size=size)
            proof = (await log.GetInclusionProof(request)).proof
            merkle.verify_inclusion(index, size, leaves[index], proof.hashes, root)
        proof = (await log.GetConsistencyProof(contract.GetConsistencyProofRequest(from_size=777, to_size=size))).proof
        merkle.verify_consistency(777, size, merkle.root_of(leaves[:777]), root, proof.hashes)


async def findings(settings) -> list[str]:
    reports = await check(settings, settings.tenants)
    return [f"{report.tenant}: {finding.subject}" for report in reports for finding in report.findings]


async def test_the_migration_stores_for_every_tenant_what_a_log_of_today_has(
    receipts, log, superuser, audit_database, audit_settings
) -> None:
    rows = await superuser.fetch(ROWS)
    counted = {(row["tenant"], row["level"]): row["position"] + 1 for row in rows}
    assert counted == {
        **{("acme", level): SIZE >> level for level in (4, 8, 12)},
        **{("globex", level): OTHERS_SIZE >> level for level in (4, 8)},
    }
    await superuser.execute(BETWEEN_TILES)
    await superuser.execute("UPDATE alembic_version SET version_num = '0005'")
    await migrate("proofloop_audit", audit_database.owner_url, "audit_app", "0006")
    assert await superuser.fetch(ROWS) == rows
    assert await findings(audit_settings) == []
    await prove(log, receipts)
    held_back = "SELECT bool_and(relforcerowsecurity) FROM pg_class WHERE relname IN ('log_entry', 'log_subtree')"
    assert await superuser.fetchval(held_back)


async def test_a_log_without_them_is_proven_appended_to_and_signed_all_the_same(
    receipts, log, replica, append_many, superuser
) -> None:
    await superuser.execute(BETWEEN_TILES)
    await prove(log, receipts)
    # Another replica appends, from what it reads of the log.
    async with replica() as other, other.channel() as channel:
        receipts += await append_many(60, LogServiceStub(channel))
    await prove(log, receipts)
    checkpoint = (await log.GetCheckpoint(contract.GetCheckpointRequest())).checkpoint
    assert checkpoint.tree_size == len(receipts)
    assert checkpoint.root_hash == merkle.root_of([receipt.leaf_hash for receipt in receipts])


async def test_a_root_that_is_missing_or_another_is_named_at_every_level(receipts, superuser, audit_settings) -> None:
    await superuser.execute("UPDATE log_subtree SET root = sha256(root) WHERE level = 12")
    await superuser.execute("DELETE FROM log_subtree WHERE tenant = 'globex' AND level = 4 AND position = 5")
    assert await findings(audit_settings) == ["acme: subtree 12/0", "globex: subtree 4/5"]
    await superuser.execute("DELETE FROM log_subtree WHERE level = 12")
    await superuser.execute("UPDATE log_subtree SET root = '' WHERE tenant = 'acme' AND level = 4 AND position = 8")
    assert await findings(audit_settings) == ["acme: subtree 4/8", "acme: subtree 12/0", "globex: subtree 4/5"]


async def test_a_root_that_is_missing_is_named_where_an_entry_below_it_is_missing_too(
    receipts, superuser, audit_settings
) -> None:
    await superuser.execute("DELETE FROM log_entry WHERE tenant = 'globex' AND index = 20")
    await superuser.execute("DELETE FROM log_subtree WHERE tenant = 'globex' AND level = 4 AND position = 1")
    assert await findings(audit_settings) == ["globex: entry 20", "globex: subtree 4/1"]
