"""The last spans, in files."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from proofloop_local.spans import Span

# The newest file is set aside when it is this large, and the one set aside before it goes.
FILE_BYTES = 64 * 1024 * 1024


class SpanStore:
    """Spans of one folder: written by the receiver, read by anybody at any time.

    Holds at least the last `file_bytes` of spans and at most twice as much.
    """

    def __init__(self, folder: Path, file_bytes: int = FILE_BYTES) -> None:
        self._newest = folder / "spans.jsonl"
        self._older = folder / "spans.1.jsonl"
        self._file_bytes = file_bytes

    def append(self, spans: Iterable[Span]) -> None:
        """Add spans, as whole lines."""
        self._newest.parent.mkdir(parents=True, exist_ok=True)
        lines = "".join(f"{span.to_json()}\n" for span in spans)
        with self._newest.open("a") as output:
            output.write(lines)
            full = output.tell() > self._file_bytes
        if full:
            self._newest.replace(self._older)

    def __iter__(self) -> Iterator[Span]:
        """All spans in the order they arrived."""
        for file in (self._older, self._newest):
            if not file.exists():
                continue
            with file.open() as lines:
                # A last line without an end is still being written.
                yield from (Span.from_json(line) for line in lines if line.endswith("\n"))

    def trace(self, trace_id: str) -> list[Span]:
        """The spans of one trace, or of the one whose id begins so."""
        return [span for span in self if span.trace_id.startswith(trace_id)]
