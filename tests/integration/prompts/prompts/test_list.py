"""ListPrompts: filters, pages, and what a claimant may list."""

from uuid import uuid4

from proofloop.prompts.v1 import prompts_pb2 as prompts
from proofloop.prompts.v1.prompts_service_pb2 import ListPromptsRequest


def ids(listed) -> list[str]:
    return [prompt.prompt_id for prompt in listed]


async def test_prompts_are_listed_by_claim_assignee_and_state(ask, ann, packets, answering):
    claim = str(uuid4())
    mine, bobs, elsewhere = await ask(claim_id=claim), await ask(claim_id=claim, assignee_id="bob"), await ask()
    await ann.AnswerPrompt(answering(mine))

    async def listed(**wanted) -> list[str]:
        return ids((await packets.ListPrompts(ListPromptsRequest(**wanted))).prompts)

    assert await listed() == ids([mine, bobs, elsewhere])
    assert await listed(claim_id=claim.upper()) == ids([mine, bobs])
    assert await listed(assignee_id="bob") == ids([bobs])
    assert await listed(states=[prompts.PROMPT_STATE_ANSWERED]) == ids([mine])
    waiting = [prompts.PROMPT_STATE_PENDING, prompts.PROMPT_STATE_DELIVERED]
    assert await listed(claim_id=claim, states=waiting) == ids([bobs])
    assert await listed(claim_id=str(uuid4())) == []


async def test_a_claimant_lists_their_own_and_that_delivers_nothing(ask, ann):
    mine = await ask()
    await ask(assignee_id="bob")
    for request in (ListPromptsRequest(), ListPromptsRequest(assignee_id="ann")):
        assert list((await ann.ListPrompts(request)).prompts) == [mine]


async def test_pages_hold_every_prompt_once_though_more_are_asked_meanwhile(ask, packets):
    before = [await ask() for _ in range(5)]
    request, seen = ListPromptsRequest(page_size=2), []
    while True:
        page = await packets.ListPrompts(request)
        seen += page.prompts
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
        if len(seen) == 2:
            late = await ask()
    assert seen == [*before, late]


async def test_the_last_page_has_no_token_even_when_it_is_full(ask, packets):
    for _ in range(2):
        await ask()
    assert not (await packets.ListPrompts(ListPromptsRequest(page_size=2))).next_page_token
