"""What sessions forget of an erased person: whose they are, their words, and the names of their files.

States, times, kinds, figures, and hashes and sizes of files stay.
"""

from proofloop_runtime.database import UnitOfWork

from proofloop_audit.sessions import forgetting_store


async def forget(unit: UnitOfWork, person_id: str) -> None:
    """Blank the sessions of a person and the events of these."""
    await forgetting_store.blank_of(unit, person_id)
