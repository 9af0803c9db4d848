"""One border between callers that wait and networks that are asked concurrently."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


def run_blocking(work: Coroutine[Any, Any, Result]) -> Result:
    """Run `work` to its end and return its result, also where an event loop is running already.

    A notebook's kernel runs its cells inside an event loop, in which no second one may start; there the
    work gets a thread of its own.

    Args:
        work: what to run; its exceptions are raised here.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    return _in_thread(work)


def _in_thread(work: Coroutine[Any, Any, Result]) -> Result:
    done: list[Result] = []
    failed: list[BaseException] = []

    def target() -> None:
        try:
            done.append(asyncio.run(work))
        except BaseException as error:  # noqa: BLE001 - handed to the waiting thread, whatever it is
            failed.append(error)

    thread = threading.Thread(target=target, name="devlib-network")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return done[0]
