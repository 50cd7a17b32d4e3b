"""Headers are read as nats-py reads them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nats.aio.client import Client as NatsClient
from proofloop_runtime.nats_client import Client

PIECES = st.sampled_from(
    [b"ce-id", b"a b", b":", b": ", b" ", b"\t", b"\r\n", b"\r", b"\n", b"\x1c", b"\xc3\xa9", b"\xff", b"%C3", b"7"]
)


@pytest.mark.parametrize(
    "raw",
    [
        b"ce-id: 7\r\nce-reason: too late: by far\r\n\r\n",
        b"Name:Value\r\nTab:\tvalue \r\n",
        b"no header\r\n: nameless\r\nin side: no\r\ntwice: 1\r\ntwice: 2\r\n",
        b"caf\xc3\xa9: name\r\nvalue: caf\xc3\xa9\xc2\xa0\r\nbroken: \xff\r\n",
    ],
)
def test_headers_are_what_nats_py_reads(raw: bytes) -> None:
    assert Client._parse_header_lines(raw) == NatsClient._parse_header_lines(raw)


@given(st.lists(PIECES).map(b"".join))
def test_any_bytes_are_the_headers_that_nats_py_reads(raw: bytes) -> None:
    assert Client._parse_header_lines(raw) == NatsClient._parse_header_lines(raw)
