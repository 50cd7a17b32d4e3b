"""Arrange the spans of one trace as a tree of rows."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from proofloop_local.labels import is_statement, is_tenant_choice, title
from proofloop_local.spans import Kind, Span

# So many like spans in a row are shown as one.
MANY = 3


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a waterfall: a span, or several like ones that follow each other.

    Attributes:
        spans: What it stands for, in order of time.
        depth: How deep it stands; roots at 0.
        rails: For each level above, whether more siblings follow there.
        last: Whether it is the last of its siblings.
        note: What its place does not say by itself.
    """

    spans: tuple[Span, ...]
    depth: int
    rails: tuple[bool, ...]
    last: bool
    note: str

    @property
    def first(self) -> Span:
        """The first of its spans."""
        return self.spans[0]

    @property
    def end(self) -> int:
        """When the last of its spans ended, nanoseconds since the epoch."""
        return max(span.end for span in self.spans)


@dataclass(frozen=True, slots=True)
class ServiceShare:
    """What one service did in a trace."""

    name: str
    spans: int
    failed: int


@dataclass(frozen=True, slots=True)
class Waterfall:
    """A trace ready to be drawn.

    Attributes:
        trace_id: 32 hexadecimal digits.
        start: Nanoseconds since the epoch.
        end: Nanoseconds since the epoch.
        services: In the order in which they came in.
        rows: Top to bottom.
        left_out: How many statements that only choose the tenant have no row.
    """

    trace_id: str
    start: int
    end: int
    services: tuple[ServiceShare, ...]
    rows: tuple[Row, ...]
    left_out: int


def arrange(spans: Iterable[Span], *, fold: bool = True) -> Waterfall:
    """The waterfall of a trace's spans, which may come in any order and more than once.

    A span goes under its parent; one without a parent but with a link into the trace (a message taken up later)
    goes under the span it is linked to. With `fold`, SQL statements that follow each other become one row, and so do
    like spans, with all that is below them, where nothing failed and no message was sent; what every transaction
    begins with is left out.
    Raises ValueError when there are no spans.
    """
    unique = {span.span_id: span for span in spans}
    ordered = sorted(unique.values(), key=lambda span: (span.start, -span.end))
    if not ordered:
        raise ValueError("a trace has at least one span")
    shown = [span for span in ordered if span.failed or not (fold and is_tenant_choice(span))]
    children: dict[str, list[Span]] = {}
    for span in shown:
        children.setdefault(_place(span, unique), []).append(span)
    return Waterfall(
        trace_id=ordered[0].trace_id,
        start=ordered[0].start,
        end=max(span.end for span in ordered),
        services=tuple(_shares(ordered)),
        rows=tuple(_rows(children, "", (), unique, fold=fold)),
        left_out=len(ordered) - len(shown),
    )


def _place(span: Span, known: dict[str, Span]) -> str:
    """The id of the span that `span` goes under, empty for the top."""
    if span.parent_id in known:
        return span.parent_id
    linked = (link.span_id for link in span.links if link.trace_id == span.trace_id and link.span_id in known)
    # Clocks aside, nothing is caused by what begins later; this also rules out circles.
    return next((other for other in linked if known[other].start < span.start), "")


def _shares(spans: Sequence[Span]) -> Iterator[ServiceShare]:
    for name in dict.fromkeys(span.service for span in spans):
        own = [span for span in spans if span.service == name]
        yield ServiceShare(name, len(own), sum(span.failed for span in own))


def _rows(
    children: dict[str, list[Span]], parent: str, rails: tuple[bool, ...], known: dict[str, Span], *, fold: bool
) -> Iterator[Row]:
    groups = list(_groups(children, parent, fold=fold))
    for number, group in enumerate(groups):
        first, last = group[0], number == len(groups) - 1
        yield Row(tuple(group), len(rails), rails, last, _note(first, known))
        if len(group) == 1:
            yield from _rows(children, first.span_id, (*rails, not last), known, fold=fold)


def _groups(children: dict[str, list[Span]], parent: str, *, fold: bool) -> Iterator[list[Span]]:
    """The children of `parent`, like ones that follow each other taken together."""
    run: list[Span] = []
    for span in [*children.get(parent, []), None]:
        if run and (span is None or not _alike(run[-1], span, children)):
            yield from [run] if fold and len(run) >= MANY else ([single] for single in run)
            run = []
        if span is not None:
            run.append(span)


def _alike(one: Span, other: Span, children: dict[str, list[Span]]) -> bool:
    """Whether the two say the same of what happened: so a reader who sees one has seen both."""
    shape = _shape(one, children)
    return shape is not None and shape == _shape(other, children)


def _shape(span: Span, children: dict[str, list[Span]]) -> tuple[object, ...] | None:
    """What alike spans have in common; None for one that failed or sent a message, or under which one did."""
    if span.failed or span.kind is Kind.PRODUCER:
        return None
    below = [_shape(child, children) for child in children.get(span.span_id, [])]
    if None in below:
        return None
    # However many statements a call needed, and on which tables, it is the same call.
    name = "SQL" if is_statement(span) else title(span)
    return (name, span.service, span.kind, *dict.fromkeys(below))


def _note(span: Span, known: dict[str, Span]) -> str:
    if span.parent_id in known:
        return ""
    if span.links:
        source = known.get(span.links[0].span_id)
        return f"follows {title(source)}" if source else f"follows trace {span.links[0].trace_id}"
    return "its parent was not recorded" if span.parent_id else ""
