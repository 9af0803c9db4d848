"""Acts that only look a thing up: answered where the request arrives, without a thread of their own.

A question to a file of this machine takes a fifth of a millisecond, handing it to a thread and back takes
longer, and threads that all want Python's one lock take each other's time. What has to wait is the audit's
commit: entries of many requests are committed together, by one thread, and no answer leaves before its own
entry is committed.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from fastapi.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.routing import Route as PlainRoute
from starlette.types import Scope

from devlib.api.signing import Doorkeeper
from devlib.errors import StorageUnavailable
from devlib.language import message
from devlib.portal.routes import Route
from devlib.storage import Inventory, MustWait, NewAuditEntry

Act = Callable[[Request, Mapping[str, Any]], Response]
"""Does what a request wants, with the arguments out of its address and body."""

_LONGEST = 500  # letters of a name in an address; what is longer is refused with all else that is wrong
_Waiting = tuple[Sequence[NewAuditEntry], asyncio.Future[None]]


class Scribe:
    """Commits the audit's entries of many requests together, in a thread, while the event loop goes on.

    Args:
        inventory: holds the audit.
    """

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory
        self._waiting: list[_Waiting] = []
        self._writing: asyncio.Task[None] | None = None

    async def write(self, entries: Sequence[NewAuditEntry]) -> None:
        """Return when the entries are committed.

        Args:
            entries: of one request; none is no work.

        Raises:
            StorageUnavailable: they cannot be.
        """
        if not entries:
            return
        mine = asyncio.get_running_loop().create_future()
        self._waiting.append((entries, mine))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all())
        await mine

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                await asyncio.sleep(0)  # let those who ask at the same moment come along
                batch, self._waiting = self._waiting, []
                try:
                    errors = await run_in_threadpool(self._commit, [entries for entries, _ in batch])
                except RuntimeError as error:  # no thread can be started
                    errors = [_not_now(error)] * len(batch)
                for (_, theirs), failed in zip(batch, errors, strict=True):
                    if theirs.done():
                        continue  # whoever asked has gone; the entry is written all the same
                    if failed is None:
                        theirs.set_result(None)
                    else:
                        theirs.set_exception(failed)
        finally:
            self._writing = None

    def _commit(self, batch: Sequence[Sequence[NewAuditEntry]]) -> list[Exception | None]:
        if len(batch) > 1 and self._commit_one([each for entries in batch for each in entries]) is None:
            return [None] * len(batch)
        # Alone, so that only the request whose entry it is learns what is wrong with it.
        return [self._commit_one(entries) for entries in batch]

    def _commit_one(self, entries: Sequence[NewAuditEntry]) -> Exception | None:
        try:
            self._inventory.audit_all(entries)
        except Exception as error:  # noqa: BLE001 - it becomes the answer of the request whose entry it is
            return error
        return None


def _not_now(error: Exception) -> Exception:
    return StorageUnavailable(
        message("The inventory cannot be used: {reason}", reason=str(error)),
        remedy=message("Try again; if it stays so, `devlib doctor` says what is wrong with the database."),
        retry_after=1.0,
    )


async def glance(inventory: Inventory, scribe: Scribe, look: Callable[[], Response]) -> Response:
    """Return what `look` gives, without a thread where it writes nothing but the audit.

    Args:
        inventory: in which it looks.
        scribe: commits what it notes in the audit.
        look: is done anew in a thread where it turns out to write something.

    Raises:
        DevlibError: what `look` raises; or `StorageUnavailable`, where its entry cannot be committed.
    """
    entries: Sequence[NewAuditEntry] = ()
    try:
        with inventory.without_waiting() as entries:
            found = look()
    except MustWait:
        return await run_in_threadpool(look)
    except BaseException:
        with suppress(StorageUnavailable):  # it must not hide why the act failed
            await scribe.write(entries)
        raise
    await scribe.write(entries)
    return found


class GlanceRoute(PlainRoute):
    """The address of an act that only looks something up by a name in the address.

    The framework's own route of the same act describes it, refuses what is wrong, and answers where this one
    does not; taking a request apart by its schema costs as much as the look itself.

    Args:
        route: of the act; all its parameters are texts in the path.
        inventory: in which it looks.
        scribe: commits what it notes in the audit.
        doorkeeper: signs requests in.
        act: what is done.
    """

    def __init__(
        self, route: Route, inventory: Inventory, scribe: Scribe, doorkeeper: Doorkeeper, act: Act
    ) -> None:
        async def endpoint(request: Request) -> Response:
            if not doorkeeper.needs_nobody(request):
                return await run_in_threadpool(act, request, request.path_params)
            return await glance(inventory, scribe, lambda: act(request, request.path_params))

        if set(route.parameters) != set(route.in_path) or route.in_body:
            raise ValueError(f"{route.act} needs more than its address")
        super().__init__(route.path, endpoint, methods=[route.verb], include_in_schema=False)
        self.methods = {route.verb}  # the framework's routes know no HEAD either

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return whether the request is one of these."""
        match, found = super().matches(scope)
        if match is not Match.FULL or any(len(each) > _LONGEST for each in found["path_params"].values()):
            return Match.NONE, {}
        return match, {**found, "route": self}
