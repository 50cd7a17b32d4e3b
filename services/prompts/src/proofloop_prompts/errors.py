"""What the prompts service refuses, one reason of the contract each."""

from proofloop.prompts.v1 import error_reason_pb2 as reasons
from proofloop_runtime.errors import (
    Aborted,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    OutOfRange,
    ResourceExhausted,
)


class PromptNotFound(NotFound):
    """The tenant has no prompt of this id."""

    reason = reasons.ERROR_REASON_PROMPT_NOT_FOUND


class PromptExpired(FailedPrecondition):
    """The prompt's time ran out."""

    reason = reasons.ERROR_REASON_PROMPT_EXPIRED


class PromptAnswered(FailedPrecondition):
    """The prompt has its one answer."""

    reason = reasons.ERROR_REASON_PROMPT_ANSWERED


class PromptCancelled(FailedPrecondition):
    """The prompt was withdrawn."""

    reason = reasons.ERROR_REASON_PROMPT_CANCELLED


class ShownDiffers(FailedPrecondition):
    """The answer is bound to another text than the prompt's."""

    reason = reasons.ERROR_REASON_SHOWN_DIFFERS


class OptionUnknown(InvalidArgument):
    """The prompt offers no such option."""

    reason = reasons.ERROR_REASON_OPTION_UNKNOWN


class FreeTextNotAllowed(InvalidArgument):
    """The prompt takes one of its options and no text."""

    reason = reasons.ERROR_REASON_FREE_TEXT_NOT_ALLOWED


class EtagStale(Aborted):
    """The prompt changed since its etag was handed out."""

    reason = reasons.ERROR_REASON_ETAG_STALE


class ExpireTimeOutOfRange(InvalidArgument):
    """The prompt would expire at once, or too far ahead."""

    reason = reasons.ERROR_REASON_EXPIRE_TIME_OUT_OF_RANGE


class ResumeTokenInvalid(InvalidArgument):
    """The token is none, or of another feed."""

    reason = reasons.ERROR_REASON_RESUME_TOKEN_INVALID


class ResumeTokenOutOfRange(OutOfRange):
    """What follows the token is not kept."""

    reason = reasons.ERROR_REASON_RESUME_TOKEN_OUT_OF_RANGE


class ReaderTooSlow(ResourceExhausted):
    """The reader of a stream did not take a message in time."""

    reason = reasons.ERROR_REASON_READER_TOO_SLOW


class TooManyStreams(ResourceExhausted):
    """The caller has as many streams open as it may."""

    reason = reasons.ERROR_REASON_TOO_MANY_STREAMS


class NoOwnFeed(InvalidArgument):
    """The caller is no person and has no feed of its own."""

    reason = reasons.ERROR_REASON_NO_OWN_FEED
