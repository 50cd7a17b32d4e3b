"""Settings of the packets service, from `PACKETS_*`."""

from datetime import timedelta
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from proofloop_runtime.objects import S3Settings
from proofloop_runtime.settings import ServiceSettings, is_loopback
from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

_MIB = 1024 * 1024


class PacketsSettings(ServiceSettings):
    """What the packets service needs to know, beside what every service does.

    Attributes:
        audit_target: gRPC target of the audit service.
        prompts_target: gRPC target of the prompts service.
        exports_target: gRPC target of the exports service.
        s3_endpoint: URL of the S3 service. Beyond loopback it must be `https://`.
        s3_public_endpoint: URL under which callers reach it, for signed URLs. Default: the same.
        s3_bucket: The bucket, which must exist.
        s3_region: Its region.
        s3_access_key: Id of the access key.
        s3_secret_key: The secret.
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
    s3_endpoint: str = Field(pattern="^https?://")
    s3_public_endpoint: str | None = None
    s3_bucket: str
    s3_region: str = "us-east-1"
    s3_access_key: str
    s3_secret_key: SecretStr
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

    @model_validator(mode="after")
    def _s3_encrypted_beyond_loopback(self) -> Self:
        url = urlsplit(self.s3_endpoint)
        if url.scheme != "https" and not is_loopback(url.hostname):
            raise ValueError("s3_endpoint leaves this machine without TLS; use https://")
        return self

    @property
    def s3(self) -> S3Settings:
        """Where evidence and packets are kept."""
        return S3Settings(
            self.s3_endpoint,
            self.s3_bucket,
            self.s3_region,
            self.s3_access_key,
            self.s3_secret_key.get_secret_value(),
            self.s3_public_endpoint,
        )
