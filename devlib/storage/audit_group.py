"""Entries of the audit that come at the same time share one transaction, and with it one flush to the disk.

Whoever comes while nobody writes, writes for all that came meanwhile; nobody goes on before its own entry is
committed. So a service that answers many requests at once pays for one commit where it had paid for each.
"""

import threading
from collections.abc import Callable, Sequence

from devlib.storage.records import NewAuditEntry

Write = Callable[[Sequence[NewAuditEntry]], None]


class _Pending:
    """One entry on its way: told when it is written, or when its thread is to write."""

    def __init__(self, entry: NewAuditEntry) -> None:
        self.entry = entry
        self.told = threading.Event()
        self.written = False
        self.failed = False
        self.gone = False


class AuditGroup:
    """Writes entries of many threads together.

    Args:
        write: writes entries in one transaction.
    """

    def __init__(self, write: Write) -> None:
        self._write = write
        self._lock = threading.Lock()
        self._waiting: list[_Pending] = []
        self._led = False

    def add(self, entry: NewAuditEntry) -> None:
        """Return when the entry is committed.

        Raises:
            StorageUnavailable: it cannot be.
        """
        mine = _Pending(entry)
        with self._lock:
            self._waiting.append(mine)
            leads, self._led = not self._led, True
        if not leads:
            self._await(mine)
        if not (mine.written or mine.failed):
            self._lead()
        if mine.failed:
            # Alone, so that only the one whose entry it is learns what is wrong with it.
            self._write([entry])

    def _await(self, mine: _Pending) -> None:
        try:
            mine.told.wait()
        except BaseException:
            with self._lock:
                mine.gone = True
                must_lead = mine.told.is_set() and not (mine.written or mine.failed)
            if must_lead:
                self._lead()
            raise

    def _lead(self) -> None:
        while True:
            with self._lock:
                batch, self._waiting = self._waiting, []
            failed = True
            try:
                self._write([each.entry for each in batch])
                failed = False
            except Exception:  # noqa: BLE001 - each of them tries alone, and raises what happens then
                failed = True
            finally:
                heir = self._hand_over(batch, failed=failed)
            if heir is None:
                return
            if not heir.gone:
                heir.told.set()
                return

    def _hand_over(self, batch: Sequence[_Pending], *, failed: bool) -> _Pending | None:
        """Tell those whose entries were tried; return who writes next, one that is gone where all are."""
        with self._lock:
            for each in batch:
                each.written, each.failed = not failed, failed
            present = [each for each in self._waiting if not each.gone]
            heir = next(iter([*present, *self._waiting]), None)
            self._led = heir is not None
        for each in batch:
            each.told.set()
        return heir
