"""Percentiles of durations from counts in logarithmic buckets, which add up across days, kinds and replicas.

The buckets and the guarantee are those of DDSketch (Masson, Rim and Lee, "DDSketch: A Fast and Fully-Mergeable
Quantile Sketch with Relative-Error Guarantees", PVLDB 12(12), 2019) with a relative accuracy of 1 %: bucket i holds
the durations above g^(i-1) and up to g^i milliseconds, g = 1.01 / 0.99, and stands for 2 g^i / (g + 1), which is at
most 1 % from each of them. Durations up to a millisecond are in bucket 0 and count as a millisecond. Durations of up
to an hour have some 750 buckets, those of up to a year some 1,200.
"""

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

ACCURACY: Final = 0.01
"""The most by which a percentile differs from the exact one, relative to it."""

_LEAST: Final = timedelta(milliseconds=1)
_GROWTH: Final = (1 + ACCURACY) / (1 - ACCURACY)
_LOG_GROWTH: Final = math.log(_GROWTH)


def bucket_of(duration: timedelta) -> int:
    """Return the bucket that a duration, which is not negative, falls into."""
    if duration <= _LEAST:
        return 0
    return math.ceil(math.log(duration / _LEAST) / _LOG_GROWTH)


def percentile(counts: Mapping[int, int], per_cent: int) -> timedelta:
    """Return the duration of nearest rank: the least that `per_cent` of all do not exceed, within the accuracy.

    Args:
        counts: Number of durations by bucket, at least one in all.
        per_cent: From 1 to 100.
    """
    rank = -(-per_cent * sum(counts.values()) // 100)
    for bucket in sorted(counts):
        rank -= counts[bucket]
        if rank <= 0:
            return _standing_for(bucket)
    raise ValueError("there are no durations")


def _standing_for(bucket: int) -> timedelta:
    if bucket == 0:
        return _LEAST
    return _LEAST * (2 * math.exp(bucket * _LOG_GROWTH) / (_GROWTH + 1))
