"""A request id does its work once."""

import asyncio

from proofloop.prompts.v1.prompts_service_pb2 import ListPromptsRequest


async def test_a_repeated_creation_returns_the_first_prompt_as_it_was_created(packets, ann, asking, answering):
    request = asking()
    first = (await packets.CreatePrompt(request)).prompt
    await ann.AnswerPrompt(answering(first))
    assert (await packets.CreatePrompt(request)).prompt == first


async def test_creations_repeated_at_once_make_one_prompt(packets, asking):
    request = asking()
    made = await asyncio.gather(*(packets.CreatePrompt(request) for _ in range(8)))
    assert len({response.prompt.prompt_id for response in made}) == 1
    listed = await packets.ListPrompts(ListPromptsRequest(claim_id=request.claim_id))
    assert len(listed.prompts) == 1


async def test_another_request_under_a_used_id_is_refused(packets, asking, refused):
    request = asking()
    await packets.CreatePrompt(request)
    with refused("FAILED_PRECONDITION", "REQUEST_ID_REUSED"):
        await packets.CreatePrompt(asking(request_id=request.request_id))


async def test_an_id_is_the_callers_own(packets, reviewer, asking):
    request = asking()
    mine, theirs = await packets.CreatePrompt(request), await reviewer.CreatePrompt(request)
    assert mine.prompt.prompt_id != theirs.prompt.prompt_id


async def test_answers_repeated_at_once_are_one_answer(ask, ann, answering):
    request = answering(await ask())
    answered = await asyncio.gather(*(ann.AnswerPrompt(request) for _ in range(8)))
    assert len({response.prompt.last_event_id for response in answered}) == 1


async def test_a_repeated_cancellation_returns_the_first_outcome(ask, packets, cancelling):
    request = cancelling(await ask())
    assert await packets.CancelPrompt(request) == await packets.CancelPrompt(request)


async def test_a_refused_request_may_be_repeated_when_it_can_succeed(ask, ann, answering, refused):
    asked = await ask()
    wrong = answering(asked, option_id="maybe")
    with refused("INVALID_ARGUMENT", "OPTION_UNKNOWN"):
        await ann.AnswerPrompt(wrong)
    answered = await ann.AnswerPrompt(answering(asked, request_id=wrong.request_id))
    assert answered.prompt.answer.option_id == "yes"
