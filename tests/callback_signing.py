"""Callbacks as Kling sends them: bodies of both shapes, and the scheme of their signatures as the vendor's page describes it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
import time
from typing import Any

SECRET = "whsec_dGVzdHNlY3JldHRlc3RzZWNyZXR0ZXN0c2VjcmV0MTI="
NEXT_SECRET = "whsec_bmV4dHNlY3JldG5leHRzZWNyZXRuZXh0c2VjcmV0MTI="
OTHER_SECRET = "whsec_b3RoZXJzZWNyZXRvdGhlcnNlY3JldG90aGVyc2VjcmV0"

# The example of the vendor's page on webhooks.
VECTOR = b'{"id":"1234567890","status":"succeeded","message":"","create_time":1781080778802,"update_time":1781080794151}'
VECTOR_SIGNATURE = "v1,UsKlJP00XoQyOn410NM9xv34sP+Gl0jnOO9Lcpr7NJ4="

_MESSAGES = itertools.count(1)


def signature(secret: str, body: bytes, message_id: str, seconds: int) -> str:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    return "v1," + base64.b64encode(hmac.digest(key, f"{message_id}.{seconds}.".encode() + body, hashlib.sha256)).decode()


def signed(body: bytes, *secrets: str, age: int = 0) -> dict[str, str]:
    """The headers of a callback that is signed with these secrets, `age` seconds ago."""
    moment, message_id = int(time.time()) - age, f"msg_{next(_MESSAGES)}"
    signatures = " ".join(signature(secret, body, message_id, moment) for secret in secrets)
    return {"Webhook-Id": message_id, "Webhook-Timestamp": str(moment), "Webhook-Signature": signatures}


def task_body(task_id: str, status: str = "succeed", *, age: float = 1.0, **changes: Any) -> bytes:
    """The body of a task of `/v1` that changed `age` seconds ago."""
    now = round((time.time() - age) * 1000)
    task = {
        "task_id": task_id,
        "task_status": status,
        "task_status_msg": "",
        "task_info": {"external_task_id": f"row-{task_id}"},
        "task_result": {"videos": [{"id": "v", "url": "https://cdn.example.com/v.mp4", "duration": "5"}]},
        "created_at": now - 60_000,
        "updated_at": now,
        "final_unit_deduction": "2.5",
        **changes,
    }
    return json.dumps(task).encode()
