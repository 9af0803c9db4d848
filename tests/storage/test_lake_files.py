"""Where the files of the lake lie: one contract for folder and bucket, and what only a bucket has."""

import os
import signal
import subprocess
import sys
import textwrap
from datetime import UTC, datetime, timedelta

import pytest

from devlib.clock import FakeClock
from devlib.config import BucketSettings, read_bucket
from devlib.errors import ConfigurationError, StorageUnavailable
from devlib.model import EVERYTHING, OBSERVATIONS
from devlib.storage import BucketFiles, Collected, Compactor, Lake

NAME = "2026-11/20261102T080000-{:012x}.parquet"
START = datetime(2026, 11, 2, tzinfo=UTC)
FIRST, SECOND, THIRD = (NAME.format(number) for number in (1, 2, 3))
_NOTHING = ", ".join(f"NULL::{column.type} AS {column.name}" for column in OBSERVATIONS)


@pytest.fixture
def clock():
    """A clock that stands where the bucket's own does, which dates what is written."""
    return FakeClock(datetime.now(UTC))


def publish(files, name, content=b"content"):
    target = files.folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.writing")
    temporary.write_bytes(content)
    files.publish(temporary, target)


def read(files, name):
    files.bring([name])
    path = files.folder / name
    return path.read_bytes() if path.exists() else None


def test_a_file_is_there_once_published_and_gone_once_removed(place):
    """What was published can be read under its name, and nothing else can."""
    publish(place, FIRST)
    assert place.present([FIRST, SECOND]) == {FIRST}
    assert (read(place, FIRST), read(place, SECOND)) == (b"content", None)
    assert FIRST in place.where(FIRST)
    place.remove([FIRST, SECOND])
    assert place.present([FIRST]) == set()
    assert read(place, FIRST) is None


def test_many_files_are_found_at_once(place):
    """However many are asked for, exactly those that are there are said to be."""
    names = [NAME.format(number) for number in range(20)]
    for name in names[::2]:
        publish(place, name)
        place.drop_copy(name)
    assert place.present(names) == set(names[::2])


def test_only_old_files_with_names_of_ours_may_be_swept(place, clock):
    """Files of others are never named, nor is what was written just now."""
    publish(place, FIRST)
    publish(place, "2026-11/notes.parquet")
    assert list(place.older_than(clock.now() - timedelta(minutes=5))) == []
    assert list(place.older_than(clock.now() + timedelta(minutes=5))) == [FIRST]


def test_a_store_can_be_tried_out(place):
    """A trial leaves nothing behind and says where the store is."""
    assert place.address in str(place.try_out())
    assert list(place.older_than(datetime(2100, 1, 1, tzinfo=UTC))) == []


@pytest.fixture
def address(bucket_server):
    return bucket_server.new_address()


@pytest.fixture
def machine(bucket_server, address, tmp_path, clock):
    """A function that gives what another machine sees of one bucket."""
    return lambda name, **settings: BucketFiles(
        bucket_server.bucket(tmp_path / name, address, **settings), clock
    )


@pytest.mark.bucket
def test_what_one_machine_writes_another_reads(machine, bucket_server, address):
    """A file is in the bucket under prefix and name; another machine brings it once."""
    publish(machine("a"), FIRST)
    assert bucket_server.names(address) == [FIRST]
    other = machine("b")
    assert read(other, FIRST) == b"content"
    bucket_server.put(address, FIRST, b"changed, which no file ever is")
    assert read(other, FIRST) == b"content"
    other.drop_copy(FIRST)
    assert read(other, FIRST).startswith(b"changed")


@pytest.mark.bucket
def test_the_folder_has_a_bound_and_keeps_what_is_in_use(machine, clock):
    """What was not used for longest goes first, and nothing within an hour of its use."""
    files = machine("a", cache_bytes=2 << 20)
    for name in (FIRST, SECOND, THIRD):
        publish(files, name, bytes(1 << 20))
        clock.advance(60)
    assert all((files.folder / name).exists() for name in (FIRST, SECOND, THIRD))
    clock.advance(3_600)
    files.bring([FIRST])  # used again
    publish(files, NAME.format(4), bytes(1 << 20))
    assert [(files.folder / name).exists() for name in (FIRST, SECOND, THIRD)] == [True, False, False]
    assert len(read(files, SECOND)) == 1 << 20


@pytest.mark.bucket
def test_a_bucket_that_cannot_be_used_is_told_without_its_keys(machine, bucket_server, tmp_path, clock):
    """A wrong key and a silent service are errors that pass; what is kept here can still be read."""
    publish(machine("a"), FIRST)
    for settings in ({"secret_key": "WRONG-SECRET"}, {"endpoint": "http://127.0.0.1:9"}):
        files = machine("a", **settings)
        assert read(files, FIRST) == b"content"
        for act in (
            lambda files=files: files.bring([SECOND]),
            lambda files=files: files.present([SECOND]),
            files.try_out,
            lambda files=files: publish(files, THIRD),
        ):
            with pytest.raises(StorageUnavailable) as caught:
                act()
            assert "s3://" in str(caught.value)
            assert "WRONG-SECRET" not in str(caught.value)
    assert "test-secret" not in repr(bucket_server.bucket(tmp_path))
    assert bucket_server.names(machine("a").address) == [FIRST]


@pytest.mark.parametrize("lake", ["s3://", "s3://a", "s3://UPPER/x", "s3://bucket/x?y", "s3:///x"])
def test_an_impossible_address_is_refused(tmp_path, lake):
    """What is no bucket and prefix is told before anything is sent."""
    with pytest.raises(ConfigurationError, match="s3://BUCKET/PREFIX"):
        read_bucket(lake, BucketSettings(), tmp_path, {})


def test_the_usual_names_of_the_environment_are_read(tmp_path):
    """Endpoint and region come from the variables that every S3 program reads; the settings win."""
    environment = {"AWS_ENDPOINT_URL": "https://s3.example:9000", "AWS_DEFAULT_REGION": "eu-west-3"}
    found = read_bucket("s3://bucket//a/b/", BucketSettings(), tmp_path, environment)
    assert (found.endpoint, found.scheme, found.region) == ("s3.example:9000", "https", "eu-west-3")
    assert (found.address, found.cache) == ("s3://bucket/a/b", tmp_path / "lake-cache")
    found = read_bucket("s3://bucket", BucketSettings(region="x"), tmp_path, environment)
    assert (found.region, found.prefix) == ("x", "")


def test_a_network_is_not_crossed_in_clear_unless_that_is_wanted(tmp_path):
    """http:// is for this machine only; somebody must say that nobody else is on the way."""
    environment = {"AWS_ENDPOINT_URL_S3": "http://s3.example:9000"}
    with pytest.raises(ConfigurationError, match="in clear"):
        read_bucket("s3://bucket", BucketSettings(), tmp_path, environment)
    assert read_bucket("s3://bucket", BucketSettings(plain_http=True), tmp_path, environment).scheme == "http"


@pytest.fixture
def lake(machine, inventory, clock):
    made = Lake(machine("a"), inventory, clock)
    yield made
    made.close()


def row(key, moment):
    at = moment.replace(tzinfo=None)
    return (
        f"SELECT * REPLACE ({key} AS line_key, 'P' AS provider, 'A' AS customer, 'Lyon' AS site, "
        f"'aged' AS state, TIMESTAMP '{at}' AS observed_at) FROM (SELECT {_NOTHING})"
    )


@pytest.mark.bucket
@pytest.mark.parametrize("new_database", ["postgresql"], indirect=True)
def test_a_bucket_is_compacted_and_swept(lake, clock, bucket_server, address):
    """Own files of a compacted day go after an hour, orphans too; every row stays, once."""
    clock.advance(-3 * 86_400)
    for _ in range(3):
        lake.write(row(1, clock.now()), {}, {}, Collected(None, None, None, clock.now()))
        clock.advance(1)  # the bucket's clock is the real one, and midnight may be near
    orphan = NAME.format(99)
    publish(lake.files, orphan)
    clock.advance(3 * 86_400)
    done = Compactor(lake, clock).run()
    assert done.snapshots == 3
    assert lake.sweep() == []
    clock.advance(2 * 3_600)
    assert len(lake.sweep()) == 4
    left = bucket_server.names(address)
    assert sum("-day-" in name for name in left) == 1
    assert all("-day-" in name or "-periods-" in name for name in left)
    with lake.inventory.read() as reader, lake.connection() as cursor:
        found = lake.relation(list(reader.manifest(EVERYTHING)))
        assert cursor.sql(f"SELECT count(*), count(DISTINCT observed_at) FROM {found}").fetchall() == [(3, 3)]


@pytest.mark.bucket
@pytest.mark.parametrize("new_database", ["postgresql"], indirect=True)
def test_a_killed_uploader_leaves_nothing_that_a_reader_sees(lake, url, bucket_server, tmp_path, inventory):
    """kill -9 between upload and manifest: an orphan in the bucket, nothing in the manifest."""
    script = f"""
        import os, signal
        from datetime import UTC, datetime
        from devlib.clock import SystemClock
        from devlib.config import load_settings
        from devlib.portal import lake_place
        from devlib.storage import Collected, Lake, open_inventory

        settings, clock = load_settings(), SystemClock()
        inventory = open_inventory(settings.database_url, clock)
        lake = Lake(lake_place(settings, clock), inventory, clock)
        inventory.write = lambda: os.kill(os.getpid(), signal.SIGKILL)
        lake.write({row(1, START)!r}, {{}}, {{}}, Collected(None, None, None, clock.now()))
    """
    environment = os.environ | bucket_server.environment | {
        "DEVLIB_HOME": str(tmp_path / "other"), "DEVLIB_DATABASE": url, "DEVLIB_LAKE": lake.files.address,
    }  # fmt: skip
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], check=False, timeout=60, env=environment
    )
    assert ended.returncode == -signal.SIGKILL
    assert len(bucket_server.names(lake.files.address)) == 1
    assert lake.current(EVERYTHING) == []
