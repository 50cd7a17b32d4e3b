"""The order of the stages, revisions, and the figures of a workflow."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from proofloop_exports.errors import (
    EtagStale,
    OriginalDataDiffers,
    RecordNotFound,
    StageAlreadyRecorded,
    StageOutOfOrder,
    SubjectDiffers,
    TooManyRevisions,
)
from proofloop_exports.workflows.documents import Document, parse
from proofloop_exports.workflows.domain import MAX_RECORDS, State, Subject, Workflow
from proofloop_exports.workflows.figures import ai_accuracy, count_values, final_quality
from proofloop_exports.workflows.records import Changes, RecordHead, Stage, UserActions
from proofloop_exports.workflows.review import check_original, review
from proofloop_runtime.call import CallerType
from proofloop_runtime.events import Actor

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
REVIEWER = Actor(CallerType.USER, "reviewer-1")
SUBJECT = Subject("evidence-1", "invoice.pdf", None, "owner-1")


def begun() -> Workflow:
    return Workflow("w", SUBJECT, (RecordHead("r1", Stage.INITIAL_SUMMARY, 1, None, REVIEWER, NOON, "e1"),))


def record(workflow: Workflow, stage: Stage, *, new_revision: bool = False) -> Workflow:
    workflow.admit(stage, new_revision=new_revision)
    number = len(workflow.records) + 1
    head = workflow.next_head(stage, record_id=f"r{number}", event_id=f"e{number}", actor=REVIEWER, time=NOON)
    return workflow.with_record(head)


def completed() -> Workflow:
    return record(record(begun(), Stage.USER_MODIFICATIONS), Stage.FINAL_DELIVERABLE)


def test_each_stage_leads_to_the_next_state() -> None:
    workflow = begun()
    assert workflow.state is State.AWAITING_USER_REVIEW
    workflow = record(workflow, Stage.USER_MODIFICATIONS)
    assert workflow.state is State.AWAITING_FINAL_PROCESSING
    workflow = record(workflow, Stage.FINAL_DELIVERABLE)
    assert workflow.state is State.COMPLETED
    assert [head.based_on for head in workflow.records] == [None, "r1", "r2"]


def test_the_deliverable_cannot_come_before_the_review() -> None:
    with pytest.raises(StageOutOfOrder) as caught:
        record(begun(), Stage.FINAL_DELIVERABLE)
    assert caught.value.metadata == {"stage": "final_deliverable", "state": "awaiting_user_review"}


@pytest.mark.parametrize("stage", list(Stage))
def test_a_recorded_stage_is_not_recorded_again_by_accident(stage: Stage) -> None:
    with pytest.raises(StageAlreadyRecorded):
        record(completed(), stage)


@pytest.mark.parametrize("stage", [Stage.USER_MODIFICATIONS, Stage.FINAL_DELIVERABLE])
def test_what_is_not_recorded_cannot_be_revised(stage: Stage) -> None:
    with pytest.raises(StageOutOfOrder):
        record(begun(), stage, new_revision=True)


@pytest.mark.parametrize("stage", list(Stage))
def test_a_revision_makes_the_later_stages_due_again(stage: Stage) -> None:
    workflow = record(completed(), stage, new_revision=True)
    assert workflow.state == State(stage)
    assert (workflow.records[-1].stage, workflow.records[-1].revision) == (stage, 2)
    assert set(workflow.current()) == {due for due in Stage if due <= stage}


def test_revisions_go_on_counting_after_an_earlier_stage_was_revised() -> None:
    workflow = record(completed(), Stage.INITIAL_SUMMARY, new_revision=True)
    workflow = record(workflow, Stage.USER_MODIFICATIONS)
    assert workflow.records[-1].revision == 2
    assert workflow.records[-1].based_on == "r4"


def test_a_workflow_is_shown_as_it_stood_at_a_record() -> None:
    workflow = record(completed(), Stage.INITIAL_SUMMARY, new_revision=True)
    assert workflow.as_of("r3") == completed()
    with pytest.raises(RecordNotFound):
        workflow.as_of("r9")


def test_a_stale_etag_is_refused_before_anything_else() -> None:
    with pytest.raises(EtagStale):
        completed().admit(Stage.FINAL_DELIVERABLE, new_revision=False, etag=begun().etag)


def test_a_workflow_holds_a_bounded_number_of_records() -> None:
    workflow = begun()
    while len(workflow.records) < MAX_RECORDS:
        workflow = record(workflow, Stage.INITIAL_SUMMARY, new_revision=True)
    with pytest.raises(TooManyRevisions):
        record(workflow, Stage.USER_MODIFICATIONS)


@pytest.mark.parametrize(
    "subject",
    [
        Subject("evidence-2", "invoice.pdf", None, "owner-1"),
        Subject("evidence-1", "other.pdf", None, "owner-1"),
        Subject("evidence-1", "invoice.pdf", "claim", "owner-1"),
        Subject("evidence-1", "invoice.pdf", None, "owner-2"),
    ],
)
def test_a_revision_cannot_change_what_the_workflow_is_about(subject: Subject) -> None:
    begun().check_subject(SUBJECT)
    with pytest.raises(SubjectDiffers):
        begun().check_subject(subject)


class AnyOrderOfStages(RuleBasedStateMachine):
    """Whatever is tried, what is current is an unbroken chain, and what was recorded stays."""

    @initialize()
    def begin(self) -> None:
        self.workflow = begun()

    @rule(stage=st.sampled_from(Stage), new_revision=st.booleans())
    def try_a_stage(self, stage: Stage, new_revision: bool) -> None:
        before = self.workflow
        allowed = stage == before.state + 1 if not new_revision else stage <= before.state
        try:
            self.workflow = record(before, stage, new_revision=new_revision)
        except (StageOutOfOrder, StageAlreadyRecorded):
            assert not allowed
            return
        assert allowed
        assert self.workflow.state == State(stage)
        assert self.workflow.records[:-1] == before.records
        assert self.workflow.etag != before.etag

    @invariant()
    def the_current_records_build_on_each_other(self) -> None:
        chain = list(self.workflow.current().values())
        assert [head.stage for head in chain] == list(Stage)[: len(chain)]
        assert [head.based_on for head in chain] == [None, *(head.record_id for head in chain)][:-1]

    @invariant()
    def revisions_of_a_stage_count_from_one_without_a_gap(self) -> None:
        for stage in Stage:
            revisions = [head.revision for head in self.workflow.records if head.stage is stage]
            assert revisions == list(range(1, len(revisions) + 1))


TestAnyOrderOfStages = AnyOrderOfStages.TestCase


def test_the_original_may_be_spelled_differently_but_must_say_the_same() -> None:
    extracted = Document('{"total": 12.50, "name": "M\\u00fcller"}')
    check_original(extracted, Document('{"name":"Müller","total":12.50}'))
    with pytest.raises(OriginalDataDiffers) as caught:
        check_original(extracted, Document('{"name":"Müller","total":12.5}'))
    assert caught.value.metadata["path"] == "/total"


def test_a_review_keeps_the_texts_and_states_the_changes() -> None:
    original, modified = '{"total": 12.50, "id": 1}', '{"total": 12.5, "note": null}'
    found = review(original, modified)
    assert (found.original.text, found.modified.text) == (original, modified)
    assert found.changes.patch_json == (
        '[{"op":"remove","path":"/id"},{"op":"replace","path":"/total","value":12.5},'
        '{"op":"add","path":"/note","value":null}]'
    )
    assert [(line.path, line.old_json, line.new_json) for line in found.changes.lines] == [
        ("/id", "1", None),
        ("/total", "12.50", "12.5"),
        ("/note", None, "null"),
    ]


def test_a_review_without_a_change_is_a_review() -> None:
    assert review('{"a": 1}', '{"a":1}').changes == Changes("[]", ())


@pytest.mark.parametrize(
    ("original", "modified", "accuracy"),
    [
        ('{"a": 1, "b": 2, "c": 3, "d": 4}', '{"a": 1, "b": 2, "c": 3, "d": 4}', "1.0000"),
        ('{"a": 1, "b": 2, "c": 3, "d": 4}', '{"a": 1, "b": 2, "c": 3, "d": 5}', "0.7500"),
        ('{"a": 1, "b": 2, "c": 3}', '{"a": 1, "b": 2, "c": 3, "d": 4}', "0.7500"),
        ('{"a": 1, "b": 2, "c": 3}', '{"a": 1, "b": 2}', "0.6667"),
        ('{"a": 1}', '{"a": [1, 2, 3]}', "0.0000"),
        ("{}", "{}", "1.0000"),
        ("[]", "[1]", "0.5000"),
    ],
)
def test_accuracy_is_what_was_kept_of_what_should_have_been_there(original: str, modified: str, accuracy: str) -> None:
    lines = review(original, modified).changes.lines
    assert ai_accuracy(parse(original), lines) == Decimal(accuracy)


@pytest.mark.parametrize(
    ("data", "quality"),
    [
        ('{"a": 0, "b": false}', "0.9000"),
        ('{"a": 1, "b": null}', "0.4500"),
        ('{"a": "", "b": [], "c": {}, "d": " "}', "0.2250"),
        ("{}", "0.0000"),
    ],
)
def test_quality_is_completeness_times_confidence(data: str, quality: str) -> None:
    assert final_quality(parse(data), Decimal("0.9")) == Decimal(quality)


def test_values_are_counted_without_their_containers() -> None:
    assert count_values(parse('{"a": [1, {"b": null}], "c": {}, "d": []}')) == 4


@pytest.mark.parametrize(
    ("edited", "duration", "rate"),
    [
        (3, timedelta(seconds=90), "2.00"),
        (1, timedelta(seconds=7), "8.57"),
        (0, timedelta(seconds=1), "0.00"),
        (1, timedelta(microseconds=1), "60000000.00"),
        (5, timedelta(), None),
    ],
)
def test_edits_per_minute_are_computed(edited: int, duration: timedelta, rate: str | None) -> None:
    assert UserActions(edited, duration).edits_per_minute == (None if rate is None else Decimal(rate))
