"""Why a call is refused."""

from collections.abc import Awaitable
from typing import Any

import grpc.aio
import pytest
from proofloop_runtime.testing import Refusal


async def refused(call: Awaitable[Any]) -> Refusal:
    """Return why a call is refused; the test fails if it is not."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return Refusal.of(raised.value)
