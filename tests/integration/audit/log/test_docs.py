"""The example of docs/audit.md does what the page says."""

import re
from pathlib import Path

import pytest
from proofloop.audit.v1 import log_service_pb2 as contract
from proofloop_verifier.merkle import ProofError
from proofloop_verifier.note import VerifierKey

PAGE = Path(__file__).parents[4] / "docs" / "audit.md"


async def test_a_third_party_checks_an_entry_as_the_page_shows(log, append_many) -> None:
    [example] = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(example, str(PAGE), "exec"), names)  # noqa: S102 -- the page is ours, and must work
    receipts = await append_many(5, reason="why")
    checkpoint = (await log.GetCheckpoint(contract.GetCheckpointRequest())).checkpoint
    trusted = VerifierKey.parse(checkpoint.verifier_key)
    entry = (await log.GetEntry(contract.GetEntryRequest(entry_id=receipts[3].entry_id))).entry
    request = contract.GetInclusionProofRequest(entry_id=entry.entry_id, tree_size=checkpoint.tree_size)
    proof = (await log.GetInclusionProof(request)).proof
    names["check"](entry, proof, checkpoint.note, trusted)
    entry.personal_parts[0].part = entry.personal_parts[0].part.replace("why", "who")
    with pytest.raises(AssertionError):
        names["check"](entry, proof, checkpoint.note, trusted)
    entry.leaf = entry.leaf.replace(b"success", b"failure")
    with pytest.raises(ProofError):
        names["check"](entry, proof, checkpoint.note, trusted)
