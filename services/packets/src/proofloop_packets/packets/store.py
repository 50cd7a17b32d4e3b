"""Tables and SQL of packets: the jobs, and the material that makes a resumed job yield the same bytes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from proofloop_runtime.database import UnitOfWork
from sqlalchemy.dialects import postgresql as pg

from proofloop_packets.errors import PacketNotFound
from proofloop_packets.packets.cutoff import CutOff
from proofloop_packets.packets.domain import Packet, PacketState, PacketStep, Sealed
from proofloop_packets.packets.lease import Lease

metadata = sa.MetaData()

packet = sa.Table(
    "packet",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("packet_id", pg.UUID(as_uuid=False), primary_key=True),
    sa.Column("claim_id", pg.UUID(as_uuid=False), nullable=False),
    sa.Column("owner_id", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("step", sa.Text, nullable=False),
    sa.Column("progress", sa.Integer, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("attempt_time", sa.DateTime(timezone=True), nullable=False),
    sa.Column("lease_worker", sa.Text),
    sa.Column("lease_expire_time", sa.DateTime(timezone=True)),
    sa.Column("failure_reason", sa.Text, nullable=False),
    sa.Column("file_name", sa.Text),
    sa.Column("size", sa.BigInteger),
    sa.Column("sha256", sa.Text),
    sa.Column("requested_by", sa.Text, nullable=False),
    sa.Column("cutoff_time", sa.DateTime(timezone=True)),
    sa.Column("create_time", sa.DateTime(timezone=True), nullable=False),
    sa.Column("update_time", sa.DateTime(timezone=True), nullable=False),
    sa.Column("end_time", sa.DateTime(timezone=True)),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("event_ids", pg.ARRAY(pg.UUID(as_uuid=False)), nullable=False),
)

material = sa.Table(
    "packet_material",
    metadata,
    sa.Column("tenant", sa.Text, primary_key=True),
    sa.Column("packet_id", pg.UUID(as_uuid=False), primary_key=True),
    sa.Column("correlation_id", sa.Text, nullable=False),
    sa.Column("trace_context", pg.JSONB, nullable=False),
    sa.Column("snapshot", sa.LargeBinary),
    sa.Column("cutoff_index", sa.BigInteger),
    sa.Column("tree_size", sa.BigInteger),
    sa.Column("checkpoint", sa.Text),
    sa.Column("verifier_key", sa.Text),
    sa.Column("signer_sha256", sa.Text),
)


@dataclass(frozen=True, slots=True)
class Material:
    """What the steps of a packet have fixed so far.

    Attributes:
        correlation_id: Of the call that asked for the packet.
        trace_context: Of that call, as W3C headers: the making belongs to its trace.
        snapshot: `packet.json`, once it is fixed.
        cut_off: The cut-off, once it stands in the log.
    """

    correlation_id: str
    trace_context: Mapping[str, str]
    snapshot: bytes | None
    cut_off: CutOff | None


async def insert(unit: UnitOfWork, new: Packet, *, correlation_id: str, trace_context: Mapping[str, str]) -> None:
    """Store a packet that was asked for."""
    await unit.execute(sa.insert(packet).values(tenant=unit.tenant, **_columns(new)))
    await unit.execute(
        sa.insert(material).values(
            tenant=unit.tenant,
            packet_id=new.packet_id,
            correlation_id=correlation_id,
            trace_context=dict(trace_context),
        )
    )


async def get(unit: UnitOfWork, packet_id: str, *, lock: bool = False) -> Packet:
    """Return a packet; with `lock`, whoever else locks it waits until this transaction ends.

    Raises:
        PacketNotFound: the tenant has none of this id.
    """
    query = sa.select(packet).where(packet.c.tenant == unit.tenant, packet.c.packet_id == packet_id)
    row = (await unit.execute(query.with_for_update() if lock else query)).one_or_none()
    if row is None:
        raise PacketNotFound("there is no such packet", packet_id=packet_id)
    return _packet(row)


async def newest_first(
    unit: UnitOfWork,
    *,
    claim_id: str | None = None,
    owner_id: str | None = None,
    state: PacketState | None = None,
    before: str | None = None,
    limit: int,
) -> list[Packet]:
    """Return packets, newest first, that match every filter given and are older than the packet `before`."""
    query = sa.select(packet).where(packet.c.tenant == unit.tenant)
    filters = ((packet.c.claim_id, claim_id), (packet.c.owner_id, owner_id), (packet.c.state, state))
    for column, value in filters:
        if value is not None:
            query = query.where(column == value)
    if before is not None:
        query = query.where(packet.c.packet_id < before)
    rows = await unit.execute(query.order_by(packet.c.packet_id.desc()).limit(limit))
    return [_packet(row) for row in rows]


async def event_ids(unit: UnitOfWork, claim_id: str) -> list[str]:
    """Return the events of all packets of a claim."""
    of_claim = sa.and_(packet.c.tenant == unit.tenant, packet.c.claim_id == claim_id)
    rows = await unit.execute(sa.select(packet.c.event_ids).where(of_claim))
    return [event_id for row in rows for event_id in row.event_ids]


async def next_due(unit: UnitOfWork, now: datetime) -> tuple[str, Packet] | None:
    """Return the tenant and the packet that is due longest, locked, of all tenants of this transaction.

    Packets that another replica is just taking are passed over.
    """
    waiting = sa.and_(packet.c.state == PacketState.PENDING, packet.c.attempt_time <= now)
    silent = sa.and_(packet.c.state == PacketState.GENERATING, packet.c.lease_expire_time <= now)
    query = (
        sa.select(packet)
        .where(sa.or_(waiting, silent))
        .order_by(packet.c.attempt_time)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    row = (await unit.execute(query)).one_or_none()
    return (row.tenant, _packet(row)) if row is not None else None


async def save(unit: UnitOfWork, tenant: str, changed: Packet) -> None:
    """Store a packet that was read with its lock in this transaction, and changed since."""
    await unit.execute(
        sa.update(packet)
        .where(packet.c.tenant == tenant, packet.c.packet_id == changed.packet_id)
        .values(**_columns(changed))
    )


async def get_material(unit: UnitOfWork, packet_id: str, cutoff_time: datetime | None) -> Material:
    """Return what is fixed so far of a packet whose moment is `cutoff_time`."""
    query = sa.select(material).where(material.c.tenant == unit.tenant, material.c.packet_id == packet_id)
    row = (await unit.execute(query)).one()
    return Material(
        correlation_id=row.correlation_id,
        trace_context=row.trace_context,
        snapshot=row.snapshot,
        cut_off=CutOff(
            entry_id=packet_id,
            index=row.cutoff_index,
            tree_size=row.tree_size,
            checkpoint=row.checkpoint,
            verifier_key=row.verifier_key,
            time=cutoff_time,
            signer_sha256=row.signer_sha256,
        )
        if cutoff_time is not None and row.cutoff_index is not None
        else None,
    )


async def fix_snapshot(unit: UnitOfWork, packet_id: str, snapshot: bytes) -> None:
    """Store `packet.json` for good."""
    await _fix(unit, packet_id, snapshot=snapshot)


async def fix_cut_off(unit: UnitOfWork, packet_id: str, cut_off: CutOff) -> None:
    """Store the cut-off and its checkpoint for good."""
    await _fix(
        unit,
        packet_id,
        cutoff_index=cut_off.index,
        tree_size=cut_off.tree_size,
        checkpoint=cut_off.checkpoint,
        verifier_key=cut_off.verifier_key,
        signer_sha256=cut_off.signer_sha256,
    )


async def is_being_told_of(unit: UnitOfWork, person_id: str) -> bool:
    """Tell whether what a packet tells is fixed, names a person, and is not sealed yet."""
    found = sa.select(packet.c.packet_id).where(_tells_of(unit, person_id), packet.c.end_time.is_(None)).limit(1)
    return (await unit.execute(found)).first() is not None


async def disown(unit: UnitOfWork, person_id: str) -> None:
    """Take a person from the packets that are theirs, and from those that they asked for."""
    for column in (packet.c.owner_id, packet.c.requested_by):
        theirs = sa.and_(packet.c.tenant == unit.tenant, column == person_id)
        await unit.execute(sa.update(packet).where(theirs).values({column.name: ""}))


async def drop_snapshots(unit: UnitOfWork, person_id: str) -> None:
    """Drop what packets told that have ended, where it names a person; the sealed packet stays."""
    ended = sa.and_(_tells_of(unit, person_id), packet.c.end_time.is_not(None))
    await unit.execute(sa.update(material).where(ended).values(snapshot=None))


def _tells_of(unit: UnitOfWork, person_id: str) -> sa.ColumnElement[bool]:
    name = sa.literal(json.dumps(person_id, ensure_ascii=False).encode(), sa.LargeBinary)
    return sa.and_(
        packet.c.tenant == unit.tenant,
        material.c.tenant == packet.c.tenant,
        material.c.packet_id == packet.c.packet_id,
        sa.func.position(name.op("IN")(material.c.snapshot)) > 0,
    )


async def _fix(unit: UnitOfWork, packet_id: str, **values: Any) -> None:
    await unit.execute(
        sa.update(material).where(material.c.tenant == unit.tenant, material.c.packet_id == packet_id).values(**values)
    )


def _columns(of: Packet) -> dict[str, Any]:
    return {
        "packet_id": of.packet_id,
        "claim_id": of.claim_id,
        "owner_id": of.owner_id,
        "state": of.state,
        "step": of.step,
        "progress": of.progress,
        "attempts": of.attempts,
        "attempt_time": of.attempt_time,
        "lease_worker": of.lease.worker if of.lease else None,
        "lease_expire_time": of.lease.expire_time if of.lease else None,
        "failure_reason": of.failure_reason,
        "file_name": of.sealed.file_name if of.sealed else None,
        "size": of.sealed.size if of.sealed else None,
        "sha256": of.sealed.sha256 if of.sealed else None,
        "requested_by": of.requested_by,
        "cutoff_time": of.cutoff_time,
        "create_time": of.create_time,
        "update_time": of.update_time,
        "end_time": of.end_time,
        "version": of.version,
        "event_ids": list(of.event_ids),
    }


def _packet(row: sa.Row[Any]) -> Packet:
    return Packet(
        packet_id=row.packet_id,
        claim_id=row.claim_id,
        owner_id=row.owner_id,
        state=PacketState(row.state),
        step=PacketStep(row.step),
        progress=row.progress,
        attempts=row.attempts,
        attempt_time=row.attempt_time,
        lease=Lease(row.lease_worker, row.lease_expire_time) if row.lease_worker else None,
        failure_reason=row.failure_reason,
        sealed=Sealed(row.file_name, row.size, row.sha256) if row.sha256 else None,
        requested_by=row.requested_by,
        cutoff_time=row.cutoff_time,
        create_time=row.create_time,
        update_time=row.update_time,
        end_time=row.end_time,
        version=row.version,
        event_ids=tuple(row.event_ids),
    )
