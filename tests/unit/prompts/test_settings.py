from datetime import timedelta

import pytest
from proofloop_prompts.settings import PromptsSettings
from pydantic import ValidationError


@pytest.fixture
def environment(monkeypatch, tmp_path):
    """Sets what the service cannot start without, and what a test adds."""

    def apply(**variables):
        needed = {
            "DATABASE_URL": "postgresql://app:secret@127.0.0.1/prompts",
            "NATS_URL": "nats://127.0.0.1",
            "TLS_CERTIFICATE": tmp_path / "tls.crt",
            "TLS_KEY": tmp_path / "tls.key",
            "TLS_AUTHORITY": tmp_path / "ca.crt",
            "TOKEN_KEYS": tmp_path / "tokens.jwks",
            "TOKEN_ISSUER": "https://issuer.example",
            "TENANTS": '["acme"]',
        }
        for name, value in (needed | variables).items():
            monkeypatch.setenv(f"PROMPTS_{name}", str(value))

    return apply


def test_the_documented_defaults_hold(environment):
    environment()
    settings = PromptsSettings()
    assert settings.lifetime == settings.feed_retention == timedelta(days=7)
    assert (settings.heartbeat, settings.watch_poll) == (timedelta(seconds=15), timedelta(seconds=5))
    assert (settings.watch_stall, settings.expiry_look) == (timedelta(seconds=30), timedelta(seconds=10))
    assert (settings.expiry_batch, settings.streams_per_caller, settings.streams) == (200, 16, 2_000)


@pytest.mark.parametrize("text", ["PT20S", "00:00:20"])
def test_a_duration_is_iso_8601_or_clock_time(environment, text):
    environment(HEARTBEAT=text)
    assert PromptsSettings().heartbeat == timedelta(seconds=20)


@pytest.mark.parametrize(
    "wrong", [{"HEARTBEAT": "0"}, {"LIFETIME": "P367D"}, {"EXPIRY_BATCH": "0"}, {"STREAMS": "many"}]
)
def test_a_wrong_setting_stops_the_start_by_its_name(environment, wrong):
    environment(**wrong)
    with pytest.raises(ValidationError) as refusal:
        PromptsSettings()
    assert next(iter(wrong)).lower() in str(refusal.value)
