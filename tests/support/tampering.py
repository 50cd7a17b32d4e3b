"""Ways to tamper with bytes and with sequences, each by chance, and each a change."""

from collections.abc import Callable, Sequence
from random import Random
from typing import TypeVar

Item = TypeVar("Item")


def changed_bytes(chance: Random, data: bytes) -> bytes:
    """Flip a bit, set a byte, take out or put in some, cut off the end, or repeat a part."""
    at, length = chance.randrange(len(data)), chance.randint(1, 8)
    ways: Sequence[Callable[[], bytes]] = (
        lambda: data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :],
        lambda: data[:at] + chance.randbytes(1) + data[at + 1 :],
        lambda: data[:at] + data[at + length :],
        lambda: data[:at] + chance.randbytes(length) + data[at:],
        lambda: data[:at],
        lambda: data[: at + length] + data[at:],
    )
    return _another(chance, ways, data)


def changed_items(chance: Random, items: Sequence[Item], elsewhere: Sequence[Item]) -> list[Item]:
    """Take out an item, repeat one, swap two, put one in from elsewhere or in another's place, or cut off the end."""
    old = list(items)
    at, other, foreign = chance.randrange(len(old)), chance.randrange(len(old)), chance.choice(elsewhere)

    def swapped() -> list[Item]:
        new = old.copy()
        new[at], new[other] = new[other], new[at]
        return new

    ways: Sequence[Callable[[], list[Item]]] = (
        lambda: old[:at] + old[at + 1 :],
        lambda: old[: at + 1] + old[at:],
        swapped,
        lambda: [*old[:at], foreign, *old[at:]],
        lambda: [*old[:at], foreign, *old[at + 1 :]],
        lambda: old[:at],
    )
    return _another(chance, ways, old)


def _another(chance: Random, ways: Sequence[Callable[[], Item]], old: Item) -> Item:
    """What comes of the first way, in any order, that changes something."""
    return next(new for way in chance.sample(ways, len(ways)) if (new := way()) != old)


def another(chance: Random, choices: Sequence[Item], than: Item) -> Item:
    """One of the choices, but not this one."""
    return chance.choice([choice for choice in choices if choice != than])
