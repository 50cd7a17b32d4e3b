"""For tests of Proofloop's services, ours and yours: fakes of what truly varies, and services in this process.

Servers are real: give `serving` the addresses of a PostgreSQL and a NATS. Time stands still; ids and randomness count.
"""

from proofloop_runtime.testing.fakes import CountingRandomness, FakeClock, SequentialIds
from proofloop_runtime.testing.refusal import Refusal
from proofloop_runtime.testing.services import Certificates, Service, serving
from proofloop_runtime.testing.spans import SpanRecorder, recording

__all__ = [
    "Certificates",
    "CountingRandomness",
    "FakeClock",
    "Refusal",
    "SequentialIds",
    "Service",
    "SpanRecorder",
    "recording",
    "serving",
]
