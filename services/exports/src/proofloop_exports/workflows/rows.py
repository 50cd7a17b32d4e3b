"""Which rows of one list are which rows of another.

Rows are matched by identity: by a key member (`id`, `sku`, `line`, …) where the list has one, else by what
they say. The pairs keep the order of both lists, so a row that moved is a row taken out and one put in.

Time is near-linear in the size of the lists, whatever they hold: keys, rare members and repeated rows are
found by counting, the longest orderly chain in O(n log n), and only stretches of at most `SMALL` pairs of rows
are compared each with each. Longer stretches in which nothing stands out are paired by position.
"""

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

SMALL = 4096
"""Pairs of rows up to which a stretch is compared each with each: 64 rows against 64."""

# Compared in lower case without punctuation. The first that tells most rows of both lists apart is the key.
_KEY_NAMES = (
    "id", "uuid", "guid", "key", "sku", "asin", "fnsku", "upc", "ean", "gtin", "itemid", "productid", "lineid",
    "rowid", "itemnumber", "partnumber", "trackingnumber", "invoicenumber", "serialnumber", "reference", "code",
    "name",
)  # fmt: skip
# Numbers that follow the order of the rows: whoever inserts a row may number all others anew.
_ORDINAL_NAMES = (
    "line",
    "lineno",
    "linenumber",
    "row",
    "rownumber",
    "number",
    "no",
    "position",
    "index",
    "seq",
    "sequence",
)

_EQUAL = 1001
_LEAST = 1

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a list, as far as matching needs it.

    Attributes:
        content: A number that two rows share if and only if they are equal.
        kind: What the row is; rows of different kinds are never matched.
        members: By name or index, a number that stands for the member's value as `content` does for the row.
    """

    content: int
    kind: type
    members: Mapping[str | int, int] = field(default_factory=dict)


def match(before: Sequence[Row], after: Sequence[Row]) -> list[Pair]:
    """Return the index pairs of rows that are the same row, ascending on both sides.

    Paired rows are equal, or share their key, or are containers of one kind that differ in at most one member
    or in at most half of them, or are both scalars standing in the same place.
    """
    return _Matcher(before, after).between((0, len(before)), (0, len(after)), _STRATEGIES)


class _Matcher:
    def __init__(self, before: Sequence[Row], after: Sequence[Row]) -> None:
        self.before = before
        self.after = after

    def between(self, old: Pair, new: Pair, strategies: "Sequence[_Strategy]") -> list[Pair]:
        """Pairs within a stretch of each list, given as (start, end)."""
        (old_start, old_end), (new_start, new_end) = old, new
        head: list[Pair] = []
        while old_start < old_end and new_start < new_end and self._equal(old_start, new_start):
            head.append((old_start, new_start))
            old_start, new_start = old_start + 1, new_start + 1
        tail: list[Pair] = []
        while old_start < old_end and new_start < new_end and self._equal(old_end - 1, new_end - 1):
            old_end, new_end = old_end - 1, new_end - 1
            tail.append((old_end, new_end))
        middle = self._middle(range(old_start, old_end), range(new_start, new_end), strategies)
        return [*head, *middle, *reversed(tail)]

    def _middle(self, old: range, new: range, strategies: "Sequence[_Strategy]") -> list[Pair]:
        if not old or not new:
            return []
        if not strategies:
            return [pair for pair in zip(old, new, strict=False) if self.likeness(pair)]
        strategy, *weaker = strategies
        if strategy is not _by_key and len(old) * len(new) <= SMALL:
            return self._each_with_each(old, new)
        anchors = _longest_chain(strategy(self, old, new))
        ends = [(old.start - 1, new.start - 1), *anchors, (old.stop, new.stop)]
        pairs: list[Pair] = []
        for (old_left, new_left), (old_right, new_right) in pairwise(ends):
            pairs += self.between((old_left + 1, old_right), (new_left + 1, new_right), weaker)
            pairs.append((old_right, new_right))
        return pairs[:-1]

    def _each_with_each(self, old: range, new: range) -> list[Pair]:
        """Pair so that the sum of likenesses is greatest (Needleman and Wunsch, without a cost for gaps)."""
        best = [[0] * (len(new) + 1) for _ in range(len(old) + 1)]
        likeness = [[self.likeness((i, j)) for j in new] for i in old]
        for i in range(len(old) - 1, -1, -1):
            for j in range(len(new) - 1, -1, -1):
                paired = best[i + 1][j + 1] + likeness[i][j] if likeness[i][j] else 0
                best[i][j] = max(paired, best[i + 1][j], best[i][j + 1])
        pairs: list[Pair] = []
        i = j = 0
        while i < len(old) and j < len(new):
            if likeness[i][j] and best[i][j] == best[i + 1][j + 1] + likeness[i][j]:
                pairs.append((old[i], new[j]))
                i, j = i + 1, j + 1
            elif best[i][j] == best[i + 1][j]:
                i += 1
            else:
                j += 1
        return pairs

    def _equal(self, i: int, j: int) -> bool:
        return self.before[i].content == self.after[j].content

    def likeness(self, pair: Pair) -> int:
        """0 if the rows are not to be paired, else how alike they are, at most 1001."""
        old, new = self.before[pair[0]], self.after[pair[1]]
        if old.content == new.content:
            return _EQUAL
        if old.kind is not new.kind:
            return 0
        size = max(len(old.members), len(new.members))
        shared = len(old.members.items() & new.members.items())
        if size and 2 * shared < size and size - shared > 1:
            return 0
        return max(_LEAST, 1000 * shared // size if size else 0)


_Strategy = Callable[[_Matcher, range, range], list[Pair]]


def _by_key(matcher: _Matcher, old: range, new: range) -> list[Pair]:
    """Rows that share the value of the first key member whose values tell most rows apart."""
    spellings: dict[str, str] = {}
    for row in (*(matcher.before[i] for i in old), *(matcher.after[j] for j in new)):
        for member in row.members:
            if isinstance(member, str):
                spellings.setdefault(re.sub("[^a-z0-9]", "", member.lower()), member)
    for plain in (*_KEY_NAMES, *_ORDINAL_NAMES):
        name = spellings.get(plain)
        if name is None:
            continue
        olds = _unique((matcher.before[i].members.get(name), i) for i in old)
        news = _unique((matcher.after[j].members.get(name), j) for j in new)
        if 2 * len(olds) < len(old) or 2 * len(news) < len(new):
            continue
        pairs = _meet(olds, news)
        alike = sum(1 for pair in pairs if matcher.likeness(pair))
        if plain in _KEY_NAMES or 2 * alike >= len(pairs):
            return pairs
    return []


def _by_content(matcher: _Matcher, old: range, new: range) -> list[Pair]:
    """Rows that are equal, and have no other like them."""
    return _meet(
        _unique((matcher.before[i].content, i) for i in old),
        _unique((matcher.after[j].content, j) for j in new),
    )


def _by_rare_members(matcher: _Matcher, old: range, new: range) -> list[Pair]:
    """Rows that share the most members which no other row has, if they are alike."""
    olds = _unique((member, i) for i in old for member in matcher.before[i].members.items())
    news = _unique((member, j) for j in new for member in matcher.after[j].members.items())
    votes = Counter(_meet(olds, news))
    favourite: dict[int, int] = {}
    for (i, j), _ in votes.most_common():
        favourite.setdefault(i, j)
    return [pair for pair in favourite.items() if matcher.likeness(pair)]


def _by_occurrence(matcher: _Matcher, old: range, new: range) -> list[Pair]:
    """The first of several equal rows with the first, the second with the second, and so on."""
    seen_old: Counter[int] = Counter()
    seen_new: Counter[int] = Counter()
    return _meet(
        {_numbered(seen_old, matcher.before[i].content): i for i in old},
        {_numbered(seen_new, matcher.after[j].content): j for j in new},
    )


_STRATEGIES: tuple[_Strategy, ...] = (_by_key, _by_content, _by_rare_members, _by_occurrence)


def _numbered(seen: Counter[int], content: int) -> Pair:
    seen[content] += 1
    return content, seen[content]


def _unique(keys: Iterable[tuple[Hashable, int]]) -> dict[Hashable, int]:
    """Positions of the keys that occur once; None is no key."""
    positions: dict[Hashable, int] = {}
    for key, position in keys:
        positions[key] = -1 if key in positions else position
    return {key: position for key, position in positions.items() if position >= 0 and key is not None}


def _meet(olds: Mapping[Hashable, int], news: Mapping[Hashable, int]) -> list[Pair]:
    return [(position, news[key]) for key, position in olds.items() if key in news]


def _longest_chain(pairs: Iterable[Pair]) -> list[Pair]:
    """The most pairs that ascend on both sides."""
    chain_ends: list[int] = []
    last_of: list[int] = []
    ordered = sorted(pairs)
    previous: list[int | None] = []
    for number, (_, j) in enumerate(ordered):
        length = bisect_left(chain_ends, j)
        previous.append(last_of[length - 1] if length else None)
        chain_ends[length : length + 1] = [j]
        last_of[length : length + 1] = [number]
    chain: list[Pair] = []
    at = last_of[-1] if last_of else None
    while at is not None:
        chain.append(ordered[at])
        at = previous[at]
    return chain[::-1]
