"""Says that a person was erased, as the audit service's relay does."""

import json
from datetime import UTC, datetime
from uuid import uuid4

from nats.aio.client import Client


async def tell(
    client: Client, person: str, *, event_id: str | None = None, tenant: str = "acme", data: bytes | None = None
) -> str:
    """Publish the event, with other data where a test wants it broken; return its id."""
    headers = {
        "ce-specversion": "1.0",
        "ce-id": event_id or str(uuid4()),
        "ce-source": "/proofloop/audit",
        "ce-type": "proofloop.audit.v1.SubjectErased",
        "ce-time": datetime.now(UTC).isoformat(),
        "ce-tenant": tenant,
        "ce-service": "audit",
        "ce-action": "subject.erased",
        "ce-subject": "0" * 32,
        "ce-entitytype": "subject",
        "ce-actortype": "user",
        "ce-actorid": "cora",
    }
    data = data or json.dumps({"subjectId": person, "pseudonym": "0" * 32}).encode()
    await client.jetstream().publish(f"proofloop.event.{tenant}.audit.subject.erased", data, headers=headers)
    return headers["ce-id"]
