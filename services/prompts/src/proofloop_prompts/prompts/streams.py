"""How many streams a replica serves, in all and per caller."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from proofloop_runtime.call import Caller
from proofloop_runtime.errors import Overloaded

from proofloop_prompts import telemetry
from proofloop_prompts.errors import TooManyStreams

_RETRY_AFTER = timedelta(seconds=5)


class Streams:
    """Counts open streams, and refuses one too many."""

    def __init__(self, *, per_caller: int, total: int) -> None:
        self._per_caller = per_caller
        self._total = total
        self._open: Counter[tuple[str, str]] = Counter()

    @contextmanager
    def opened(self, caller: Caller) -> Iterator[None]:
        """Count a stream of the caller while the block runs.

        Raises:
            TooManyStreams: they have as many as they may.
            Overloaded: this replica has.
        """
        key = (caller.tenant, caller.key)
        if self._open[key] >= self._per_caller:
            raise TooManyStreams(
                "you have too many streams open", retry_after=_RETRY_AFTER, limit=str(self._per_caller)
            )
        if self._open.total() >= self._total:
            raise Overloaded("this replica has too many streams open", retry_after=_RETRY_AFTER)
        self._open[key] += 1
        telemetry.open_streams.add(1)
        try:
            yield
        finally:
            telemetry.open_streams.add(-1)
            self._open[key] -= 1
            if not self._open[key]:
                del self._open[key]
