"""A person is held, released and erased over plain HTTP, and every service obeys."""

import json
from uuid import uuid4

TENANT = "globex"
"""Where the walk with hostile messages places no holds."""


async def test_a_person_is_erased_everywhere_once_no_hold_covers_them(rest, claimant, eventually) -> None:
    theirs, reviewer = rest(claimant, "claimant", tenant=TENANT), rest("rita", "reviewer", tenant=TENANT)
    officer = rest("cora", "compliance", tenant=TENANT)
    opening = {"request_id": str(uuid4()), "title": "Lost inbound", "kind": "fba_lost_inbound"}
    claim = (await theirs.post("/api/v1/claims", json=opening)).json()["claim"]
    asking = {"request_id": str(uuid4()), "claim_id": claim["claimId"], "assignee_id": claimant}
    asking |= {"question": "How many units were received?", "free_text_allowed": True}
    prompt = (await reviewer.post("/api/v1/prompts", json=asking)).json()["prompt"]
    answer = {"request_id": str(uuid4()), "shown_sha256": prompt["shownSha256"], "text": f"28, says {claimant}"}
    answered = await theirs.post(f"/api/v1/prompts/{prompt['promptId']}:answer", json=answer)
    assert answered.status_code == 200, answered.text

    async def logged() -> bool:
        listed = (await officer.get("/api/v1/audit/entries", params={"actor_id": claimant})).json()
        return {"claim.created", "prompt.answered"} <= {entry["action"] for entry in listed.get("entries", [])}

    await eventually(logged)
    placing = {"request_id": str(uuid4()), "scope": {"claim_id": claim["claimId"]}, "reason": "case 17"}
    hold = (await officer.post("/api/v1/audit/holds", json=placing)).json()["hold"]
    erasing = {"subject": {"type": "ACTOR_TYPE_USER", "id": claimant}, "reason": "asked to be forgotten"}
    refused = await officer.post("/api/v1/audit/subjects:erase", json=erasing | {"request_id": str(uuid4())})
    assert refused.status_code == 400
    assert hold["holdId"] in refused.text
    assert "ERROR_REASON_LEGAL_HOLD_ACTIVE" in refused.text
    release = {"request_id": str(uuid4()), "reason": "settled"}
    released = await officer.post(f"/api/v1/audit/holds/{hold['holdId']}:release", json=release)
    assert released.json()["hold"]["releasedBy"]["id"] == "cora"
    assert hold["holdId"] not in (await officer.get("/api/v1/audit/holds")).text

    erased = await officer.post("/api/v1/audit/subjects:erase", json=erasing | {"request_id": str(uuid4())})
    assert erased.status_code == 200, erased.text
    assert int(erased.json()["entryCount"]) >= 2

    async def forgotten() -> bool:
        seen = [
            (await officer.get(f"/api/v1/prompts/{prompt['promptId']}")).json(),
            (await officer.get(f"/api/v1/claims/{claim['claimId']}")).json(),
        ]
        return claimant not in json.dumps(seen)

    await eventually(forgotten)
    assert (await theirs.get(f"/api/v1/prompts/{prompt['promptId']}")).status_code == 403
