"""What can go wrong in this service, one class per reason of the contract."""

import grpc
from proofloop.exports.v1 import error_reason_pb2 as reasons
from proofloop_runtime.errors import (
    Aborted,
    DomainError,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
)


class WorkflowNotFound(NotFound):
    """The tenant has no workflow of this id."""

    reason = reasons.ERROR_REASON_WORKFLOW_NOT_FOUND


class RecordNotFound(NotFound):
    """The workflow has no record of this id."""

    reason = reasons.ERROR_REASON_RECORD_NOT_FOUND


class DocumentInvalid(InvalidArgument):
    """A document is not JSON as this service takes it; `problem` and `path` say what and where."""

    reason = reasons.ERROR_REASON_DOCUMENT_INVALID


class StageOutOfOrder(FailedPrecondition):
    """The stage's turn has not come, or there is nothing yet to revise."""

    reason = reasons.ERROR_REASON_STAGE_OUT_OF_ORDER


class StageAlreadyRecorded(FailedPrecondition):
    """The stage is recorded, and no revision was asked for."""

    reason = reasons.ERROR_REASON_STAGE_ALREADY_RECORDED


class OriginalDataDiffers(FailedPrecondition):
    """The original data of stage 2 does not say the same as the extracted data of stage 1."""

    reason = reasons.ERROR_REASON_ORIGINAL_DATA_DIFFERS


class SubjectDiffers(FailedPrecondition):
    """A revision of stage 1 is about another document, claim or owner."""

    reason = reasons.ERROR_REASON_SUBJECT_DIFFERS


class EtagStale(Aborted):
    """The workflow changed since its etag was read."""

    reason = reasons.ERROR_REASON_ETAG_STALE


class TooManyRevisions(FailedPrecondition):
    """The workflow holds all the records it can."""

    reason = reasons.ERROR_REASON_TOO_MANY_REVISIONS


class TemplateNotApplicable(FailedPrecondition):
    """The template asks for something that the final data does not have."""

    reason = reasons.ERROR_REASON_TEMPLATE_NOT_APPLICABLE


class DeliverableTooLarge(FailedPrecondition):
    """The rendered file would be larger than this service makes them."""

    reason = reasons.ERROR_REASON_DELIVERABLE_TOO_LARGE


class NoDeliverable(FailedPrecondition):
    """Stage 3 is not recorded."""

    reason = reasons.ERROR_REASON_NO_DELIVERABLE


class DeliverableNotStored(FailedPrecondition):
    """The deliverable was made elsewhere."""

    reason = reasons.ERROR_REASON_DELIVERABLE_NOT_STORED


class DeliverableCorrupt(DomainError):
    """The stored bytes are missing or not those that were recorded."""

    status = grpc.StatusCode.DATA_LOSS
    reason = reasons.ERROR_REASON_DELIVERABLE_CORRUPT
