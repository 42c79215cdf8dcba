"""One Kling account for all triggers of an event loop: they share its connection lookup, token and sessions.

Keyed by event loop too, because `dag.test()` runs every trigger in a loop of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from airflow_provider_kling.hooks import KlingHook


@dataclass
class _Shared:
    hook: KlingHook
    users: int = 0


_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Shared]] = WeakKeyDictionary()


@contextlib.asynccontextmanager
async def shared_hook(kling_conn_id: str) -> AsyncIterator[KlingHook]:
    """The hook that everybody on this event loop uses for this connection; its sessions end with the last user."""
    accounts = _shared.setdefault(asyncio.get_running_loop(), {})
    account = accounts.setdefault(kling_conn_id, _Shared(KlingHook(kling_conn_id)))
    account.users += 1
    try:
        yield account.hook
    finally:
        account.users -= 1
        if not account.users:
            if accounts.get(kling_conn_id) is account:
                del accounts[kling_conn_id]
            await account.hook.aclose()
