"""Periods of keys, and the setting that asks for them."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from proofloop_audit.log.periods import Period, Periods, period_at
from proofloop_audit.settings import AuditSettings
from proofloop_runtime.testing import FakeClock
from pydantic import ValidationError

TIME = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("retention", "length"),
    [(DAY, DAY), (12 * DAY, DAY), (365 * DAY, 365 * DAY / 12), (36_500 * DAY, 36_500 * DAY / 12)],
)
def test_a_period_is_a_twelfth_of_the_retention_and_at_least_a_day_and_follows_on_the_one_before(retention, length):
    period = period_at(TIME, retention)
    assert period.begin <= TIME < period.end
    assert period.end - period.begin == length
    assert period_at(period.begin, retention) == period_at(period.end - timedelta(microseconds=1), retention) == period
    assert period_at(period.end, retention) == Period(period.end, period.end + length)


def test_a_period_changes_once_when_the_clock_leaves_it_in_either_direction():
    clock = FakeClock(period_at(TIME, DAY).begin)
    periods = Periods({"acme": DAY}, clock)
    for step, changed, end in (
        (DAY - timedelta(microseconds=1), False, clock.now() + DAY),
        (timedelta(microseconds=1), True, clock.now() + 2 * DAY),
        (5 * DAY, True, clock.now() + 7 * DAY),
        (-6 * DAY, True, clock.now() + DAY),
    ):
        clock.advance(step)
        assert (periods.changed("acme"), periods.end("acme")) == (changed, end)
        assert not periods.changed("acme")
    assert (periods.changed("globex"), periods.end("globex")) == (False, None)


@pytest.fixture
def settings(monkeypatch, tmp_path):
    """Reads the settings with a retention."""

    def read(**retention) -> AuditSettings:
        needed = {
            "DATABASE_URL": "postgresql://app:secret@127.0.0.1/audit",
            "NATS_URL": "nats://127.0.0.1",
            "TLS_CERTIFICATE": tmp_path / "tls.crt",
            "TLS_KEY": tmp_path / "tls.key",
            "TLS_AUTHORITY": tmp_path / "ca.crt",
            "TOKEN_KEYS": tmp_path / "tokens.jwks",
            "TOKEN_ISSUER": "https://issuer.example",
            "TENANTS": '["acme", "globex"]',
            "LOG_DOMAIN": "proofloop.local",
            "LOG_KEY": tmp_path / "log.pem",
            "MASTER_KEY": tmp_path / "master.key",
            "RETENTION": json.dumps(retention),
        }
        for name, value in needed.items():
            monkeypatch.setenv(f"AUDIT_{name}", str(value))
        return AuditSettings()

    return read


def test_tenants_have_retentions_of_their_own_or_none(settings):
    assert settings(acme="P365D", globex="P1D").retention == {"acme": 365 * DAY, "globex": DAY}
    assert settings().retention == {}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"acme": "PT23H59M59S"}, "retention.acme"),
        ({"acme": "P36501D"}, "retention.acme"),
        ({"acme": "a year"}, "retention.acme"),
        ({"acme": "P365D", "another": "P365D"}, "retention names tenants that there are not: another"),
    ],
)
def test_a_wrong_retention_stops_the_start_by_its_name(settings, wrong, said):
    with pytest.raises(ValidationError) as refusal:
        settings(**wrong)
    assert said in str(refusal.value)
