"""What workflows forget of a person when the audit service says that they were erased."""

import asyncpg
import erasures
import nats
import pytest
from leftovers import tables_that_say
from proofloop.exports.v1 import workflows_pb2 as messages
from proofloop.exports.v1 import workflows_service_pb2 as contract

ANN = "ann@example.com"
WORDS = "Ann says: show the shortfall."


@pytest.fixture
async def superuser(postgres, exports_database):
    connection = await asyncpg.connect(f"{postgres.superuser_url.rpartition('/')[0]}/{exports_database.name}")
    yield connection
    await connection.close()


async def test_a_workflow_forgets_an_erased_person_and_keeps_what_they_recorded(
    exports, workflows, requests, connect, exports_settings, superuser, eventually
) -> None:
    ann = await connect(exports, ANN, "claimant")
    begun = await requests.begun(ann, owner_id=ANN)
    preferences = messages.Preferences(
        instructions=WORDS, format=messages.FORMAT_CSV, template=messages.TEMPLATE_LEDGER
    )
    await ann.RecordUserModifications(requests.modifications(begun.workflow_id, preferences=preferences))
    before = (await workflows.GenerateDeliverable(requests.generate(begun.workflow_id))).workflow
    others = await requests.reviewed(workflows)
    assert {table for text in (ANN, WORDS) for table in await tables_that_say(superuser, text)} == {
        "idempotency",
        "outbox",
        "stage_record",
        "workflow",
    }
    client = await nats.connect(exports_settings.nats_url.get_secret_value())
    await erasures.tell(client, ANN)

    async def nothing_is_left() -> bool:
        return not [table for text in (ANN, WORDS) for table in await tables_that_say(superuser, text)]

    await eventually(nothing_is_left)
    await client.close()

    async def look(workflow: messages.Workflow) -> messages.Workflow:
        request = contract.GetWorkflowRequest(workflow_id=workflow.workflow_id)
        return (await workflows.GetWorkflow(request)).workflow

    after = await look(before)
    assert (after.owner_id, [record.actor_id for record in after.records]) == ("", ["", "", "reviewer-1"])
    assert after.user_modifications.user_actions == messages.UserActions(duration={})
    # All else is as it was: the documents, their hashes, the changes, the file.
    before.owner_id = ""
    for record in (*before.records[:2], before.initial_summary.record, before.user_modifications.record):
        record.actor_id = ""
    before.user_modifications.preferences.instructions = before.user_modifications.edits_per_minute = ""
    before.user_modifications.user_actions.CopyFrom(after.user_modifications.user_actions)
    assert after == before
    download = workflows.DownloadDeliverable(contract.DownloadDeliverableRequest(workflow_id=after.workflow_id))
    assert b"".join([piece.body.data async for piece in download])
    assert await look(others) == others
