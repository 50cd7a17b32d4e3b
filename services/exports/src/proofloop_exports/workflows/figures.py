"""How a workflow went, in figures; the formulas stand in the contract."""

from collections.abc import Sequence
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal

from proofloop_exports.workflows.documents import Value, leaves, parse
from proofloop_exports.workflows.domain import Workflow
from proofloop_exports.workflows.records import ChangeLine, UserModifications, WorkflowSummary


def count_values(value: Value) -> int:
    """Number of values that are neither object nor list; an empty object or list counts as one."""
    return sum(1 for _ in leaves(value))


def summarize(
    workflow: Workflow, modifications: UserModifications, confidence: Decimal, time: datetime
) -> WorkflowSummary:
    """How the workflow went, at the time of its stage 3, by the formulas of the contract."""
    return WorkflowSummary(
        total_time=time - workflow.create_time,
        ai_accuracy=ai_accuracy(modifications.original.value, modifications.changes.lines),
        final_quality=final_quality(modifications.modified.value, confidence),
    )


def ai_accuracy(original: Value, changes: Sequence[ChangeLine]) -> Decimal:
    """`kept / (extracted + added)`: the share that the AI got right."""
    extracted, corrected, added = count_values(original), 0, 0
    for change in changes:
        old = 0 if change.old_json is None else count_values(parse(change.old_json))
        new = 0 if change.new_json is None else count_values(parse(change.new_json))
        corrected += old
        added += max(0, new - old)
    return _share(extracted - corrected, extracted + added)


def final_quality(final_data: Value, confidence: Decimal) -> Decimal:
    """`completeness · confidence`: the share of values that say something, times how sure the summary is."""
    values = [value for _, value in leaves(final_data)]
    empty: tuple[Value, ...] = (None, "", [], {})
    return _round(Decimal(sum(1 for value in values if value not in empty)) / len(values) * confidence)


def _share(part: int, whole: int) -> Decimal:
    return _round(Decimal(part) / whole)


def _round(share: Decimal) -> Decimal:
    return share.quantize(Decimal("0.0001"), ROUND_HALF_EVEN)
