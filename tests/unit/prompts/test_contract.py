"""What the contract itself refuses, before any handler sees it."""

import protovalidate
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from proofloop.prompts.v1.prompts_pb2 import PROMPT_STATE_PENDING, Option
from proofloop.prompts.v1.prompts_service_pb2 import (
    AnswerPromptRequest,
    CancelPromptRequest,
    CreatePromptRequest,
    GetPromptRequest,
    ListPromptsRequest,
    WatchPromptsRequest,
)

ID = "01890000-0000-7000-8000-000000000001"
YES = Option(id="yes", label="Yes")
CREATE = {"request_id": ID, "claim_id": ID, "assignee_id": "u-17", "question": "Why?", "options": [YES]}
ANSWER = {"request_id": ID, "prompt_id": ID, "shown_sha256": "0" * 64, "option_id": "yes"}
CANCEL = {"request_id": ID, "prompt_id": ID, "reason": "found it"}


def violations(message):
    """The offending fields, and for a rule over several fields its id."""
    found = protovalidate.collect_violations(message)
    return [
        ".".join(element.field_name for element in violation.proto.field.elements)
        if violation.proto.field is not None
        else violation.proto.rule_id
        for violation in found
    ]


@pytest.mark.parametrize(
    "message",
    [
        CreatePromptRequest(**CREATE),
        CreatePromptRequest(**CREATE | {"options": [], "free_text_allowed": True}),
        CreatePromptRequest(**CREATE | {"question": "Two\nlines?", "context": "naïve\t", "evidence_id": ID}),
        GetPromptRequest(prompt_id=ID),
        ListPromptsRequest(),
        ListPromptsRequest(claim_id=ID, states=[PROMPT_STATE_PENDING], page_size=1000),
        AnswerPromptRequest(**ANSWER),
        AnswerPromptRequest(**ANSWER | {"option_id": "", "text": "Because."}),
        CancelPromptRequest(**CANCEL),
        WatchPromptsRequest(),
        WatchPromptsRequest(claim_id=ID, event_types=["prompt.created", "packet.*"]),
    ],
)
def test_a_sound_request_passes(message):
    assert violations(message) == []


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"request_id": "x"}, "request_id"),
        ({"claim_id": ""}, "claim_id"),
        ({"evidence_id": "x"}, "evidence_id"),
        ({"assignee_id": ""}, "assignee_id"),
        ({"assignee_id": "u" * 257}, "assignee_id"),
        ({"question": ""}, "question"),
        ({"question": " \n"}, "question"),
        ({"question": "a" * 2001}, "question"),
        ({"context": "a" * 8001}, "context"),
        ({"options": [Option(id="yes")]}, "options.label"),
        ({"options": [Option(id="not an id", label="No")]}, "options.id"),
        ({"options": [YES, YES]}, "create_prompt.option_ids"),
        ({"options": []}, "create_prompt.answerable"),
        ({"options": [Option(id=str(n), label="L") for n in range(51)]}, "options"),
        ({"priority": 9}, "priority"),
        ({"channel": 9}, "channel"),
        ({"expire_time": Timestamp(seconds=-1)}, "expire_time"),
        ({"expire_time": Timestamp(seconds=10**15)}, "expire_time"),
        ({"reason": "a" * 501}, "reason"),
    ],
)
def test_a_prompt_that_cannot_be_is_refused_by_the_name_of_its_fault(wrong, named):
    assert violations(CreatePromptRequest(**CREATE | wrong)) == [named]


@pytest.mark.parametrize(
    ("message", "named"),
    [
        (GetPromptRequest(), "prompt_id"),
        (ListPromptsRequest(claim_id="x"), "claim_id"),
        (ListPromptsRequest(states=[0]), "states"),
        (ListPromptsRequest(states=[1, 1]), "states"),
        (ListPromptsRequest(page_size=1001), "page_size"),
        (ListPromptsRequest(page_size=-1), "page_size"),
        (ListPromptsRequest(page_token="t" * 513), "page_token"),
        (AnswerPromptRequest(**ANSWER | {"request_id": ""}), "request_id"),
        (AnswerPromptRequest(**ANSWER | {"shown_sha256": "0" * 63}), "shown_sha256"),
        (AnswerPromptRequest(**ANSWER | {"shown_sha256": "A" * 64}), "shown_sha256"),
        (AnswerPromptRequest(**ANSWER | {"option_id": ""}), "answer_prompt.not_empty"),
        (AnswerPromptRequest(**ANSWER | {"text": " "}), "text"),
        (AnswerPromptRequest(**ANSWER | {"text": "a" * 8001}), "text"),
        (CancelPromptRequest(**CANCEL | {"reason": ""}), "reason"),
        (CancelPromptRequest(**CANCEL | {"etag": "e" * 65}), "etag"),
        (WatchPromptsRequest(claim_id="x"), "claim_id"),
        (WatchPromptsRequest(resume_token="t" * 513), "resume_token"),
        (WatchPromptsRequest(event_types=["prompt"]), "event_types"),
        (WatchPromptsRequest(event_types=["*.*"]), "event_types"),
        (WatchPromptsRequest(event_types=["prompt.created"] * 21), "event_types"),
    ],
)
def test_a_request_with_a_wrong_field_is_refused_by_its_name(message, named):
    assert violations(message) == [named]
