"""Settings of the services that keep objects, to mix into their own: `<SERVICE>_S3_*`."""

from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings

from proofloop_runtime.settings import is_loopback


@dataclass(frozen=True, slots=True)
class S3Settings:
    """Where an S3 bucket is and how to get in.

    Attributes:
        endpoint: URL of the service, such as `https://s3.eu-central-1.amazonaws.com`.
        bucket: Name of the bucket; it must exist.
        region: Its region.
        access_key: Id of the access key.
        secret_key: The secret.
        public_endpoint: URL under which callers reach the service, for signed URLs. Default: the endpoint.
    """

    endpoint: str
    bucket: str
    region: str
    access_key: str
    secret_key: str
    public_endpoint: str | None = None


class OptionalObjectSettings(BaseSettings):
    """A bucket, for a service that can do without: it has one if it is given an endpoint.

    Attributes:
        s3_endpoint: URL of the S3 service. Beyond loopback it must be `https://`.
        s3_public_endpoint: URL under which callers reach it, for signed URLs. Default: the same.
        s3_bucket: The bucket, which must exist.
        s3_region: Its region.
        s3_access_key: Id of the access key.
        s3_secret_key: The secret.
    """

    s3_endpoint: str | None = Field(default=None, pattern="^https?://")
    s3_public_endpoint: str | None = None
    s3_bucket: str = ""
    s3_region: str = "us-east-1"
    s3_access_key: str = ""
    s3_secret_key: SecretStr = SecretStr("")

    @model_validator(mode="after")
    def _s3_complete_and_encrypted_beyond_loopback(self) -> Self:
        if self.s3_endpoint is None:
            return self
        url = urlsplit(self.s3_endpoint)
        if url.scheme != "https" and not is_loopback(url.hostname):
            raise ValueError("s3_endpoint leaves this machine without TLS; use https://")
        needed = {
            "s3_bucket": self.s3_bucket,
            "s3_access_key": self.s3_access_key,
            "s3_secret_key": self.s3_secret_key.get_secret_value(),
        }
        missing = [name for name, value in needed.items() if not value]
        if missing:
            raise ValueError(f"s3_endpoint is given, and {', '.join(missing)} is missing")
        return self

    @property
    def s3(self) -> S3Settings | None:
        """Where objects are kept; None: nowhere."""
        if self.s3_endpoint is None:
            return None
        return S3Settings(
            self.s3_endpoint,
            self.s3_bucket,
            self.s3_region,
            self.s3_access_key,
            self.s3_secret_key.get_secret_value(),
            self.s3_public_endpoint,
        )


class ObjectSettings(OptionalObjectSettings):
    """A bucket, for a service that cannot do without."""

    @model_validator(mode="after")
    def _s3_given(self) -> Self:
        if self.s3_endpoint is None:
            raise ValueError("s3_endpoint is missing")
        return self

    @property
    def s3(self) -> S3Settings:
        """Where objects are kept."""
        settings = super().s3
        if settings is None:
            raise TypeError("settings that were not validated have no object store")
        return settings
