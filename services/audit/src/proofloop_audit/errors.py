"""What can go wrong for a caller, one reason each."""

from proofloop.audit.v1 import error_reason_pb2 as reasons
from proofloop_runtime.errors import InvalidArgument, NotFound, OutOfRange


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
