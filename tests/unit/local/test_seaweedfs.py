"""When SeaweedFS is ready: its master tells of a volume server in `/dir/status`."""

import json

import pytest
from proofloop_local.servers.seaweedfs import has_volume_server


@pytest.mark.parametrize(
    ("centers", "ready"),
    [
        (None, False),
        ([{"Racks": None}], False),
        ([{"Racks": [{"DataNodes": None}]}], False),
        ([{"Racks": None}, {"Racks": [{"DataNodes": None}, {"DataNodes": [{"Url": "127.0.0.1:8080"}]}]}], True),
    ],
)
def test_objects_can_be_read_once_the_master_knows_a_volume_server(centers, ready) -> None:
    assert has_volume_server(json.dumps({"Topology": {"DataCenters": centers}}).encode()) is ready
