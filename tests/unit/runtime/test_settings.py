"""Settings that every service has."""

import pytest
from proofloop_runtime.settings import ServiceSettings
from pydantic import ValidationError

SECRET = "hunter2"
GIVEN = {
    "database_url": f"postgresql://app:{SECRET}@127.0.0.1:5432/audit",
    "nats_url": f"nats://app:{SECRET}@localhost:4222",
    "tls_certificate": "c.pem",
    "tls_key": "k.pem",
    "tls_authority": "a.pem",
    "token_keys": "keys.json",
    "token_issuer": "https://issuer",
    "tenants": ("acme",),
}


def test_this_machine_needs_no_tls() -> None:
    ServiceSettings(**GIVEN, migration_database_url="postgresql://owner@[::1]/audit")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("database_url", "postgresql://app@db.example.org/audit"),
        ("database_url", "postgresql://app@10.0.0.1/audit?sslmode=disable"),
        ("database_url", "postgresql://app@10.0.0.1/audit?sslmode=prefer"),
        ("database_url", "postgresql://app@10.0.0.1/audit?sslmode=verify-full&sslmode=disable"),
        ("database_url", "postgresql://app@localhost,db.example.org/audit"),
        ("database_url", "postgresql:///audit?host=db.example.org"),
        ("migration_database_url", "postgresql://owner@db.example.org/audit"),
        ("nats_url", "nats://nats.example.org:4222"),
    ],
)
def test_beyond_this_machine_without_tls_is_refused_without_showing_the_value(name, value) -> None:
    with pytest.raises(ValidationError) as refused:
        ServiceSettings(**GIVEN | {name: value.replace("app@", f"app:{SECRET}@")})
    assert name in str(refused.value)
    assert SECRET not in str(refused.value)
    assert "example.org" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("database_url", "postgresql://app@db.example.org/audit?sslmode=verify-full"),
        ("nats_url", "tls://nats.example.org:4222"),
    ],
)
def test_beyond_this_machine_with_tls_is_fine(name, value) -> None:
    ServiceSettings(**GIVEN | {name: value})


def test_secrets_are_never_printed() -> None:
    settings = ServiceSettings(**GIVEN)
    assert SECRET not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"


@pytest.mark.parametrize("tenant", ["", "Acme", "a.b", "a b", "a*", "x" * 64])
def test_a_tenant_that_cannot_stand_in_a_subject_is_refused(tenant) -> None:
    with pytest.raises(ValidationError):
        ServiceSettings(**GIVEN | {"tenants": (tenant,)})
