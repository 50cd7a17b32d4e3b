"""Settings of the packets service, from `PACKETS_*`."""

from datetime import timedelta
from pathlib import Path

from proofloop_runtime.object_settings import ObjectSettings
from proofloop_runtime.settings import ServiceSettings
from pydantic import Field
from pydantic_settings import SettingsConfigDict

_MIB = 1024 * 1024


class PacketsSettings(ObjectSettings, ServiceSettings):
    """What the packets service needs to know, beside what every service and every keeper of objects does.

    Attributes:
        audit_target: gRPC target of the audit service.
        prompts_target: gRPC target of the prompts service.
        exports_target: gRPC target of the exports service.
        signer_key: PEM (PKCS #8), the RSA key that signs summaries.
        signer_certificate: PEM, its certificate first.
        log_keys: File of the audit logs' C2SP verifier keys, one a line: what VerifyPacket trusts.
        spool: Folder where files lie while they pass; needs room for the longest file and packet at a time.
            Default: the system's temporary folder.
        file_bytes: Longest file of evidence.
        claim_files: Most files of a claim.
        claim_bytes: Most bytes of a claim's evidence.
        packet_bytes: Longest packet that VerifyPacket checks.
        packets_at_once: How many packets this replica makes, and how many it checks, at the same time.
        lease: How long a worker may be silent before another takes over its packet.
        attempts: How often a packet is tried before it is given up.
        log_patience: How long a packet waits at a time for the audit log to hold what it saw.
    """

    model_config = SettingsConfigDict(env_prefix="PACKETS_", frozen=True, extra="ignore", hide_input_in_errors=True)

    audit_target: str
    prompts_target: str
    exports_target: str
    signer_key: Path
    signer_certificate: Path
    log_keys: Path
    spool: Path | None = None
    file_bytes: int = Field(default=512 * _MIB, ge=1)
    claim_files: int = Field(default=1000, ge=1)
    claim_bytes: int = Field(default=8192 * _MIB, ge=1)
    packet_bytes: int = Field(default=16384 * _MIB, ge=1)
    packets_at_once: int = Field(default=2, ge=1)
    lease: timedelta = Field(default=timedelta(seconds=30), ge=timedelta(seconds=1))
    attempts: int = Field(default=10, ge=1)
    log_patience: timedelta = timedelta(seconds=30)
