"""The log without gRPC: from requests to receipts, in this process."""

import asyncio
import gc
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from proofloop.audit.v1 import log_service_pb2 as contract
from proofloop_audit.log import conversion, handlers
from proofloop_audit.log.domain import Draft
from proofloop_audit.log.sealing import Sealer
from proofloop_audit.log.sequencer import Sequencer
from proofloop_local.servers.postgres import Database as Place
from proofloop_runtime.breaker import Breakers
from proofloop_runtime.call import background
from proofloop_runtime.database import DEPENDENCY, Database, is_unavailable
from proofloop_runtime.ports import FileKeyStore, SystemClock, SystemRandomness
from proofloop_runtime.server import settle_garbage
from stand import TENANT, Stand

QUEUE = 10_000
_CALL = background("prompts", TENANT)


class Log:
    """A log as the service keeps it."""

    def __init__(self, sealer: Sealer, sequencer: Sequencer) -> None:
        self._sealer = sealer
        self._sequencer = sequencer

    async def append(self, drafts: Sequence[Draft]) -> None:
        """Append entries, and wait until they stand in the log."""
        await handlers.append(drafts, sealer=self._sealer, sequencer=self._sequencer)


def to_draft(request: contract.AppendEntryRequest) -> Draft:
    """Return what a request asks for."""
    return conversion.to_draft(request.request_id, request.draft, _CALL)


@asynccontextmanager
async def open_log(stand: Stand, place: Place) -> AsyncIterator[Log]:
    """Keep a log in a database inside the block, as a service does that collects garbage seldom."""
    thresholds = gc.get_threshold()
    settle_garbage()
    clock, randomness = SystemClock(), SystemRandomness()
    breakers = Breakers(clock)
    database = Database(place.application_url, "audit", clock, breakers, 4)
    sealer = Sealer(database, FileKeyStore.load(stand.keys.master_key, randomness), randomness)
    sequencer = Sequencer(database, sealer, breakers.get(DEPENDENCY, is_unavailable), [TENANT], clock, QUEUE)
    running = asyncio.ensure_future(sequencer.run())
    try:
        yield Log(sealer, sequencer)
    finally:
        running.cancel()
        await asyncio.wait([running])
        await database.close()
        gc.set_threshold(*thresholds)
        gc.unfreeze()
