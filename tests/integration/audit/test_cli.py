"""`proofloop audit list`, `show`, `prove`, `export` and `stats`, as a person at a terminal calls a running service."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from log_copies import OTHER_KEY
from proofloop.audit.v1 import log_pb2
from proofloop.audit.v1 import log_service_pb2 as contract
from proofloop.audit.v1 import sessions_service_pb2 as sessions_contract
from proofloop.audit.v1.sessions_service_pb2_grpc import SessionServiceStub
from proofloop_verifier.cli import application
from typer.testing import CliRunner

CLAIM = "0190a000-0000-7000-8000-000000000001"
REWRITE = """
    UPDATE log_entry SET leaf = changed, leaf_hash = sha256('\\x00' || changed)
    FROM (SELECT convert_to(replace(convert_from(leaf, 'UTF8'), 'success', 'failure'), 'UTF8') AS changed
          FROM log_entry WHERE index = 1) AS made
    WHERE index = 1
"""


@pytest.fixture
def proofloop(audit, certificates, token_for):
    """Runs `proofloop audit` in the environment that `proofloop env` gives, with a token of ann's, an auditor."""
    files, token = certificates("cli"), token_for("ann", "auditor")

    async def run(*arguments, **environment):
        variables = {
            "AUDIT": audit.running.address,
            "CACERT": str(files.authority),
            "CERT": str(files.certificate),
            "KEY": str(files.key),
            "TOKEN": token,
        } | environment
        line = ["audit", *map(str, arguments)]
        result = await asyncio.to_thread(CliRunner().invoke, application(line), line, env=variables)
        assert token not in result.output
        return result

    return run


@pytest.fixture
async def key(log) -> str:
    return (await log.GetCheckpoint(contract.GetCheckpointRequest())).checkpoint.verifier_key


@pytest.fixture
def folder(tmp_path) -> Path:
    (made := tmp_path / "folder").mkdir()
    return made


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def words(text: str) -> str:
    """A text without the frame that usage errors have, and without its line ends."""
    return " ".join(text.replace("│", " ").split())


async def test_entries_are_listed_the_newest_first_page_after_page(append_many, proofloop) -> None:
    receipts = await append_many(205)
    every = await proofloop("list", "--json", "--limit", 0)
    listed = [json.loads(line) for line in every.stdout.splitlines()]
    assert [entry["entryId"] for entry in listed] == [receipt.entry_id for receipt in reversed(receipts)]
    assert (listed[0]["outcome"], listed[0]["actor"]["id"], every.stderr) == ("OUTCOME_SUCCESS", "user-1", "")

    some = await proofloop("list", "--limit", 2)
    header, _, *rows = some.stdout.splitlines()
    columns = ["happened, UTC", "action", "outcome", "entity", "actor", "index", "entry"]
    assert [cell.strip() for cell in header.split("┃")] == columns
    assert [[cell.strip() for cell in row.split("│")][1:] for row in rows] == [
        ["prompt.answered", "success", "prompt prompt-1", "user-1", str(receipt.index), receipt.entry_id]
        for receipt in (receipts[204], receipts[203])
    ]
    assert some.stderr == "There are more than these 2: --limit N shows more, --limit 0 all.\n"
    oldest = await proofloop("list", "--oldest-first", "--limit", 205)
    assert (receipts[0].entry_id in oldest.stdout.splitlines()[2], oldest.stderr) == (True, "")


async def test_every_filter_of_the_service_is_an_option(log, new_request, append, proofloop) -> None:
    requests = [
        new_request(claim_id=CLAIM),
        new_request(entity_type="packet", session_id="one"),
        new_request(entity_id="prompt-2", action="prompt.expired"),
        new_request(actor=log_pb2.Actor(type=log_pb2.ACTOR_TYPE_USER, id="eve"), outcome=log_pb2.OUTCOME_DENIED),
    ]
    await log.AppendEntries(contract.AppendEntriesRequest(entries=requests))
    last = (await log.GetEntry(contract.GetEntryRequest(entry_id=(await append()).entry_id))).entry
    time = last.append_time.ToJsonString()
    for arguments, expected in (
        (["--claim", CLAIM], [0]),
        (["--entity-type", "packet"], [1]),
        (["--session", "one"], [1]),
        (["--entity-id", "prompt-2"], [2]),
        (["--action", "prompt.expired"], [2]),
        (["--actor", "eve"], [3]),
        (["--outcome", "denied"], [3]),
        (["--since", time], [4]),
        (["--before", time.removesuffix("Z")], [3, 2, 1, 0]),
        (["--before", "2026-01-01"], []),
        (["--actor", "user-1", "--entity-id", "prompt-1"], [4, 1, 0]),
    ):
        result = await proofloop("list", "--json", *arguments)
        assert [int(json.loads(line)["index"]) for line in result.stdout.splitlines()] == expected, arguments
    assert (await proofloop("list", "--actor", "nobody")).stdout == "No entry matches.\n"
    for wrong in (["--actor", ""], ["--since", "yesterday"], ["--claim", "17"]):
        assert (await proofloop("list", *wrong)).exit_code == 2, wrong


async def test_an_entry_is_shown_in_full_and_commands_nobody_s_terminal(append, superuser, proofloop) -> None:
    receipt = await append(
        claim_id=CLAIM, reason="two\nlines \x1b[31mred", user_agent="curl\u202e", details_json='{"amount": 12.50}'
    )
    result = await proofloop("show", receipt.entry_id)
    shown = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert (shown["index"], shown["entity"]) == ("0", "prompt prompt-1")
    assert shown["claim"] == f"{CLAIM}, its entry 0"
    assert shown["actor"].startswith("user-1 (user, in the leaf ")
    assert (shown["reason"], shown["lines"], shown["program"]) == ("two", "\\x1b[31mred", "curl\\u202e")
    assert shown["details"] == '{"amount": 12.50}'
    assert (
        json.loads((await proofloop("show", receipt.entry_id, "--json")).stdout)["reason"] == "two\nlines \x1b[31mred"
    )

    await superuser.execute("DELETE FROM subject")
    erased = await proofloop("show", receipt.entry_id)
    assert "actor        erased: who acted, why, from where and the details cannot be read any more" in erased.stdout
    assert not {"user-1", "12.50"} & set(erased.stdout.split())
    assert "│ erased │" in (await proofloop("list")).stdout


async def test_a_proof_is_checked_before_it_is_handed_on(append_many, proofloop, key, superuser, folder) -> None:
    *_, receipt = await append_many(2)
    file, trusted = folder / "entry.tlog-proof", folder / "log.vkey"
    trusted.write_text(key)
    sentence = "entry 1 of 2 of the log proofloop.local/acme, "
    proven = await proofloop("prove", receipt.entry_id, "--trust", trusted)
    assert (proven.exit_code, proven.stderr.startswith(f"verified: {sentence}signed by key ")) == (0, True)
    unknown = await proofloop("prove", receipt.entry_id, "--output", file)
    assert unknown.exit_code == 3
    assert unknown.stdout.startswith("consistent, the key was not checked: entry 1 of 2")
    assert file.read_text() == proven.stdout
    again = await proofloop("prove", receipt.entry_id, "--trust", key, "--output", file, "--json")
    offline = await proofloop("proof", file, "--trust", key, "--json")
    assert (again.exit_code, json.loads(again.stdout)) == (0, json.loads(offline.stdout))

    file.unlink()
    refused = await proofloop("prove", receipt.entry_id, "--output", file, "--trust", OTHER_KEY)
    assert (refused.exit_code, "no trusted key" in refused.stderr, file.exists()) == (1, True, False)
    await superuser.execute(REWRITE)
    for arguments in ([], ["--trust", key]):
        refused = await proofloop("prove", receipt.entry_id, "--output", file, *arguments)
        assert (refused.exit_code, refused.stdout) == (1, "")
        assert refused.stderr.startswith("proofloop audit: the service's proof does not hold: ")
        assert not file.exists()
    # Another entry's proof holds, and is not what was asked for.
    other = "UPDATE log_entry SET entry_id = CASE index WHEN 0 THEN $1::uuid ELSE $2::uuid END"
    await superuser.execute("ALTER TABLE log_entry DROP CONSTRAINT log_entry_tenant_entry_id_key")
    await superuser.execute(other, receipt.entry_id, str(uuid4()))
    refused = await proofloop("prove", receipt.entry_id, "--trust", key)
    assert (refused.exit_code, "the proof of another entry" in refused.stderr) == (1, True)


async def test_an_export_is_the_log_that_was_signed_or_gets_no_name(
    log, append_many, proofloop, key, superuser, folder
) -> None:
    await append_many(3)
    file, partial = folder / "log.jsonl", folder / "log.jsonl.partial"
    whole = await proofloop("export", "--output", file, "--trust", key)
    assert (whole.exit_code, "verified, 3 entries, signed by key" in whole.stderr) == (0, True)
    lines = file.read_text().splitlines()
    assert [json.loads(line)["index"] for line in lines] == [0, 1, 2]
    assert names(folder) == [file.name]
    ocsf = await proofloop("export", "--format", "ocsf", "--action", "log.exported")
    assert [json.loads(line)["class_uid"] for line in ocsf.stdout.splitlines()] == [6003]
    for arguments in (["--action", "a.b", "--output", file], ["--format", "ocsf", "--output", file], []):
        assert (await proofloop("export", "--trust", key, *arguments)).exit_code == 2

    for tampering, finding in (
        (REWRITE, "The entries are not those that the checkpoint covers"),
        ("UPDATE log_entry SET leaf_hash = sha256('') WHERE index = 0", "Line 1 of the export is no audit entry"),
    ):
        # Signed before it is rewritten; what is signed afterwards is another log, which `watch` finds out.
        await log.GetCheckpoint(contract.GetCheckpointRequest())
        await superuser.execute(tampering)
        refused = await proofloop("export", "--output", file, "--trust", key)
        assert (refused.exit_code, finding in refused.stderr) == (1, True), refused.stderr
        assert (file.read_text().splitlines(), partial.exists()) == (lines, True)
    refused = await proofloop("export", "--output", folder / "new", "--trust", OTHER_KEY)
    assert (refused.exit_code, "no trusted key" in refused.stderr) == (1, True)
    assert not list(folder.glob("new*"))


async def test_an_export_that_breaks_off_leaves_no_file_that_looks_whole(
    append_many, proofloop, superuser, token_for, folder
) -> None:
    await append_many(500, reason="r" * 2000)
    # What no service can open ends the stream, when much of it has been sent.
    await superuser.execute("UPDATE log_entry SET sealed_part = '\\x00' WHERE index = 400")
    broken = await proofloop("export", "--output", folder / "log.jsonl")
    assert (broken.exit_code, "(INTERNAL" in broken.stderr) == (1, True), broken.stderr
    assert "log.jsonl.partial is kept as it is, and is not whole" in broken.stderr
    assert names(folder) == ["log.jsonl.partial"]
    assert 0 < len((folder / "log.jsonl.partial").read_bytes().splitlines()) < 400
    assert (await proofloop("export", "--output", folder / "none" / "log.jsonl")).exit_code == 1
    reviewer = token_for("rita", "reviewer")
    assert (await proofloop("export", "--output", folder / "refused", TOKEN=reviewer)).exit_code == 1
    assert names(folder) == ["log.jsonl.partial"]


async def test_figures_of_sessions_are_tables_json_and_reports(audit, proofloop, folder) -> None:
    empty = await proofloop("stats")
    assert ("success rate   -" in empty.stdout, "kind" in empty.stdout) == (True, False)
    async with audit.channel() as channel:
        sessions = SessionServiceStub(channel)
        for kind, ends in (("parsing", True), ("parsing", False), ("checking", False)):
            start = sessions_contract.StartSessionRequest(request_id=str(uuid4()), user_id="ann", kind=kind)
            session = (await sessions.StartSession(start)).session
            if ends:
                end = sessions_contract.EndSessionRequest(
                    request_id=str(uuid4()),
                    session_id=session.session_id,
                    outcome=log_pb2.OUTCOME_SUCCESS,
                    figures=[{"name": "cost", "value": "0.10", "unit": "EUR"}],
                )
                await sessions.EndSession(end)
    shown = words((await proofloop("stats")).stdout)
    assert "sessions 3 succeeded 1 failed 0 running 2 success rate 100.00 %" in shown
    assert "parsing 2 1 0 1 100.00 %" in shown
    assert "checking 1 0 0 1 - -" in shown
    assert "cost 0.10 EUR 1" in shown
    assert shown.endswith("3 0 " + "█" * 24)
    of_kind = json.loads((await proofloop("stats", "--json", "--days", 1, "--kind", "checking")).stdout)
    assert (of_kind["sessions"]["total"], len(of_kind["days"])) == ("1", 2)

    for name, magic in (("r.pdf", b"%PDF-"), ("r.XLSX", b"PK"), ("r.json", b"{")):
        assert (await proofloop("stats", "--report", folder / name)).exit_code == 0
        assert (folder / name).read_bytes().startswith(magic)
    assert (await proofloop("stats", "--report", folder / "r.txt")).exit_code == 2
    assert names(folder) == ["r.XLSX", "r.json", "r.pdf"]


async def test_what_is_missing_or_refused_is_said_in_plain_words(
    append, proofloop, token_for, closed_port, superuser
) -> None:
    await append()
    for arguments, environment, code, said in (
        (["list"], {"AUDIT": "", "TOKEN": ""}, 2, "not given: --server (AUDIT), --token (TOKEN)"),
        (["list"], {"CERT": "/nowhere"}, 2, "/nowhere cannot be read: No such file"),
        (["list"], {"TOKEN": "two\nlines"}, 2, "--token (TOKEN) is no token"),
        (["list"], {"TOKEN": "forged"}, 1, "(UNAUTHENTICATED) Get a valid token"),
        (["show", CLAIM], {}, 1, "the log has no such entry (NOT_FOUND, ENTRY_NOT_FOUND)"),
        (["list", "--since", "2026-01-02", "--before", "2026-01-01"], {}, 1, "start_time must be before end_time"),
        (["export"], {"TOKEN": token_for("rita", "reviewer")}, 1, "(PERMISSION_DENIED, ROLE_MISSING)"),
        (["stats"], {"AUDIT": f"127.0.0.1:{closed_port}"}, 5, f"127.0.0.1:{closed_port} cannot be reached"),
    ):
        result = await proofloop(*arguments, **environment)
        assert (result.exit_code, said in words(result.stderr), result.stdout) == (code, True, ""), result.stderr
    # As long as this transaction lasts, nothing is answered; without the option a command waits for half a minute.
    async with superuser.transaction(), asyncio.timeout(25):
        await superuser.execute("LOCK TABLE log_entry IN ACCESS EXCLUSIVE MODE")
        for command in ("list", "export"):
            result = await proofloop(command, "--timeout", timedelta(milliseconds=300).total_seconds())
            assert (result.exit_code, "sent nothing for 0.3 s" in result.stderr) == (5, True), result.stderr
