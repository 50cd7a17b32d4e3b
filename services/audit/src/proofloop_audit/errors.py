"""What can go wrong for a caller, one reason each."""

from collections.abc import Sequence

from proofloop.audit.v1 import error_reason_pb2 as reasons
from proofloop_runtime.errors import FailedPrecondition, InvalidArgument, NotFound, OutOfRange, PreconditionViolation


class EntryNotFound(NotFound):
    """The tenant's log has no entry of this id."""

    reason = reasons.ERROR_REASON_ENTRY_NOT_FOUND

    def __init__(self, entry_id: str) -> None:
        super().__init__("the log has no such entry", entry_id=entry_id)


class TreeSizeOutOfRange(OutOfRange):
    """The log does not have this size, or the tree of this size does not cover the entry."""

    reason = reasons.ERROR_REASON_TREE_SIZE_OUT_OF_RANGE

    def __init__(self, tree_size: int, log_size: int) -> None:
        super().__init__(
            f"tree size {tree_size} cannot be proven in a log of {log_size} entries",
            tree_size=str(tree_size),
            log_size=str(log_size),
        )


class EventTimeInFuture(InvalidArgument):
    """The event's time lies too far ahead of the log's clock."""

    reason = reasons.ERROR_REASON_EVENT_TIME_IN_FUTURE


class DetailsNotJson(InvalidArgument):
    """The details are not JSON text, name a member twice, or are nested too deeply."""

    reason = reasons.ERROR_REASON_DETAILS_NOT_JSON


class LegalHoldActive(FailedPrecondition):
    """Active legal holds cover the person who was to be erased."""

    reason = reasons.ERROR_REASON_LEGAL_HOLD_ACTIVE

    def __init__(self, hold_ids: Sequence[str]) -> None:
        super().__init__(
            "legal holds cover this person; nothing was erased",
            violations=[
                PreconditionViolation("LEGAL_HOLD", f"holds/{hold_id}", "active and covers the person")
                for hold_id in hold_ids
            ],
            hold_ids=",".join(hold_ids),
        )


class LegalHoldNotFound(NotFound):
    """The tenant has no legal hold of this id."""

    reason = reasons.ERROR_REASON_LEGAL_HOLD_NOT_FOUND

    def __init__(self, hold_id: str) -> None:
        super().__init__("there is no such legal hold", hold_id=hold_id)


class LegalHoldReleased(FailedPrecondition):
    """The legal hold was released before."""

    reason = reasons.ERROR_REASON_LEGAL_HOLD_RELEASED

    def __init__(self, hold_id: str) -> None:
        super().__init__(
            "the legal hold was released before",
            violations=[PreconditionViolation("STATE", f"holds/{hold_id}", "released")],
            hold_id=hold_id,
        )


class SessionNotFound(NotFound):
    """The tenant has no session of this id."""

    reason = reasons.ERROR_REASON_SESSION_NOT_FOUND

    def __init__(self, session_id: str) -> None:
        super().__init__("there is no such session", session_id=session_id)


class SessionEnded(FailedPrecondition):
    """The session takes nothing any more."""

    reason = reasons.ERROR_REASON_SESSION_ENDED


class SessionFull(FailedPrecondition):
    """The session holds as much as one may."""

    reason = reasons.ERROR_REASON_SESSION_FULL


class TimeBeforeStart(InvalidArgument):
    """Something of a session lies before its start."""

    reason = reasons.ERROR_REASON_TIME_BEFORE_START
