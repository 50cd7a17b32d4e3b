"""GenerateDeliverable and DownloadDeliverable."""

import csv
import hashlib
import io
import json

import grpc
import pytest
from obstore.store import S3Store
from proofloop.exports.v1 import workflows_pb2 as messages
from proofloop.exports.v1 import workflows_service_pb2 as contract

FAILED_PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION


@pytest.fixture
def kept(exports_settings) -> S3Store:
    return S3Store(
        exports_settings.s3_bucket,
        endpoint=exports_settings.s3_endpoint,
        region=exports_settings.s3_region,
        access_key_id=exports_settings.s3_access_key,
        secret_access_key=exports_settings.s3_secret_key.get_secret_value(),
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )


async def download(stub, workflow_id: str, record_id: str = "") -> tuple[bytes, str, str]:
    """The bytes, the media type and the content disposition."""
    call = stub.DownloadDeliverable(contract.DownloadDeliverableRequest(workflow_id=workflow_id, record_id=record_id))
    pieces = [response.body async for response in call]
    (media_type,) = {piece.content_type for piece in pieces}
    disposition = dict(await call.initial_metadata())["content-disposition"]
    return b"".join(piece.data for piece in pieces), media_type, disposition


async def test_a_deliverable_is_made_as_the_preferences_say(workflows, requests) -> None:
    completed = await requests.completed(workflows)
    deliverable = completed.final_deliverable.deliverable
    content, media_type, disposition = await download(workflows, completed.workflow_id)
    day = completed.update_time.ToDatetime().date()
    assert list(csv.DictReader(io.StringIO(content.decode(), newline=""))) == [
        {"sku": "A-100", "billed": "40", "received": "28"},
        {"sku": "B-200", "billed": "12", "received": "12"},
    ]
    assert deliverable.file_name == f"invoice-4711_ledger_{day}.csv"
    assert (deliverable.size, deliverable.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert deliverable.stored
    assert media_type == deliverable.media_type == "text/csv; charset=utf-8; header=present"
    name = deliverable.file_name
    assert disposition == f"attachment; filename=\"{name}\"; filename*=UTF-8''{name}"


async def test_a_deliverable_is_made_as_the_call_says(workflows, requests) -> None:
    reviewed = await requests.reviewed(workflows)
    request = requests.generate(reviewed.workflow_id, format=messages.FORMAT_JSON, template=messages.TEMPLATE_DETAILED)
    completed = (await workflows.GenerateDeliverable(request)).workflow
    content, media_type, _ = await download(workflows, completed.workflow_id)
    assert media_type == "application/json"
    assert json.loads(content) == {"summary": request.final_summary.text, "data": json.loads(requests.modified)}
    assert b'"total": 1240.50' in content


async def test_the_same_data_gives_the_same_bytes(workflows, requests) -> None:
    one, other = await requests.completed(workflows), await requests.completed(workflows)
    assert one.final_deliverable.deliverable.sha256 == other.final_deliverable.deliverable.sha256


async def test_a_new_revision_leaves_the_earlier_deliverable(workflows, requests, refused) -> None:
    completed = await requests.completed(workflows)
    workflow_id, earlier = completed.workflow_id, completed.final_deliverable.record.record_id
    before = await download(workflows, workflow_id)
    request = requests.generate(workflow_id, new_revision=True, format=messages.FORMAT_JSON)
    revised = (await workflows.GenerateDeliverable(request)).workflow
    assert revised.final_deliverable.record.revision == 2
    assert await download(workflows, workflow_id, earlier) == before
    assert await download(workflows, workflow_id) != before
    review = completed.user_modifications.record.record_id
    await refused(download(workflows, workflow_id, review), grpc.StatusCode.NOT_FOUND, "RECORD_NOT_FOUND")


async def test_there_is_nothing_to_download_before_stage_three(workflows, requests, refused) -> None:
    reviewed = await requests.reviewed(workflows)
    await refused(download(workflows, reviewed.workflow_id), FAILED_PRECONDITION, "NO_DELIVERABLE")


async def test_what_was_made_elsewhere_cannot_be_downloaded(workflows, requests, refused) -> None:
    reviewed = await requests.reviewed(workflows)
    await workflows.RecordFinalDeliverable(requests.external(reviewed.workflow_id))
    await refused(download(workflows, reviewed.workflow_id), FAILED_PRECONDITION, "DELIVERABLE_NOT_STORED")


async def test_an_unknown_record_is_not_found(workflows, requests, refused) -> None:
    completed = await requests.completed(workflows)
    unknown = {"workflow_id": completed.workflow_id, "record_id": completed.workflow_id}
    call = workflows.GetWorkflow(contract.GetWorkflowRequest(**unknown))
    await refused(call, grpc.StatusCode.NOT_FOUND, "RECORD_NOT_FOUND")
    await refused(download(workflows, **unknown), grpc.StatusCode.NOT_FOUND, "RECORD_NOT_FOUND")


async def test_a_template_without_its_data_is_refused(workflows, requests, refused) -> None:
    begun = await requests.begun(workflows, extracted_data_json="[1, 2]")
    review = requests.modifications(begun.workflow_id, original_data_json="[1, 2]", modified_data_json="[1, 2]")
    await workflows.RecordUserModifications(review)
    call = workflows.GenerateDeliverable(requests.generate(begun.workflow_id))
    await refused(call, FAILED_PRECONDITION, "TEMPLATE_NOT_APPLICABLE")


async def test_a_table_that_would_be_too_large_is_refused(workflows, requests, refused) -> None:
    wide = "[" + ",".join(f'{{"{number}":0}}' for number in range(30_000)) + "]"
    begun = await requests.begun(workflows, extracted_data_json=wide)
    review = requests.modifications(begun.workflow_id, original_data_json=wide, modified_data_json=wide)
    await workflows.RecordUserModifications(review)
    call = workflows.GenerateDeliverable(requests.generate(begun.workflow_id))
    await refused(call, FAILED_PRECONDITION, "DELIVERABLE_TOO_LARGE")


@pytest.mark.parametrize("damage", ["changed", "cut", "removed"])
async def test_damaged_bytes_never_arrive_complete(damage, workflows, requests, refused, kept) -> None:
    # Its own data, for the same bytes are kept once for all workflows.
    begun = await requests.begun(workflows, extracted_data_json=f'[{{"damage": "{damage}"}}]')
    document = begun.initial_summary.extracted_data_json
    review = requests.modifications(begun.workflow_id, original_data_json=document, modified_data_json=document)
    await workflows.RecordUserModifications(review)
    completed = (await workflows.GenerateDeliverable(requests.generate(begun.workflow_id))).workflow
    content, _, _ = await download(workflows, completed.workflow_id)
    key = f"acme/deliverables/{completed.final_deliverable.deliverable.sha256}"
    if damage == "removed":
        await kept.delete_async(key)
    else:
        await kept.put_async(key, content[:-1] if damage == "cut" else content[:-1] + b"X")
    arrived = bytearray()

    async def download_again() -> None:
        request = contract.DownloadDeliverableRequest(workflow_id=completed.workflow_id)
        async for response in workflows.DownloadDeliverable(request):
            arrived.extend(response.body.data)

    await refused(download_again(), grpc.StatusCode.DATA_LOSS, "DELIVERABLE_CORRUPT")
    assert arrived == b""


async def test_a_large_deliverable_comes_in_pieces(workflows, requests) -> None:
    rows = "[" + ",".join(f'{{"id":{number}}}' for number in range(30_000)) + "]"
    begun = await requests.begun(workflows, extracted_data_json=rows)
    review = requests.modifications(begun.workflow_id, original_data_json=rows, modified_data_json=rows)
    await workflows.RecordUserModifications(review)
    request = requests.generate(begun.workflow_id, format=messages.FORMAT_JSON)
    completed = (await workflows.GenerateDeliverable(request)).workflow
    call = workflows.DownloadDeliverable(contract.DownloadDeliverableRequest(workflow_id=completed.workflow_id))
    sizes = [len(response.body.data) async for response in call]
    assert sum(sizes) == completed.final_deliverable.deliverable.size
    assert len(sizes) > 1
    assert max(sizes) <= 256 * 1024
