"""The edge knows every contract that is installed."""

import re

from google.protobuf import descriptor_pool
from proofloop_local import contracts


def test_the_descriptor_set_is_complete_and_in_order() -> None:
    descriptors = contracts.descriptor_set()
    pool = descriptor_pool.DescriptorPool()
    for file in descriptors.file:
        pool.Add(file)
    for name in ("google.rpc.ErrorInfo", "google.rpc.BadRequest", "google.rpc.RetryInfo", "google.api.HttpBody"):
        assert pool.FindMessageTypeByName(name)


def test_a_packages_services_are_named_in_full() -> None:
    services = contracts.services_of(contracts.descriptor_set(), "proofloop.audit.v1")
    assert "proofloop.audit.v1.LogService" in services
    assert contracts.services_of(contracts.descriptor_set(), "proofloop.nothing.v1") == []


def test_the_paths_of_uploads_are_patterns_with_a_segment_for_each_variable() -> None:
    pattern = contracts._path_pattern("/api/v1/claims/{claim_id}/evidence:add")
    assert re.fullmatch(pattern, "/api/v1/claims/1-2/evidence:add")
    assert not re.fullmatch(pattern, "/api/v1/claims/1/2/evidence:add")
    assert not re.fullmatch(pattern, "/api/v1/claims//evidence:add")
