"""Statistics of sessions equal what counting every session gives, and percentiles keep their promise."""

import math
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from proofloop_audit.sessions import domain, rollup
from proofloop_audit.sessions.domain import Act, Ending, EventDraft, Figure, Session, SessionDraft, SessionEvent, State
from proofloop_audit.sessions.histogram import bucket_of, percentile
from proofloop_audit.sessions.rollup import EVERY_KIND, Delta, Measure, Sum
from proofloop_audit.sessions.statistics import PERCENTILES, Window, of_sums
from proofloop_runtime.call import CallerType
from proofloop_runtime.events import Actor
from proofloop_verifier.leaf import Outcome

TODAY = date(2026, 1, 10)
NOW = datetime(2026, 1, 10, 12, tzinfo=UTC)
ACT = Act(NOW, Actor(CallerType.USER, "ann"), "event")
SKEW = timedelta(minutes=10)

durations = st.timedeltas(timedelta(0), timedelta(days=400)) | st.timedeltas(timedelta(0), timedelta(seconds=2))
figures = st.lists(
    st.builds(
        Figure,
        st.sampled_from(["tokens", "cost"]),
        st.decimals("-999999999999999999", "999999999999999999", places=12),
        st.sampled_from(["", "USD"]),
    ),
    max_size=3,
    unique_by=lambda figure: (figure.name, figure.unit),
).map(tuple)
drafts = st.builds(
    SessionDraft,
    user_id=st.just("ann"),
    started_by=st.just("packets"),
    kind=st.sampled_from(["parsing", "letters", "checks"]),
    title=st.just(""),
    message=st.just(""),
    claim_id=st.none(),
    start_time=st.datetimes(datetime(2026, 1, 1), datetime(2026, 1, 10, 12), timezones=st.just(UTC)),  # noqa: DTZ001 -- hypothesis wants naive bounds
    input_files=st.just(()),
)
reports = st.builds(
    EventDraft,
    type=st.sampled_from(["parsing", "quality_check"]),
    time=st.none(),
    duration=st.none(),
    outcome=st.sampled_from(Outcome),
    message=st.just(""),
    details=st.just(""),
    figures=figures,
)
endings = st.none() | st.tuples(durations, st.sampled_from([State.SUCCEEDED, State.FAILED]), figures)
runs = st.lists(st.tuples(drafts, st.lists(reports, max_size=3), endings), max_size=12)


@settings(max_examples=40)
@given(runs, st.sampled_from([1, 5, 30]))
def test_the_figures_are_those_of_counting_every_session(runs, days: int) -> None:
    deltas: list[Delta] = []
    sessions: list[Session] = []
    events: list[tuple[Session, SessionEvent]] = []
    reported: list[tuple[Session, Figure]] = []
    for draft, drafts_of_events, how in runs:
        session = domain.start(draft, ACT, session_id="session", skew=SKEW)
        deltas += rollup.of_start(session)
        for event_draft in drafts_of_events:
            session, event = domain.record(session, event_draft, ACT, skew=SKEW)
            deltas += rollup.of_event(session, event)
            events.append((session, event))
            reported += [(session, figure) for figure in event.figures]
        if how is not None:
            length, state, last = how
            late = Act(NOW + timedelta(days=500), ACT.actor, "event")
            ending = Ending(state, session.start_time + length, "", (), last)
            session = domain.end(session, ending, late, skew=SKEW)
            deltas += rollup.of_end(session, ending)
            reported += [(session, figure) for figure in last]
        sessions.append(session)

    window = Window.ending(NOW, days)
    found = of_sums(window, _added_up(deltas, window))

    def recent(session: Session) -> bool:
        return TODAY - timedelta(days=days) <= session.start_time.date() <= TODAY

    counted = [session for session in sessions if recent(session)]
    _assert_counts(found.sessions, counted)
    assert list(found.days) == [TODAY - timedelta(days=n) for n in range(days, -1, -1)]
    for day, count in found.days.items():
        _assert_counts(count, [session for session in counted if session.start_time.date() == day])
    assert found.kinds.keys() == {session.kind for session in counted}
    for kind, count in found.kinds.items():
        _assert_counts(count, [session for session in counted if session.kind == kind])
    types = [event for session, event in events if recent(session)]
    assert {name: count.total for name, count in found.events.items()} == Counter(event.type for event in types)
    assert sum(count.failed for count in found.events.values()) == sum(
        event.outcome is not Outcome.SUCCESS for event in types
    )
    sums: dict[tuple[str, str], Fraction] = {}
    for session, figure in reported:
        if recent(session):
            key = (figure.name, figure.unit)
            sums[key] = sums.get(key, Fraction(0)) + Fraction(figure.value)
    assert {(total.name, total.unit): Fraction(total.amount) for total in found.figures} == sums
    lengths = sorted(session.duration for session in counted if session.duration is not None)
    for per_cent, estimate in zip(PERCENTILES, found.percentiles, strict=False):
        _assert_close(estimate, lengths[math.ceil(per_cent * len(lengths) / 100) - 1])
    assert len(found.percentiles) == (len(PERCENTILES) if lengths else 0)


@given(durations)
def test_a_bucket_stands_for_durations_within_one_per_cent_of_it(length: timedelta) -> None:
    _assert_close(percentile({bucket_of(length): 1}, 50), length)


@pytest.mark.parametrize(("per_cent", "rank"), [(1, 1), (50, 50), (90, 90), (95, 95), (99, 99), (100, 100)])
def test_a_percentile_is_the_duration_of_nearest_rank(per_cent: int, rank: int) -> None:
    counts = Counter(bucket_of(timedelta(seconds=second)) for second in range(1, 101))
    _assert_close(percentile(counts, per_cent), timedelta(seconds=rank))


def test_a_sum_of_long_decimals_is_exact() -> None:
    session = domain.start(_draft(), ACT, session_id="session", skew=SKEW)
    for value in ("999999999999999999", "0.000000000001", "-0.5"):
        session, _ = domain.record(session, _report(value), ACT, skew=SKEW)
    assert [f"{figure.value:f}" for figure in session.figures] == ["999999999999999998.500000000001"]


def test_a_rate_has_six_digits_and_none_without_an_end() -> None:
    window = Window.ending(NOW, 1)
    ended = [
        Sum(Measure.SUCCEEDED, None, None, "", "", 2, Decimal(3)),
        Sum(Measure.FAILED, None, None, "", "", 1, Decimal(0)),
    ]
    started = Sum(Measure.STARTED, None, None, "", "", 4, Decimal(0))
    count = of_sums(window, [started, *ended]).sessions
    assert (str(count.success_rate), count.mean, count.running) == ("0.666667", timedelta(microseconds=1), 1)
    assert of_sums(window, [started]).sessions.success_rate is None


def _added_up(deltas: list[Delta], window: Window) -> list[Sum]:
    """Add up as the database does: by day, by kind, and by key."""
    sums: dict[tuple[Measure, date | None, str | None, str, str], tuple[int, Decimal]] = {}
    for delta in deltas:
        if not window.first_day <= delta.day <= window.last_day:
            continue
        groups = [(delta.measure, None, None, delta.key, delta.unit)]
        if delta.measure is Measure.DURATION:
            groups = groups if delta.kind == EVERY_KIND else []
        else:
            groups += [(delta.measure, delta.day, None, "", ""), (delta.measure, None, delta.kind, "", "")]
        for group in groups:
            count, amount = sums.get(group, (0, Decimal(0)))
            sums[group] = (count + delta.count, domain._EXACT.add(amount, delta.amount))
    return [Sum(*group, count, amount) for group, (count, amount) in sums.items()]


def _assert_counts(count, sessions: list[Session]) -> None:
    states = Counter(session.state for session in sessions)
    assert count.total == len(sessions)
    assert (count.succeeded, count.failed, count.running) == (
        states[State.SUCCEEDED],
        states[State.FAILED],
        states[State.RUNNING],
    )
    lengths = [session.duration for session in sessions if session.duration is not None]
    assert count.mean == (sum(lengths, timedelta(0)) // len(lengths) if lengths else None)


def _assert_close(estimate: timedelta, exact: timedelta) -> None:
    exact = max(exact, timedelta(milliseconds=1))
    # Half a microsecond more, for the estimate is a whole number of them.
    assert abs(estimate - exact) / timedelta(microseconds=1) <= exact / timedelta(microseconds=1) * 0.01 + 0.5


def _draft() -> SessionDraft:
    return SessionDraft("ann", "packets", "parsing", "", "", None, None, ())


def _report(value: str) -> EventDraft:
    return EventDraft("parsing", None, None, Outcome.SUCCESS, "", "", (Figure("cost", Decimal(value), "USD"),))
