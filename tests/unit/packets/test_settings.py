"""Settings that would be unsafe stop the start."""

import pytest
from proofloop_packets.settings import PacketsSettings
from pydantic import ValidationError

SETTINGS = {
    "database_url": "postgresql://u:p@localhost/db",
    "nats_url": "nats://127.0.0.1:4222",
    "tls_certificate": "c",
    "tls_key": "k",
    "tls_authority": "a",
    "token_keys": "t",
    "token_issuer": "i",
    "tenants": ("acme",),
    "audit_target": "audit:1",
    "prompts_target": "prompts:1",
    "exports_target": "exports:1",
    "s3_endpoint": "http://127.0.0.1:8333",
    "s3_bucket": "packets",
    "s3_access_key": "a",
    "s3_secret_key": "s",
    "signer_key": "k",
    "signer_certificate": "c",
    "log_keys": "l",
}


@pytest.mark.parametrize("wrong", [{"file_bytes": 0}, {"lease": 0.5}, {"attempts": 0}, {"packets_at_once": 0}])
def test_a_limit_below_its_least_value_is_refused(wrong: dict):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        PacketsSettings(**SETTINGS | wrong)
