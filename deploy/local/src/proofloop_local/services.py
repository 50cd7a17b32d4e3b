"""The table of services: what each needs beside what all need."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from proofloop_local.authority import TRUST_DOMAIN
from proofloop_local.keys import Keys
from proofloop_local.state import ObjectStore

Settings = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a service can be given of the stack.

    Attributes:
        keys: The development keys.
        objects: The object store.
        addresses: `host:port` of every service, by name.
        spool: A folder of the service's own that is emptied when it starts.
    """

    keys: Keys
    objects: ObjectStore
    addresses: Mapping[str, str]
    spool: Path


@dataclass(frozen=True, slots=True)
class Service:
    """A service of the stack.

    Attributes:
        name: As in its certificate, its database and its contract's package.
        settings: Its own settings, by the name of the variable without the service's prefix.
        bucket: The bucket it keeps objects in; empty where it keeps none.
    """

    name: str
    settings: Callable[[Surroundings], Settings]
    bucket: str = ""

    @property
    def module(self) -> str:
        """Its Python package, run with `python -m`."""
        return f"proofloop_{self.name}"

    @property
    def contract(self) -> str:
        """The package of its contract."""
        return f"proofloop.{self.name}.v1"


def _audit(around: Surroundings) -> Settings:
    return {
        **_s3(around, "audit"),
        "LOG_DOMAIN": TRUST_DOMAIN,
        "LOG_KEY": str(around.keys.log_key),
        "MASTER_KEY": str(around.keys.master_key),
    }


def _prompts(_around: Surroundings) -> Settings:
    return {}


def _packets(around: Surroundings) -> Settings:
    return {
        **_s3(around, "packets"),
        **{f"{name.upper()}_TARGET": around.addresses[name] for name in ("audit", "prompts", "exports")},
        "SIGNER_KEY": str(around.keys.packet_key),
        "SIGNER_CERTIFICATE": str(around.keys.packet_certificates),
        "LOG_KEYS": str(around.keys.log_verifier_keys),
        "SPOOL": str(around.spool),
    }


def _exports(around: Surroundings) -> Settings:
    return _s3(around, "exports")


def _s3(around: Surroundings, bucket: str) -> dict[str, str]:
    return {
        "S3_ENDPOINT": around.objects.endpoint,
        "S3_BUCKET": bucket,
        "S3_REGION": around.objects.region,
        "S3_ACCESS_KEY": around.objects.access_key,
        "S3_SECRET_KEY": around.objects.secret_key,
    }


SERVICES = (
    Service("audit", _audit, bucket="audit"),
    Service("prompts", _prompts),
    Service("packets", _packets, bucket="packets"),
    Service("exports", _exports, bucket="exports"),
)
