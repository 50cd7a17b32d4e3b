"""Settings of the exports service, from `EXPORTS_*`."""

from typing import Self
from urllib.parse import urlsplit

from proofloop_runtime.objects import S3Settings
from proofloop_runtime.settings import ServiceSettings, is_loopback
from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict


class ExportsSettings(ServiceSettings):
    """What the exports service needs to know, beside what every service does.

    Attributes:
        s3_endpoint: URL of the S3 service that keeps deliverables. Beyond loopback it must be `https://`.
        s3_bucket: Name of the bucket; it must exist.
        s3_region: Its region.
        s3_access_key: Id of the access key.
        s3_secret_key: The secret.
    """

    model_config = SettingsConfigDict(env_prefix="EXPORTS_", frozen=True, extra="ignore", hide_input_in_errors=True)

    s3_endpoint: str = Field(pattern="^https?://")
    s3_bucket: str
    s3_region: str = "us-east-1"
    s3_access_key: str
    s3_secret_key: SecretStr

    @model_validator(mode="after")
    def _s3_encrypted_beyond_loopback(self) -> Self:
        url = urlsplit(self.s3_endpoint)
        if url.scheme != "https" and not is_loopback(url.hostname):
            raise ValueError("s3_endpoint leaves this machine without TLS; use https://")
        return self

    @property
    def s3(self) -> S3Settings:
        """Where deliverables are kept."""
        return S3Settings(
            self.s3_endpoint,
            self.s3_bucket,
            self.s3_region,
            self.s3_access_key,
            self.s3_secret_key.get_secret_value(),
        )
