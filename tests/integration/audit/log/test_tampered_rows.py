"""Rows of a log that are tampered with at random where they are kept: each is named, and what of it."""

from datetime import timedelta
from random import Random
from uuid import UUID

from kept_logs import SIZE, Kept
from tampering import another, changed_bytes

AT_ONCE = 40
"""So many rows are tampered with side by side before the log is checked."""

TEXTS = ("entity_type", "entity_id", "action", "outcome", "session_id", "pseudonym")
ENTRY_COLUMNS = (*TEXTS, "fingerprint", "sealed_part", "entry_id", "append_time", "claim_id", "claim_sequence")
"""What entries are found by, and what they say of people."""


async def test_a_tampered_row_is_named(kept: Kept, request) -> None:
    chance = Random("rows")  # noqa: S311 -- the same at every run
    entries = {row["index"]: row for row in await kept.superuser.fetch("SELECT * FROM log_entry WHERE tenant = 'acme'")}
    # What is sealed of an erased person nobody can check, and entries that are missing side by side are named together.
    indexes = [index for index in range(1, SIZE, 2) if index > 300 or index % 3]
    left = request.config.getoption("tamperings")
    turn = 0
    while left > 0:
        deed = (leaves_and_hashes, columns_and_roots, whole_rows)[turn % 3]
        chosen = chance.sample(indexes, min(AT_ONCE, left))
        expected = await deed(kept, chance, entries, chosen)
        found = set(await kept.findings())
        assert expected.keys() <= found, {name: expected[name] for name in expected.keys() - found}
        await kept.undo()
        left -= len(expected)
        turn += 1
    assert await kept.findings() == []


async def leaves_and_hashes(kept: Kept, chance: Random, entries, chosen: list[int]) -> dict[str, str]:
    """Return what must be found, and what was done."""
    for index in chosen:
        column = chance.choice(("leaf", "leaf_hash"))
        await kept.set(index, column, other_bytes(chance, entries, index, column))
    return {f"entry: entry {index}": "leaf or leaf_hash" for index in chosen}


async def whole_rows(kept: Kept, chance: Random, entries, chosen: list[int]) -> dict[str, str]:
    await kept.sql("DELETE FROM log_entry WHERE tenant = 'acme' AND index = ANY($1)", chosen)
    # That the last one is missing, only a checkpoint tells.
    names = ["checkpoint: checkpoint 600" if index == SIZE - 1 else f"entry: entry {index}" for index in chosen]
    level, position, _ = await subtree(kept, chance)
    await kept.sql("DELETE FROM log_subtree WHERE level = $1 AND position = $2", level, position)
    names.append(f"tree: subtree {level}/{position}")
    return dict.fromkeys(names, "deleted") | await checkpoints(kept, chance)


async def columns_and_roots(kept: Kept, chance: Random, entries, chosen: list[int]) -> dict[str, str]:
    expected: dict[str, str] = {}
    for index in chosen:
        column = chance.choice([column for column in ENTRY_COLUMNS if entries[index][column] is not None])
        await kept.set(index, column, other_value(chance, entries, index, column))
        check = "personal" if column == "sealed_part" else "search"
        expected[f"{check}: entry {index}, {column}"] = column
    level, position, stored = await subtree(kept, chance)
    root = other_root(chance, entries, stored)
    await kept.sql("UPDATE log_subtree SET root = $1 WHERE level = $2 AND position = $3", root, level, position)
    return expected | {f"tree: subtree {level}/{position}": root.hex()} | await checkpoints(kept, chance)


async def subtree(kept: Kept, chance: Random) -> tuple[int, int, bytes]:
    """Return level, position and root of one that is stored."""
    rows = await kept.superuser.fetch("SELECT level, position, root FROM log_subtree ORDER BY level, position")
    level, position, root = chance.choice(rows)
    return level, position, root


async def checkpoints(kept: Kept, chance: Random) -> dict[str, str]:
    row = chance.choice(await kept.superuser.fetch("SELECT * FROM log_checkpoint WHERE tenant = 'acme' AND size > 0"))
    column = chance.choice(("root", "note"))
    value = changed_bytes(chance, row["root"]) if column == "root" else changed_text(chance, row["note"])
    await kept.sql(f"UPDATE log_checkpoint SET {column} = $1 WHERE size = $2", value, row["size"])  # noqa: S608 -- of two
    return {f"checkpoint: checkpoint {row['size']}": f"{column}: {value!r}"}


def other_value(chance: Random, entries, index: int, column: str) -> object:
    """Return another value that the column may hold, often one that stands in another row."""
    value = entries[index][column]
    match value:
        case bytes():
            return other_bytes(chance, entries, index, column)
        case str():
            return other_text(chance, entries, index, column)
        case UUID():
            return UUID(bytes=changed_bit(chance, value.bytes))
        case int():
            return value + chance.choice((-1, 1, 1000))
        case _:
            return value + timedelta(microseconds=chance.choice((-1, 1, 10**6)))


def other_bytes(chance: Random, entries, index: int, column: str) -> bytes:
    value = entries[index][column]
    elsewhere = another(chance, list(entries.values()), entries[index])[column]
    return chance.choice([changed_bytes(chance, value), *([elsewhere] if elsewhere != value else [])])


def other_text(chance: Random, entries, index: int, column: str) -> str:
    value = entries[index][column]
    elsewhere = {row[column] for row in entries.values()} - {value, None}
    return chance.choice([changed_text(chance, value), *sorted(elsewhere)[:1]])


def other_root(chance: Random, entries, root: bytes) -> bytes:
    return chance.choice((changed_bytes(chance, root), entries[chance.randrange(SIZE)]["leaf_hash"]))


def changed_text(chance: Random, text: str) -> str:
    at = chance.randrange(len(text))
    return text[:at] + chance.choice([c for c in "abcXYZ019 ~" if c != text[at]]) + text[at + 1 :]


def changed_bit(chance: Random, data: bytes) -> bytes:
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]
