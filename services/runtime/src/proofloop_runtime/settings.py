"""Settings that every service has, from environment variables, checked at start.

A service derives its own class and gives the prefix, such as `AUDIT_`. A wrong value stops the start with the names of
the variables at fault; nothing is read later.
"""

import ipaddress
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import parse_qs, urlsplit

from pydantic import Field, SecretStr, StringConstraints, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Tenant = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,63}$")]


def is_loopback(host: str | None) -> bool:
    """Tell whether a host is this machine."""
    if host in ("localhost", None, ""):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class ServiceSettings(BaseSettings):
    """What the runtime needs to know.

    Attributes:
        database_url: PostgreSQL, as the application role. Beyond loopback it must ask for TLS (`sslmode=verify-full`).
        migration_database_url: The same database as its owner; read by `proofloop migrate` alone.
        nats_url: NATS. Beyond loopback it must be `tls://`.
        listen: Address of the one mutual-TLS port; port 0 takes a free one.
        health_listen: Address of the plain, health-only port for probes.
        tls_certificate: PEM, this service's certificate chain.
        tls_key: PEM, its private key.
        tls_authority: PEM, the authority whose certificates are believed.
        trust_domain: Of the SPIFFE ids in certificates.
        token_keys: JWK Set with the public keys of the token issuer.
        token_issuer: `iss` of tokens.
        token_audience: `aud` of tokens.
        tenants: The tenants that this system serves.
        service_peers: Peers that act in their own name.
        token_peers: Peers that may hand in a person's token.
        edge_peers: Peers that see a person's client address.
        otlp_endpoint: Base URL of an OTLP/HTTP receiver; none: no export.
        log_level: Least level logged.
        instance: Name of this replica in telemetry.
        default_deadline: For calls without one.
        longest_deadline: The longest that a call may ask for.
        drain: How long calls in flight may take at shutdown.
        person_rate: A person's calls per second.
        service_rate: A service's calls per second.
        database_pool: Most database connections for transactions.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    database_url: SecretStr
    migration_database_url: SecretStr | None = None
    nats_url: SecretStr
    listen: str = "127.0.0.1:0"
    health_listen: str = "127.0.0.1:0"
    tls_certificate: Path
    tls_key: Path
    tls_authority: Path
    trust_domain: str = "proofloop.local"
    token_keys: Path
    token_issuer: str
    token_audience: str = Field(default="proofloop")
    tenants: tuple[Tenant, ...] = Field(min_length=1)
    service_peers: frozenset[str] = frozenset({"audit", "prompts", "packets", "exports"})
    token_peers: frozenset[str] = frozenset({"envoy", "cli", "audit", "prompts", "packets", "exports"})
    edge_peers: frozenset[str] = frozenset({"envoy"})
    otlp_endpoint: str | None = None
    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    instance: str = "0"
    default_deadline: timedelta = timedelta(seconds=10)
    longest_deadline: timedelta = timedelta(seconds=60)
    drain: timedelta = timedelta(seconds=10)
    person_rate: float = Field(default=100, gt=0)
    service_rate: float = Field(default=20_000, gt=0)
    database_pool: int = Field(default=10, ge=2)

    @model_validator(mode="after")
    def _tls_beyond_loopback(self) -> Self:
        for name in ("database_url", "migration_database_url"):
            value: SecretStr | None = getattr(self, name)
            url = urlsplit(value.get_secret_value() if value else "")
            query = parse_qs(url.query)
            mode = query.get("sslmode", [""])[-1]
            # The driver lets the query name the host, too.
            local = all(is_loopback(host) for host in query.get("host", [url.hostname]))
            if not local and mode not in ("require", "verify-ca", "verify-full"):
                raise ValueError(f"{name} leaves this machine without TLS; add sslmode=verify-full")
        nats = urlsplit(self.nats_url.get_secret_value())
        if not is_loopback(nats.hostname) and nats.scheme != "tls":
            raise ValueError("nats_url leaves this machine without TLS; use tls://")
        return self
