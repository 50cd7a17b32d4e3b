"""EvidenceService."""

import asyncio
import hashlib
import os
from pathlib import Path
from uuid import uuid4

import pytest
from google.api.httpbody_pb2 import HttpBody
from proofloop.packets.v1 import evidence_pb2
from proofloop.packets.v1 import evidence_service_pb2 as contract

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63f8ffff3f0005fe02fe0def46b8"
    "0000000049454e44ae426082"
)
MAIL = (
    b"From: a@example.com\r\nTo: b@example.com\r\nDate: Fri, 2 Jan 2026 10:00:00 +0000\r\n"
    b"Subject: Short\r\n\r\n28 units\r\n"
)
CSV = b"sku,billed,received\nA-100,40,28\n"


async def messages(*requests: contract.UploadEvidenceRequest):
    for request in requests:
        yield request


def first(**fields) -> contract.UploadEvidenceRequest:
    defaults = {
        "claim_id": str(uuid4()),
        "file_name": "a.txt",
        "request_id": str(uuid4()),
        "body": HttpBody(data=b"text"),
    }
    return contract.UploadEvidenceRequest(**defaults | fields)


def spooled(folder: Path) -> list[Path]:
    return [path for path in folder.glob("proofloop-packets-*/*") if path.is_file()]


async def test_a_file_comes_back_byte_for_byte(ann) -> None:
    claim = await ann.open_claim()
    content = os.urandom(1_000_001)
    evidence = await ann.upload(claim.claim_id, content, "Rechnung Nº 7.bin", pieces=7)
    assert evidence.sha256 == hashlib.sha256(content).hexdigest()
    assert evidence.md5 == hashlib.md5(content, usedforsecurity=False).hexdigest()
    assert (evidence.size, evidence.file_name) == (len(content), "Rechnung Nº 7.bin")
    assert (evidence.claim_id, evidence.uploaded_by) == (claim.claim_id, "ann")
    pieces = await ann.download(evidence.evidence_id)
    assert b"".join(piece.data for piece in pieces) == content
    assert max(len(piece.data) for piece in pieces) <= 256 * 1024
    assert [piece.content_type for piece in pieces] == ["application/octet-stream", *[""] * (len(pieces) - 1)]


@pytest.mark.parametrize(
    ("content", "name", "media_type", "fact"),
    [
        (PNG, "label.pdf", "image/png", ("width", 1)),
        (MAIL, "thread.eml", "message/rfc822", ("subject", "Short")),
        (CSV, "ledger.csv", "text/csv", ("columns", ["sku", "billed", "received"])),
    ],
)
async def test_the_type_is_what_the_content_is_and_its_facts_are_told(ann, content, name, media_type, fact) -> None:
    claim = await ann.open_claim()
    evidence = await ann.upload(claim.claim_id, content, name)
    assert evidence.media_type == media_type
    told = evidence.metadata[fact[0]]
    assert (list(told) if isinstance(fact[1], list) else told) == fact[1]


async def test_a_broken_file_is_kept_and_marked(ann) -> None:
    claim = await ann.open_claim()
    evidence = await ann.upload(claim.claim_id, b"%PDF-1.7\n1 0 obj\n<<", "cut.pdf")
    assert evidence.state == evidence_pb2.EVIDENCE_STATE_RECEIVED
    assert evidence_pb2.EVIDENCE_MARK_TRUNCATED in evidence.marks


async def test_the_record_can_be_got_and_listed_in_order(ann) -> None:
    claim = await ann.open_claim()
    uploaded = [await ann.upload(claim.claim_id, b"%d" % number, f"{number}.txt") for number in range(3)]
    got = await ann.evidence.GetEvidence(contract.GetEvidenceRequest(evidence_id=uploaded[1].evidence_id))
    assert got.evidence == uploaded[1]
    page = await ann.evidence.ListEvidence(contract.ListEvidenceRequest(claim_id=claim.claim_id, page_size=2))
    rest = await ann.evidence.ListEvidence(
        contract.ListEvidenceRequest(claim_id=claim.claim_id, page_token=page.next_page_token)
    )
    assert [*page.evidence, *rest.evidence] == uploaded
    assert not rest.next_page_token


async def test_the_same_bytes_are_kept_once_whoever_hands_them_in(ann, ben, bucket) -> None:
    content = os.urandom(1000)
    of_ann = await ann.upload((await ann.open_claim()).claim_id, content)
    of_ben = await ben.upload((await ben.open_claim()).claim_id, content)
    assert of_ann.evidence_id != of_ben.evidence_id
    assert of_ann.sha256 == of_ben.sha256
    assert b"".join(piece.data for piece in await ben.download(of_ben.evidence_id)) == content


async def test_a_repeated_upload_is_one_however_it_is_cut(ann) -> None:
    claim = await ann.open_claim()
    request_id = str(uuid4())
    answers = await asyncio.gather(
        *(ann.upload(claim.claim_id, b"0123456789", pieces=pieces, request_id=request_id) for pieces in (1, 2, 10))
    )
    assert len({answer.evidence_id for answer in answers}) == 1
    listed = await ann.evidence.ListEvidence(contract.ListEvidenceRequest(claim_id=claim.claim_id))
    assert len(listed.evidence) == 1


async def test_another_file_under_the_same_request_id_is_refused(ann, refused) -> None:
    claim = await ann.open_claim()
    request_id = str(uuid4())
    await ann.upload(claim.claim_id, b"one", request_id=request_id)
    with refused("FAILED_PRECONDITION", "REQUEST_ID_REUSED"):
        await ann.upload(claim.claim_id, b"two", request_id=request_id)


async def test_the_first_message_must_carry_what_only_it_can(ann, refused) -> None:
    claim = await ann.open_claim()
    with refused("INVALID_ARGUMENT", "INVALID_FIELD") as seen:
        await ann.evidence.UploadEvidence(messages(contract.UploadEvidenceRequest(claim_id=claim.claim_id)))
    assert seen[0].fields == ("file_name", "request_id")
    with refused("INVALID_ARGUMENT", "INVALID_FIELD") as seen:
        await ann.evidence.UploadEvidence(messages())
    assert seen[0].fields == ("claim_id", "file_name", "request_id")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"claim_id": "1"}, "claim_id"),
        ({"request_id": "1"}, "request_id"),
        ({"file_name": "../a"}, "file_name"),
        ({"file_name": "a\\b"}, "file_name"),
        ({"file_name": "a\nb"}, "file_name"),
        ({"file_name": "x" * 256}, "file_name"),
    ],
)
async def test_a_wrong_field_is_named(ann, refused, fields, named) -> None:
    with refused("INVALID_ARGUMENT", "INVALID_FIELD") as seen:
        await ann.evidence.UploadEvidence(messages(first(**fields)))
    assert seen[0].fields == (named,)


async def test_a_file_without_bytes_is_refused(ann, refused) -> None:
    claim = await ann.open_claim()
    with refused("INVALID_ARGUMENT", "FILE_EMPTY") as seen:
        await ann.upload(claim.claim_id, b"")
    assert seen[0].fields == ("body",)


async def test_an_upload_that_breaks_off_leaves_nothing(ann, tmp_path: Path, eventually) -> None:
    claim = await ann.open_claim()
    cut_off = asyncio.Event()

    async def breaking():
        yield first(claim_id=claim.claim_id)
        await cut_off.wait()

    async def kept() -> bool:
        return bool(spooled(tmp_path))

    upload = ann.evidence.UploadEvidence(breaking())
    await eventually(kept)
    upload.cancel()

    async def gone() -> bool:
        return not spooled(tmp_path)

    await eventually(gone)
    listed = await ann.evidence.ListEvidence(contract.ListEvidenceRequest(claim_id=claim.claim_id))
    assert not listed.evidence


async def test_a_file_past_the_limit_is_refused_and_leaves_nothing(replica, connect, refused, tmp_path: Path) -> None:
    async with replica(file_bytes=10) as service, connect(service, "ann", "claimant") as ann:
        claim = await ann.open_claim()
        with refused("INVALID_ARGUMENT", "FILE_TOO_LARGE") as seen:
            await ann.upload(claim.claim_id, b"0123456789a", pieces=3)
        assert seen[0].metadata["limit_bytes"] == "10"
        assert (await ann.upload(claim.claim_id, b"0123456789")).size == 10
        assert not spooled(tmp_path)


@pytest.mark.parametrize(
    ("limits", "named"),
    [({"claim_files": 2}, {"limit_files": "2"}), ({"claim_bytes": 10}, {"limit_bytes": "10"})],
)
async def test_a_full_claim_takes_no_more_but_repeats_its_answers(replica, connect, refused, limits, named) -> None:
    async with replica(**limits) as service, connect(service, "ann", "claimant") as ann:
        claim = await ann.open_claim()
        request_id = str(uuid4())
        await ann.upload(claim.claim_id, b"01234")
        kept = await ann.upload(claim.claim_id, b"56789", request_id=request_id)
        with refused("FAILED_PRECONDITION", "CLAIM_FULL") as seen:
            await ann.upload(claim.claim_id, b"a")
        assert (seen[0].conditions, seen[0].metadata) == ((claim.claim_id,), named)
        assert await ann.upload(claim.claim_id, b"56789", request_id=request_id) == kept


async def test_of_files_that_arrive_together_only_as_many_are_taken_as_fit(replica, connect) -> None:
    async with replica(claim_files=3) as service, connect(service, "ann", "claimant") as ann:
        claim = await ann.open_claim()
        uploads = [ann.upload(claim.claim_id, b"%d" % number) for number in range(8)]
        results = await asyncio.gather(*uploads, return_exceptions=True)
        assert sum(isinstance(result, evidence_pb2.Evidence) for result in results) == 3


async def test_an_unknown_claim_takes_nothing(ann, refused) -> None:
    with refused("NOT_FOUND", "CLAIM_NOT_FOUND"):
        await ann.upload(str(uuid4()), b"x")
    with refused("NOT_FOUND", "CLAIM_NOT_FOUND"):
        await ann.evidence.ListEvidence(contract.ListEvidenceRequest(claim_id=str(uuid4())))


async def test_unknown_evidence_is_not_found(ann, refused) -> None:
    with refused("NOT_FOUND", "EVIDENCE_NOT_FOUND"):
        await ann.evidence.GetEvidence(contract.GetEvidenceRequest(evidence_id=str(uuid4())))
    with refused("NOT_FOUND", "EVIDENCE_NOT_FOUND"):
        await ann.download(str(uuid4()))


async def test_another_claimants_evidence_is_refused(ann, ben, refused) -> None:
    claim = await ann.open_claim()
    evidence = await ann.upload(claim.claim_id, b"x")
    with refused("PERMISSION_DENIED", "NOT_OWNER"):
        await ben.upload(claim.claim_id, b"x")
    with refused("PERMISSION_DENIED", "NOT_OWNER"):
        await ben.evidence.GetEvidence(contract.GetEvidenceRequest(evidence_id=evidence.evidence_id))
    with refused("PERMISSION_DENIED", "NOT_OWNER"):
        await ben.evidence.ListEvidence(contract.ListEvidenceRequest(claim_id=claim.claim_id))
    with refused("PERMISSION_DENIED", "NOT_OWNER"):
        await ben.download(evidence.evidence_id)


async def test_another_tenants_evidence_is_not_found(ann, stranger, refused) -> None:
    claim = await ann.open_claim()
    evidence = await ann.upload(claim.claim_id, b"x")
    with refused("NOT_FOUND", "CLAIM_NOT_FOUND"):
        await stranger.upload(claim.claim_id, b"x")
    with refused("NOT_FOUND", "EVIDENCE_NOT_FOUND"):
        await stranger.evidence.GetEvidence(contract.GetEvidenceRequest(evidence_id=evidence.evidence_id))
    with refused("NOT_FOUND", "EVIDENCE_NOT_FOUND"):
        await stranger.download(evidence.evidence_id)


async def test_reviewers_see_and_add_and_auditors_only_see(ann, rita, audrey, refused) -> None:
    claim = await ann.open_claim()
    evidence = await rita.upload(claim.claim_id, b"x")
    assert evidence.uploaded_by == "rita"
    assert b"".join(piece.data for piece in await audrey.download(evidence.evidence_id)) == b"x"
    with refused("PERMISSION_DENIED", "ROLE_MISSING"):
        await audrey.upload(claim.claim_id, b"x")
