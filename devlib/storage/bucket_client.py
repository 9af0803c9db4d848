"""The bucket itself: one client for each process, and what its errors mean."""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from shutil import copyfileobj
from typing import IO, Any

import pyarrow as pa
import pyarrow.fs as pa_fs

from devlib.config import Bucket
from devlib.errors import StorageUnavailable
from devlib.language import message, visible

_TRIES = 3
_CONNECT_SECONDS = 5.0
_CHUNK = 1 << 20
_RETRY_AFTER = 5.0


class BucketClient:
    """Reads and writes objects below the prefix of a bucket; may be used by threads and children of a fork.

    Args:
        bucket: where, and with which keys.
    """

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._lock = threading.Lock()
        # After a fork the parent's client must not be used: its threads are not in the child. It is kept, for
        # ending it would touch connections that both have.
        self._clients: dict[int, Any] = {}

    def key(self, name: str) -> str:
        """Return the bucket and key of a name."""
        return "/".join(part for part in (self._bucket.name, self._bucket.prefix, name) if part)

    def where(self, name: str) -> str:
        """Return a name as people write it."""
        return f"s3://{self.key(name)}"

    def size(self, name: str) -> int | None:
        """Return the bytes of an object; `None` where there is none."""
        with self._told(name) as client:
            info = client.get_file_info(self.key(name))
        return int(info.size) if info.type is pa_fs.FileType.File else None

    def entries(self, below: str = "") -> list[tuple[str, Any]]:
        """Return the names of all objects below a name, with the moment when each was written (UTC)."""
        start = self.key("") + "/"
        with self._told(below) as client:
            selector = pa_fs.FileSelector(self.key(below), allow_not_found=True, recursive=True)
            found = client.get_file_info(selector)
        return [
            (each.path.removeprefix(start), each.mtime)
            for each in found
            if each.type is pa_fs.FileType.File and each.path.startswith(start)
        ]

    def read(self, name: str, target: IO[bytes]) -> bool:
        """Write the content of an object into a file; return whether there is one."""
        with self._told(name) as client:
            try:
                source = client.open_input_stream(self.key(name))
            except FileNotFoundError:
                return False
            with source:
                copyfileobj(source, target, _CHUNK)
        return True

    def write(self, name: str, path: Path) -> None:
        """Make an object of a file, and see that all of it arrived."""
        with path.open("rb") as source, self._told(name) as client:
            # An object appears when the stream is closed, whole; the service checks each part.
            with client.open_output_stream(self.key(name)) as target:
                copyfileobj(source, target, _CHUNK)
            if client.get_file_info(self.key(name)).size != path.stat().st_size:
                raise OSError("the bucket has another number of bytes than were sent")

    def remove(self, names: Sequence[str]) -> None:
        """Remove objects, where they are."""
        for name in names:
            with self._told(name) as client:
                try:
                    client.delete_file(self.key(name))
                except FileNotFoundError:
                    continue

    @contextmanager
    def _told(self, name: str) -> Iterator[Any]:
        try:
            yield self._client()
        except (OSError, pa.ArrowException) as error:
            raise StorageUnavailable(
                message(
                    "The bucket cannot be used: {reason}", reason=visible(" ".join(str(error).split()), 300)
                ),
                where=self.where(name),
                remedy=message(
                    "Try again; if it stays so, `devlib doctor` says what is wrong with the bucket."
                ),
                retry_after=_RETRY_AFTER,
            ) from error

    def _client(self) -> Any:  # noqa: ANN401 - Arrow publishes no types
        with self._lock:
            if (client := self._clients.get(os.getpid())) is None:
                client = self._clients[os.getpid()] = self._open()
            return client

    def _open(self) -> Any:  # noqa: ANN401
        bucket = self._bucket
        given: dict[str, object] = {}
        if bucket.keys is not None:
            given |= {"access_key": bucket.keys[0].reveal(), "secret_key": bucket.keys[1].reveal()}
        if bucket.endpoint:
            given |= {"endpoint_override": bucket.endpoint, "scheme": bucket.scheme}
        if bucket.region:
            given["region"] = bucket.region
        return pa_fs.S3FileSystem(
            **given,
            connect_timeout=_CONNECT_SECONDS,
            request_timeout=bucket.seconds,
            retry_strategy=pa_fs.AwsStandardS3RetryStrategy(max_attempts=_TRIES),
            check_directory_existence_before_creation=True,
        )
