"""The errors of this service, one class per reason of its own."""

from proofloop.packets.v1 import error_reason_pb2
from proofloop_runtime.errors import FailedPrecondition, InvalidArgument, NotFound


class ClaimNotFound(NotFound):
    """The tenant has no such claim."""

    reason = error_reason_pb2.ERROR_REASON_CLAIM_NOT_FOUND


class EvidenceNotFound(NotFound):
    """The tenant has no such evidence."""

    reason = error_reason_pb2.ERROR_REASON_EVIDENCE_NOT_FOUND


class PacketNotFound(NotFound):
    """The tenant has no such packet, or the claim has none yet."""

    reason = error_reason_pb2.ERROR_REASON_PACKET_NOT_FOUND


class FileTooLarge(InvalidArgument):
    """The file is longer than one file may be."""

    reason = error_reason_pb2.ERROR_REASON_FILE_TOO_LARGE


class FileEmpty(InvalidArgument):
    """The file has no bytes."""

    reason = error_reason_pb2.ERROR_REASON_FILE_EMPTY


class ClaimFull(FailedPrecondition):
    """The claim has as many files, or as many bytes of them, as it may."""

    reason = error_reason_pb2.ERROR_REASON_CLAIM_FULL


class PacketNotCompleted(FailedPrecondition):
    """The packet is not sealed."""

    reason = error_reason_pb2.ERROR_REASON_PACKET_NOT_COMPLETED
