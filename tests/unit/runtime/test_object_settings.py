"""Settings of services that keep objects."""

import pytest
from proofloop_runtime.object_settings import ObjectSettings, OptionalObjectSettings
from pydantic import ValidationError

SECRET = "hunter2"
GIVEN = {
    "s3_endpoint": "http://127.0.0.1:8333",
    "s3_bucket": "packets",
    "s3_access_key": "a",
    "s3_secret_key": SECRET,
}


@pytest.mark.parametrize("kind", [ObjectSettings, OptionalObjectSettings])
class TestAnyStore:
    def test_may_be_plain_on_this_machine_only(self, kind) -> None:
        assert kind(**GIVEN).s3.endpoint == "http://127.0.0.1:8333"
        assert kind(**GIVEN | {"s3_endpoint": "https://s3.example.com"}).s3.endpoint == "https://s3.example.com"
        with pytest.raises(ValidationError, match="s3_endpoint leaves this machine without TLS"):
            kind(**GIVEN | {"s3_endpoint": "http://s3.example.com"})

    @pytest.mark.parametrize("name", ["s3_bucket", "s3_access_key", "s3_secret_key"])
    def test_is_given_whole_or_refused_by_name(self, kind, name) -> None:
        with pytest.raises(ValidationError, match=f"{name} is missing"):
            kind(**{other: value for other, value in GIVEN.items() if other != name})

    def test_keeps_its_secret_out_of_what_is_printed(self, kind) -> None:
        assert SECRET not in f"{kind(**GIVEN)!r}"


def test_a_store_that_is_needed_must_be_given() -> None:
    with pytest.raises(ValidationError, match="s3_endpoint is missing"):
        ObjectSettings()


def test_a_store_that_is_not_needed_may_be_left_out() -> None:
    assert OptionalObjectSettings().s3 is None
