"""Entries as the other services write them."""

from uuid import uuid4

from proofloop.audit.v1 import log_pb2
from proofloop.audit.v1 import log_service_pb2 as contract


def request(action: str = "prompt.answered") -> contract.AppendEntryRequest:
    """Return an entry of 700 bytes or so, leaf and personal part together."""
    return contract.AppendEntryRequest(
        request_id=str(uuid4()),
        draft=log_pb2.EntryDraft(
            actor=log_pb2.Actor(type=log_pb2.ACTOR_TYPE_USER, id="user-17"),
            action=action,
            outcome=log_pb2.OUTCOME_SUCCESS,
            entity_type="prompt",
            entity_id=str(uuid4()),
            claim_id="0190a000-0000-7000-8000-000000000001",
            details_json='{"option_id":"received_short","shown_sha256":"' + "0" * 64 + '"}',
        ),
    )
