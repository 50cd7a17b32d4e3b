"""What workflows forget of an erased person: whose they are, and of records that they made, who made them and how.

Documents, summaries, changes, files and every hash stay.
"""

from proofloop.exports.v1 import workflows_pb2 as messages
from proofloop_runtime.database import UnitOfWork

from proofloop_exports.workflows import store
from proofloop_exports.workflows.records import Stage

_BATCH = 20


async def forget(unit: UnitOfWork, person_id: str) -> None:
    """Blank the workflows that a person owned and the records that they made."""
    await store.disown(unit, person_id)
    after: store.Place | None = None
    while records := await store.contents_by(unit, person_id, after=after, limit=_BATCH):
        for record in records:
            await store.blank_record(unit, person_id, record.record_id, _without_person(record.stage, record.content))
        after = records[-1].place


def _without_person(stage: Stage, content: bytes) -> bytes:
    """Return what a record holds without its maker's own words and without how they worked."""
    if stage is not Stage.USER_MODIFICATIONS:
        return content
    message = messages.UserModifications.FromString(content)
    message.preferences.ClearField("instructions")
    for field in ("user_actions", "edits_per_minute"):
        message.ClearField(field)
    return message.SerializeToString(deterministic=True)
