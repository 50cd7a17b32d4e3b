"""A report on sessions, as a download."""

import io
import json
from zipfile import ZipFile, is_zipfile

import pytest
from google.protobuf import json_format
from proofloop.audit.v1 import sessions_pb2
from proofloop.audit.v1 import sessions_service_pb2 as contract


@pytest.fixture
def downloaded(sessions):
    """Returns a report's bytes, its media type and its file name."""

    async def read(stub=sessions, **fields) -> tuple[bytes, str, str]:
        call = stub.GenerateReport(contract.GenerateReportRequest(**fields))
        bodies = [response.body async for response in call]
        [media_type] = {body.content_type for body in bodies}
        name = dict(await call.initial_metadata())["content-disposition"]
        return b"".join(body.data for body in bodies), media_type, name

    return read


async def test_a_report_comes_in_every_format_under_a_name_of_its_own(
    start, end, sessions, downloaded, sessions_of, refused
) -> None:
    await end(await start())
    content, media_type, name = await downloaded(format=contract.REPORT_FORMAT_JSON, days=7, kind="invoice_parsing")
    document = json.loads(content)
    request = contract.GetStatisticsRequest(days=7, kind="invoice_parsing")
    statistics = (await sessions.GetStatistics(request)).statistics
    assert json_format.ParseDict(document["statistics"], sessions_pb2.SessionStatistics()) == statistics
    assert (document["tenant"], document["kind"], media_type) == ("acme", "invoice_parsing", "application/json")
    assert name == f'attachment; filename="sessions_acme_invoice_parsing_{statistics.last_date}.json"'

    content, media_type, name = await downloaded()
    assert (content[:5], media_type) == (b"%PDF-", "application/pdf")
    assert name == f'attachment; filename="sessions_acme_{statistics.last_date}.pdf"'
    content, media_type, name = await downloaded(format=contract.REPORT_FORMAT_XLSX)
    assert is_zipfile(io.BytesIO(content))
    assert "xl/workbook.xml" in ZipFile(io.BytesIO(content)).namelist()
    assert media_type == "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    assert name.endswith('.xlsx"')

    async with sessions_of("ann", "claimant", "reviewer") as person:
        with refused("PERMISSION_DENIED", "ROLE_MISSING"):
            await downloaded(person)
