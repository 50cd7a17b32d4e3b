"""Statistics as callers see them."""

from proofloop.audit.v1 import sessions_pb2

from proofloop_audit.sessions.conversion import duration
from proofloop_audit.sessions.statistics import Count, Statistics


def from_statistics(statistics: Statistics) -> sessions_pb2.SessionStatistics:
    """Return statistics as a message."""
    message = sessions_pb2.SessionStatistics(
        first_date=statistics.window.first_day.isoformat(),
        last_date=statistics.window.last_day.isoformat(),
        sessions=_from_count(statistics.sessions),
        kinds=[
            sessions_pb2.KindFigures(kind=kind, sessions=_from_count(count)) for kind, count in statistics.kinds.items()
        ],
        events=[
            sessions_pb2.EventFigures(type=name, total=count.total, failed=count.failed)
            for name, count in statistics.events.items()
        ],
        figures=[
            sessions_pb2.FigureSum(name=total.name, sum=f"{total.amount:f}", unit=total.unit, count=total.count)
            for total in statistics.figures
        ],
        days=[
            sessions_pb2.DayFigures(date=day.isoformat(), sessions=_from_count(count))
            for day, count in statistics.days.items()
        ],
    )
    if statistics.percentiles:
        p50, p90, p95, p99 = map(duration, statistics.percentiles)
        message.durations.CopyFrom(sessions_pb2.DurationPercentiles(p50=p50, p90=p90, p95=p95, p99=p99))
    return message


def _from_count(count: Count) -> sessions_pb2.SessionFigures:
    rate, mean = count.success_rate, count.mean
    return sessions_pb2.SessionFigures(
        total=count.total,
        succeeded=count.succeeded,
        failed=count.failed,
        running=count.running,
        success_rate="" if rate is None else f"{rate:f}",
        mean_duration=None if mean is None else duration(mean),
    )
