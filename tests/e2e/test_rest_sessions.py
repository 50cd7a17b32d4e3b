"""A session is run, found, counted, exported and reported over plain HTTP, as `curl` would."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx

SESSIONS = "/api/v1/audit/sessions"


async def posted(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    response = await client.post(path, json={"request_id": str(uuid4())} | body)
    assert response.status_code == 200, response.text
    return response.json()["session"]


async def test_a_session_is_run_and_told_of(as_claimant, claimant, rest) -> None:
    auditor = rest("auditor@example.com", "auditor")
    kind = f"kind_{uuid4().hex}"
    began = datetime.now(UTC).isoformat()
    session = await posted(as_claimant, SESSIONS, {"kind": kind, "start_time": began})
    path = f"{SESSIONS}/{session['sessionId']}"
    figures = [{"name": "tokens", "value": "12.50"}]
    await posted(as_claimant, f"{path}/events", {"type": "parsing", "figures": figures})
    ended = await posted(as_claimant, f"{path}:end", {"outcome": "OUTCOME_SUCCESS"})
    assert (ended["state"], ended["userId"]) == ("SESSION_STATE_SUCCEEDED", claimant)

    shown = (await as_claimant.get(path)).json()
    assert (shown["session"], len(shown["events"])) == (ended, 1)
    assert (await auditor.get(SESSIONS, params={"kind": kind})).json()["sessions"] == [ended]
    counted = (await auditor.get(f"{SESSIONS}:statistics", params={"kind": kind, "days": 1})).json()["statistics"]
    assert (counted["sessions"]["succeeded"], counted["figures"][0]["sum"]) == ("1", "12.50")

    export = await as_claimant.get(f"{SESSIONS}:export", params={"kind": kind})
    assert (export.status_code, export.headers["content-type"]) == (200, "application/jsonl")
    [line] = export.text.splitlines()
    assert json.loads(line) == {"session": ended, "events": shown["events"]}
    report = await auditor.get(f"{SESSIONS}:report", params={"kind": kind})
    assert (report.headers["content-type"], report.content[:5]) == ("application/pdf", b"%PDF-")
    assert kind in report.headers["content-disposition"]
