"""What claims, evidence and packets forget of an erased person.

Facts, files, their hashes and sealed packets stay: they are what a claim is about.
"""

from proofloop_runtime.database import UnitOfWork
from proofloop_runtime.errors import Overloaded

from proofloop_packets.claims import store as claims
from proofloop_packets.evidence import store as evidence
from proofloop_packets.evidence.metadata import Fact
from proofloop_packets.packets import store as packets


async def forget(unit: UnitOfWork, person_id: str) -> None:
    """Blank whose claims and packets they were, who handed files in, and their address in the metadata of files.

    Raises:
        Overloaded: a packet that names them is being made, and would not be the same without what it has fixed.
    """
    if await packets.is_being_told_of(unit, person_id):
        raise Overloaded("a packet that names the person is being made")
    await claims.disown(unit, person_id)
    await packets.disown(unit, person_id)
    await packets.drop_snapshots(unit, person_id)
    await evidence.disown(unit, person_id)
    # An id that is no address says nothing in the words of a file.
    if "@" in person_id:
        for file in await evidence.mentioning(unit, person_id):
            metadata = {name: _without(fact, person_id.lower()) for name, fact in file.metadata.items()}
            await evidence.put_metadata(unit, file.evidence_id, metadata)


def _without(fact: Fact, address: str) -> Fact:
    """Return a fact with every text blanked that holds the address."""
    match fact:
        case str():
            return "" if address in fact.lower() else fact
        case list():
            return [_without(each, address) for each in fact]
        case dict():
            return {name: _without(each, address) for name, each in fact.items()}
        case _:
            return fact
