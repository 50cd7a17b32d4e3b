"""A prompt from the question to its end."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from proofloop.prompts.v1 import prompts_pb2 as prompts
from proofloop.prompts.v1.prompts_pb2 import Option
from proofloop.prompts.v1.prompts_service_pb2 import GetPromptRequest


async def test_a_prompt_is_asked_seen_and_answered(packets, ann, asking, answering, look):
    request = asking(context="The invoice says 40.", evidence_id=str(uuid4()), reason="two documents differ")
    asked = (await packets.CreatePrompt(request)).prompt
    seen = (await ann.GetPrompt(GetPromptRequest(prompt_id=asked.prompt_id))).prompt
    answered = (await ann.AnswerPrompt(answering(seen))).prompt

    assert [p.state for p in (asked, seen, answered)] == [
        prompts.PROMPT_STATE_PENDING,
        prompts.PROMPT_STATE_DELIVERED,
        prompts.PROMPT_STATE_ANSWERED,
    ]
    assert (answered.claim_id, answered.evidence_id) == (request.claim_id, request.evidence_id)
    assert (answered.question, answered.context) == (request.question, request.context)
    assert list(answered.options) == list(request.options)
    assert answered.answer.option_id == "yes"
    assert answered.answer.shown_sha256 == asked.shown_sha256
    assert len({p.etag for p in (asked, seen, answered)}) == 3
    assert await look(asked) == answered


async def test_each_change_tells_who_did_it_when_and_why(packets, ann, asking, answering):
    asked = (await packets.CreatePrompt(asking(reason="two documents differ"))).prompt
    await ann.GetPrompt(GetPromptRequest(prompt_id=asked.prompt_id))
    answered = (await ann.AnswerPrompt(answering(asked))).prompt
    assert [(c.actor_type, c.actor_id, c.reason) for c in answered.changes] == [
        (prompts.ACTOR_TYPE_SERVICE, "packets", "two documents differ"),
        (prompts.ACTOR_TYPE_USER, "ann", "shown to the assignee"),
        (prompts.ACTOR_TYPE_USER, "ann", "answered by the assignee"),
    ]
    times = [change.change_time.ToDatetime() for change in answered.changes]
    assert times == sorted(times)
    assert answered.create_time == answered.changes[0].change_time
    assert answered.deliver_time == answered.changes[1].change_time
    assert answered.update_time == answered.answer.answer_time == answered.changes[2].change_time


async def test_the_hash_can_be_checked_with_nothing_but_json_and_sha256(ask):
    prompt = await ask(context="naïve “quotes”", options=[Option(id="a", label="Ä")], free_text_allowed=True)
    shown = {
        "context": prompt.context,
        "free_text_allowed": prompt.free_text_allowed,
        "options": [{"id": option.id, "label": option.label} for option in prompt.options],
        "question": prompt.question,
    }
    text = json.dumps(shown, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    assert prompt.shown_sha256 == hashlib.sha256(text.encode()).hexdigest()


async def test_what_is_not_said_has_the_documented_defaults(ask):
    prompt = await ask()
    assert prompt.priority == prompts.PRIORITY_NORMAL
    assert prompt.channel == prompts.CHANNEL_IN_APP
    assert prompt.expire_time.ToDatetime() - prompt.create_time.ToDatetime() <= timedelta(days=7)
    assert prompt.expire_time.ToDatetime(UTC) > datetime.now(UTC) + timedelta(days=6, hours=23)
    assert prompt.changes[0].reason == "asked"


async def test_only_the_assignees_own_look_delivers_and_only_the_first(ask, ann, reviewer, look):
    asked = await ask()
    await reviewer.GetPrompt(GetPromptRequest(prompt_id=asked.prompt_id))
    assert (await look(asked)).state == prompts.PROMPT_STATE_PENDING
    first = (await ann.GetPrompt(GetPromptRequest(prompt_id=asked.prompt_id))).prompt
    again = (await ann.GetPrompt(GetPromptRequest(prompt_id=asked.prompt_id))).prompt
    assert first.state == prompts.PROMPT_STATE_DELIVERED
    assert first == again


async def test_an_answer_may_be_text_alone_or_beside_an_option(ask, ann, answering):
    for fields in ({"option_id": "", "text": "Twelve were lost."}, {"option_id": "no", "text": "Twelve were lost."}):
        asked = await ask(free_text_allowed=True)
        answered = (await ann.AnswerPrompt(answering(asked, **fields))).prompt
        assert (answered.answer.option_id, answered.answer.text) == (fields["option_id"], fields["text"])


async def test_a_reviewer_asks_another_and_is_answered(reviewer, as_person, asking, answering):
    asked = (await reviewer.CreatePrompt(asking(assignee_id="ralf"))).prompt
    async with as_person("ralf", "reviewer") as ralf:
        answered = (await ralf.AnswerPrompt(answering(asked))).prompt
    assert answered.state == prompts.PROMPT_STATE_ANSWERED


async def test_a_withdrawn_prompt_tells_who_withdrew_it_and_why(ask, reviewer, cancelling):
    asked = await ask()
    cancelled = (await reviewer.CancelPrompt(cancelling(asked, etag=asked.etag, reason="found the receipt"))).prompt
    assert cancelled.state == prompts.PROMPT_STATE_CANCELLED
    assert (cancelled.changes[-1].actor_id, cancelled.changes[-1].reason) == ("rita", "found the receipt")


async def test_ids_are_taken_in_any_case_and_given_in_lower_case(packets, asking):
    claim_id, evidence_id = str(uuid4()).upper(), str(uuid4()).upper()
    prompt = (await packets.CreatePrompt(asking(claim_id=claim_id, evidence_id=evidence_id))).prompt
    assert (prompt.claim_id, prompt.evidence_id) == (claim_id.lower(), evidence_id.lower())
    found = await packets.GetPrompt(GetPromptRequest(prompt_id=prompt.prompt_id.upper()))
    assert found.prompt == prompt
