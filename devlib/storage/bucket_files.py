"""Files in a bucket, read through a folder of this machine.

Files never change, so what was brought once is right for ever. The folder has a bound: what was not used for
longest goes first. Nothing goes within an hour of its last use, for a query may hold it: an hour is longer
than any query, export or compaction of a day may take.
"""

import os
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from shutil import disk_usage
from uuid import uuid4

from devlib.clock import Clock
from devlib.config import Bucket
from devlib.errors import StorageUnavailable
from devlib.language import Message, message
from devlib.storage.bucket_client import BucketClient
from devlib.storage.lake_files import is_ours, old_files
from devlib.storage.publishing import TEMPORARY, discard

HELD = timedelta(hours=1)
"""How long a file stays in the folder after its last use, whatever the bound."""

_AT_ONCE = 4  # downloads
_FEW = 8  # files of one month that are asked for one by one; for more the month is listed
_GIGABYTE = 2**30


class BucketFiles:
    """Files in a bucket; what was read or written here is kept in a folder.

    Args:
        bucket: where they lie.
        clock: tells what was not used for an hour.
    """

    def __init__(self, bucket: Bucket, clock: Clock) -> None:
        self.folder = bucket.cache
        self._bucket = bucket
        self._clock = clock
        self._client = BucketClient(bucket)
        self._trimming = threading.Lock()

    @property
    def address(self) -> str:
        """The bucket and prefix, as `DEVLIB_LAKE` has them."""
        return self._bucket.address

    def where(self, name: str) -> str:
        """Return the address of a file."""
        return self._client.where(name)

    def present(self, names: Iterable[str]) -> set[str]:
        """Return those of these files that are in the folder or in the bucket."""
        wanted = set(names)
        found = {name for name in wanted if (self.folder / name).is_file()}
        months: dict[str, set[str]] = {}
        for name in wanted - found:
            months.setdefault(name.rpartition("/")[0], set()).add(name)
        for month, its in months.items():
            if len(its) <= _FEW:
                found |= {name for name in its if self._client.size(name) is not None}
            else:
                found |= its & {name for name, _ in self._client.entries(month)}
        return found

    def bring(self, names: Iterable[str]) -> None:
        """Let files lie in the folder, for an hour at least; those that the bucket lacks are left out."""
        missing = [name for name in dict.fromkeys(names) if not self._used(name)]
        if not missing:
            return
        with ThreadPoolExecutor(min(_AT_ONCE, len(missing))) as threads:
            list(threads.map(self._fetch, missing))
        self._trim()

    def publish(self, temporary: Path, target: Path) -> None:
        """Upload a finished file under its name, then keep it here too: it will be read soon."""
        self._client.write(self._name(target), temporary)
        temporary.replace(target)
        self._used(self._name(target))
        self._trim()

    def remove(self, names: Iterable[str]) -> None:
        """Remove files from the bucket, and from the folder."""
        gone = list(names)
        self._client.remove(gone)
        for name in gone:
            self.drop_copy(name)

    def drop_copy(self, name: str) -> None:
        """Remove a file from the folder only."""
        discard(self.folder / name)

    def older_than(self, moment: datetime) -> Iterator[str]:
        """Yield the names of the bucket's files that the lake may have written before a moment.

        What killed processes left half written in the folder is removed on the way.
        """
        for name in old_files(self.folder, moment):
            if name.endswith(TEMPORARY):
                discard(self.folder / name)
        for name, written in self._client.entries():
            if is_ours(name) and written < moment:
                yield name

    def try_out(self) -> Message:
        """Write, read and remove a small object; return the address, and how much is kept here.

        Raises:
            StorageUnavailable: the bucket or the folder cannot be used.
        """
        name = f"trial-{uuid4().hex[:12]}"
        path = self.folder / f".{name}{TEMPORARY}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"trial")
            self._client.write(name, path)
            self._client.remove([name])
            kept = sum(size for _, size, _ in self._kept()) / _GIGABYTE
            free = disk_usage(self.folder).free // _GIGABYTE
        except OSError as error:
            raise StorageUnavailable(message("{error}", error=error), where=str(self.folder)) from None
        finally:
            discard(path)
        return message(
            "{address}; {kept} GB of it in {path}, {free} GB free",
            address=self.address, kept=round(kept, 1), path=self.folder, free=free,
        )  # fmt: skip

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def _used(self, name: str) -> bool:
        """Return whether a file is here, and note that it is used now."""
        now = self._clock.now().timestamp()
        try:
            os.utime(self.folder / name, (now, now))
        except FileNotFoundError:
            return False
        except PermissionError:
            return True  # another account brought it; it may only go before its time
        return True

    def _fetch(self, name: str) -> None:
        target = self.folder / name
        temporary = target.with_name(f".{target.name}.{uuid4().hex[:8]}{TEMPORARY}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                if not self._client.read(name, file):
                    return
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
            self._used(name)
        except OSError as error:
            raise StorageUnavailable(
                message("The file of the bucket cannot be kept here: {error}", error=error),
                where=str(target),
                remedy=message(
                    "Make room or give this account the right to write there; see [bucket] cache."
                ),
            ) from error
        finally:
            discard(temporary)

    def _trim(self) -> None:
        """Remove what was not used for longest, until the rest is within the bound."""
        if not self._trimming.acquire(blocking=False):
            return  # another thread does it
        try:
            kept = sorted(self._kept())
            total = sum(size for _, size, _ in kept)
            oldest = (self._clock.now() - HELD).timestamp()
            for used, size, path in kept:
                if total <= self._bucket.cache_bytes or used >= oldest:
                    return
                discard(path)
                total -= size
        finally:
            self._trimming.release()

    def _kept(self) -> Iterator[tuple[float, int, Path]]:
        for path in self.folder.glob("*/*.parquet"):
            if is_ours(self._name(path)):
                with suppress(FileNotFoundError):  # another process removed it just now
                    status = path.stat()
                    yield status.st_mtime, status.st_size, path
