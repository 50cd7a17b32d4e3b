"""Sealed entries without a database."""

import hashlib
from uuid import uuid4

import pytest
from proofloop_audit.log.domain import Draft
from proofloop_audit.log.sealing import Sealed
from proofloop_runtime.call import CallerType
from proofloop_verifier.leaf import Outcome, SubjectCommitment


@pytest.fixture(scope="session")
def new_draft():
    """Makes drafts."""

    def make(**fields) -> Draft:
        defaults = {
            "entry_id": str(uuid4()),
            "tenant": "acme",
            "service": "packets",
            "actor_type": CallerType.USER,
            "actor_id": "user-1",
            "action": "prompt.answered",
            "outcome": Outcome.SUCCESS,
            "entity_type": "prompt",
            "entity_id": "prompt-1",
        }
        return Draft(**defaults | fields)

    return make


@pytest.fixture(scope="session")
def new_sealed(new_draft):
    """Makes sealed entries; drafts that say the same have the same fingerprint."""

    def make(**fields) -> Sealed:
        draft = new_draft(**fields)
        part = draft.personal_part()
        fingerprint = hashlib.sha256(draft.fingerprint_input(part)).digest()
        return Sealed(draft, SubjectCommitment("0" * 32, hashlib.sha256(part).digest()), part, fingerprint)

    return make
