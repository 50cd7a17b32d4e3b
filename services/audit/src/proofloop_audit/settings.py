"""Settings of the audit service, from `AUDIT_*`."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Self

from proofloop_runtime.object_settings import OptionalObjectSettings
from proofloop_runtime.settings import ServiceSettings, Tenant
from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict


class AuditSettings(OptionalObjectSettings, ServiceSettings):
    """What the audit service needs to know, beside what every service and every keeper of objects does.

    Without an object store nothing is published, and all else is the same.

    Attributes:
        log_domain: First part of every log's origin, `<log domain>/<tenant>`. It must never change.
        log_key: PEM (PKCS #8), the Ed25519 key that signs checkpoints.
        master_key: File of 64 hex digits, the key that tenants' keys are derived from.
        queue: Most entries that wait to be sequenced; past it, callers are told to come back. At least the largest
            AppendEntries.
        future_skew: How far ahead of our clock an event's time may lie.
        checkpoint_every: How far the newest checkpoint may lag behind the log.
        publish_every: Least time between two checkpoints that are published to the object store.
        self_check_every: Time between two checks of every log from end to end. What is recent is checked once a
            minute, or as often as this, if that is more often.
        self_check_pause: What such a check leaves to the callers after each page of 256 entries, which takes some 30 ms
            of the service's thread.
        retention: How long what the log and sessions say about people can be read, by tenant: at least a day, such as
            `{"acme": "P365D"}`. Who is not named keeps it for ever.
        retention_every: Time between two looks for what is past its retention.
    """

    model_config = SettingsConfigDict(env_prefix="AUDIT_", frozen=True, extra="ignore", hide_input_in_errors=True)

    log_domain: str = Field(pattern=r"^[a-z0-9.-]+$")
    log_key: Path
    master_key: Path
    queue: int = Field(default=10_000, ge=1_000)
    future_skew: timedelta = timedelta(minutes=10)
    checkpoint_every: timedelta = timedelta(seconds=1)
    publish_every: timedelta = Field(default=timedelta(seconds=10), gt=timedelta())
    self_check_every: timedelta = Field(default=timedelta(hours=24), gt=timedelta())
    self_check_pause: timedelta = Field(default=timedelta(seconds=1), ge=timedelta())
    retention: Mapping[Tenant, Annotated[timedelta, Field(ge=timedelta(days=1), le=timedelta(days=36_500))]] = {}
    retention_every: timedelta = Field(default=timedelta(hours=1), gt=timedelta())

    @model_validator(mode="after")
    def _retention_is_of_tenants(self) -> Self:
        if unknown := sorted(self.retention.keys() - set(self.tenants)):
            raise ValueError(f"retention names tenants that there are not: {', '.join(unknown)}")
        return self
