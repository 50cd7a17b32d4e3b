"""What is refused, with which reason, and that nothing has changed then."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from proofloop.prompts.v1.prompts_service_pb2 import (
    CancelPromptRequest,
    GetPromptRequest,
    ListPromptsRequest,
    WatchPromptsRequest,
)


@pytest.fixture
def unchanged(look):
    """Checks that a prompt is as it was."""

    async def check(prompt) -> None:
        assert await look(prompt) == prompt

    return check


def at(time: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(time)
    return message


async def test_an_option_that_was_not_offered(ask, ann, answering, refused, unchanged):
    asked = await ask()
    with refused("INVALID_ARGUMENT", "OPTION_UNKNOWN") as caught:
        await ann.AnswerPrompt(answering(asked, option_id="maybe"))
    assert caught.refusal.fields == ("option_id",)
    assert caught.refusal.metadata["options"] == "yes,no"
    await unchanged(asked)


async def test_text_where_only_options_are_taken(ask, ann, answering, refused, unchanged):
    asked = await ask()
    with refused("INVALID_ARGUMENT", "FREE_TEXT_NOT_ALLOWED") as caught:
        await ann.AnswerPrompt(answering(asked, text="Well…"))
    assert caught.refusal.fields == ("text",)
    await unchanged(asked)


async def test_an_answer_bound_to_another_text(ask, ann, answering, refused, unchanged):
    asked, other = await ask(), await ask(question="Were 28 units delivered?")
    with refused("FAILED_PRECONDITION", "SHOWN_DIFFERS") as caught:
        await ann.AnswerPrompt(answering(asked, shown_sha256=other.shown_sha256))
    assert caught.refusal.metadata["shown_sha256"] == asked.shown_sha256
    assert caught.refusal.conditions == (f"prompts/{asked.prompt_id}",)
    await unchanged(asked)


async def test_a_second_answer(ask, ann, answering, refused, unchanged):
    answered = (await ann.AnswerPrompt(answering(await ask()))).prompt
    with refused("FAILED_PRECONDITION", "PROMPT_ANSWERED") as caught:
        await ann.AnswerPrompt(answering(answered, option_id="no"))
    assert caught.refusal.conditions == (f"prompts/{answered.prompt_id}",)
    await unchanged(answered)


async def test_an_answer_to_a_withdrawn_prompt_and_a_second_withdrawal(
    ask, ann, packets, answering, cancelling, refused, unchanged
):
    cancelled = (await packets.CancelPrompt(cancelling(await ask()))).prompt
    with refused("FAILED_PRECONDITION", "PROMPT_CANCELLED"):
        await ann.AnswerPrompt(answering(cancelled))
    with refused("FAILED_PRECONDITION", "PROMPT_CANCELLED"):
        await packets.CancelPrompt(cancelling(cancelled))
    await unchanged(cancelled)


async def test_a_withdrawal_of_what_is_answered(ask, ann, packets, answering, cancelling, refused, unchanged):
    answered = (await ann.AnswerPrompt(answering(await ask()))).prompt
    with refused("FAILED_PRECONDITION", "PROMPT_ANSWERED"):
        await packets.CancelPrompt(cancelling(answered))
    await unchanged(answered)


async def test_a_withdrawal_under_a_stale_etag(ask, ann, packets, cancelling, refused):
    asked = await ask()
    delivered = (await ann.GetPrompt(GetPromptRequest(prompt_id=asked.prompt_id))).prompt
    with refused("ABORTED", "ETAG_STALE") as caught:
        await packets.CancelPrompt(cancelling(asked, etag=asked.etag))
    assert caught.refusal.metadata["etag"] == delivered.etag


async def test_somebody_elses_prompt(ask, as_person, answering, refused, unchanged):
    asked = await ask()
    async with as_person("bob", "claimant") as bob:
        with refused("PERMISSION_DENIED", "NOT_OWNER"):
            await bob.GetPrompt(GetPromptRequest(prompt_id=asked.prompt_id))
        with refused("PERMISSION_DENIED", "NOT_OWNER"):
            await bob.AnswerPrompt(answering(asked))
        with refused("PERMISSION_DENIED", "NOT_OWNER"):
            await bob.ListPrompts(ListPromptsRequest(assignee_id="ann"))
        with refused("PERMISSION_DENIED", "NOT_OWNER"):
            await bob.WatchPrompts(WatchPromptsRequest(claim_id=asked.claim_id)).read()
    async with as_person("rita", "reviewer") as rita:
        with refused("PERMISSION_DENIED", "NOT_OWNER"):
            await rita.AnswerPrompt(answering(asked))
    await unchanged(asked)


async def test_another_tenants_prompt_is_as_if_there_were_none(
    ask, as_person, answering, cancelling, refused, unchanged
):
    asked = await ask()
    async with as_person("ann", "claimant", "reviewer", tenant="globex") as namesake:
        with refused("NOT_FOUND", "PROMPT_NOT_FOUND"):
            await namesake.GetPrompt(GetPromptRequest(prompt_id=asked.prompt_id))
        with refused("NOT_FOUND", "PROMPT_NOT_FOUND"):
            await namesake.AnswerPrompt(answering(asked))
        with refused("NOT_FOUND", "PROMPT_NOT_FOUND"):
            await namesake.CancelPrompt(cancelling(asked))
        assert not (await namesake.ListPrompts(ListPromptsRequest(claim_id=asked.claim_id))).prompts
    await unchanged(asked)


async def test_an_id_that_nothing_has(packets, refused):
    nothing = str(uuid4())
    with refused("NOT_FOUND", "PROMPT_NOT_FOUND") as caught:
        await packets.GetPrompt(GetPromptRequest(prompt_id=nothing))
    assert caught.refusal.metadata["prompt_id"] == nothing
    with refused("NOT_FOUND", "PROMPT_NOT_FOUND"):
        await packets.CancelPrompt(CancelPromptRequest(request_id=str(uuid4()), prompt_id=nothing, reason="none"))


async def test_a_role_that_the_contract_does_not_name(ask, ann, as_person, asking, answering, cancelling, refused):
    asked = await ask()
    with refused("PERMISSION_DENIED", "ROLE_MISSING"):
        await ann.CreatePrompt(asking())
    with refused("PERMISSION_DENIED", "ROLE_MISSING"):
        await ann.CancelPrompt(cancelling(asked))
    async with as_person("ann", "auditor") as auditor:
        with refused("PERMISSION_DENIED", "ROLE_MISSING"):
            await auditor.AnswerPrompt(answering(asked))
    async with as_person("olga", "operator") as operator:
        with refused("PERMISSION_DENIED", "ROLE_MISSING"):
            await operator.WatchPrompts(WatchPromptsRequest()).read()


@pytest.mark.parametrize("lifetime", [timedelta(0), timedelta(days=-1), timedelta(days=366, minutes=1)])
async def test_an_expiry_that_has_passed_or_is_too_far_ahead(packets, asking, refused, lifetime):
    with refused("INVALID_ARGUMENT", "EXPIRE_TIME_OUT_OF_RANGE") as caught:
        await packets.CreatePrompt(asking(expire_time=at(datetime.now(UTC) + lifetime)))
    assert caught.refusal.fields == ("expire_time",)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"question": ""}, "question"),
        ({"question": "a\0b"}, "question"),
        ({"options": [], "free_text_allowed": False}, ""),
        ({"claim_id": "4711"}, "claim_id"),
        ({"expire_time": Timestamp(seconds=1, nanos=-1)}, "expire_time"),
        ({"expire_time": Timestamp(seconds=1, nanos=2_000_000_000)}, "expire_time"),
    ],
)
async def test_a_wrong_field_is_named(packets, asking, refused, fields, named):
    with refused("INVALID_ARGUMENT", "INVALID_FIELD") as caught:
        await packets.CreatePrompt(asking(**fields))
    assert caught.refusal.fields == (named,)


async def test_a_page_token_of_other_filters(ask, packets, refused):
    for _ in range(2):
        await ask()
    page = await packets.ListPrompts(ListPromptsRequest(page_size=1))
    with refused("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID"):
        await packets.ListPrompts(ListPromptsRequest(assignee_id="ann", page_token=page.next_page_token))
    with refused("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID"):
        await packets.ListPrompts(ListPromptsRequest(page_token="!"))
