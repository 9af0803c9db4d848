"""Many lines are read as one table: the same answer as by lookups, and honest where the table lags."""

import threading
from datetime import timedelta

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from devlib.collect import Collector, Networks, Served, whole_tables
from devlib.config import SimulatorSettings
from devlib.errors import NetworkUnreachable, StorageUnavailable
from devlib.language import message
from devlib.model import EVERYTHING, Binding, LineState
from devlib.network import Change, ChangeKind, FeedBack, Health, Simulator
from devlib.portal import Services

PORT, OTHER = "11@lyon.bakery.example", "12@lyon.bakery.example"


class Table(Simulator):
    """A simulator with a table that may lag behind its memory; it counts what it is asked."""

    def __init__(self, clock, ports):
        super().__init__(
            SimulatorSettings(name="table", seed=7, registrars=1, gaps=False), clock, known=ports
        )
        self.looked_up = []
        self.frozen = None
        self.error = None
        self.contacts = None

    async def whole(self):
        """Return the table as it is, or as it was when it was frozen."""
        if self.error is not None:
            raise self.error
        return self.frozen if self.frozen is not None else await super().whole()

    async def lookup(self, line_ports):
        """Note what is looked up."""
        asked = list(line_ports)
        self.looked_up.append(len(asked))
        return await super().lookup(asked)

    async def check(self):
        """Tell how many contacts the memory has."""
        health = await super().check()
        return Health(health.name, health.answers, health.detail, self.contacts)

    async def freeze(self, change=lambda table: table):
        """Let the table stay as it is now, with a change."""
        self.frozen = None
        self.frozen = change(await super().whole())


@pytest.fixture
def table(home, monkeypatch):
    monkeypatch.setattr(whole_tables, "MANY", 0)
    with home.services.inventory.read() as reader:
        ports = [row.line_port for batch in reader.line_batches(EVERYTHING) for row in batch]
    # As a registrar writes them: it may spell a domain otherwise.
    made = Table(home.clock, [port.replace("bakery.example", "Bakery.EXAMPLE") for port in ports])
    before = home.services
    networks = Networks([Served("table", frozenset(), lambda: made)])
    home.services = Services(
        before.settings, before.clock, before.catalogue, before.inventory, before.lake, networks
    )
    return made


def rows(home):
    names = "line_port, state, evidence, bindings, contact, user_agent, expires_at, said_vendor, said_mac"
    return home.portal().sql(f"SELECT {names} FROM line_states ORDER BY line_port")


def row(home, line_port=PORT):
    return home.portal().sql(f"SELECT * FROM line_states WHERE line_port = '{line_port}'").iloc[0]


def test_a_table_says_what_lookups_say(home, table, monkeypatch):
    """The same rows come out of a table and of lookups, domains without regard to case."""
    table.looked_up.clear()
    home.services.collector.collect(EVERYTHING)
    by_table = rows(home)
    assert table.looked_up == [24]  # the simulator's own way to its table
    monkeypatch.setattr(whole_tables, "MANY", 1000)
    home.services.collector.collect(EVERYTHING)
    assert rows(home).equals(by_table)
    assert set(by_table["state"]) >= {"registered"}


@pytest.mark.parametrize("known", [True, False])
def test_a_fleet_is_read_from_both_sides_at_once(home, table, monkeypatch, known):
    """The last snapshot or the inventory tells how many lines to expect: the table is read meanwhile."""
    begun, whole, lines = threading.Event(), table.whole, Collector.lines
    reads = []

    async def read():
        reads.append(home.clock.now())
        begun.set()
        return await whole()

    def waiting(collector, scope):
        assert begun.wait(60)
        return lines(collector, scope)

    with monkeypatch.context() as few:
        few.setattr(whole_tables, "MANY", 1_000_000)
        home.services.collector.collect(EVERYTHING)
    by_lookups = rows(home)
    if not known:
        home.services.lake.path(home.services.lake.current(EVERYTHING)[0]).unlink()
        monkeypatch.setattr(Collector, "_last_whole", lambda *of: None)
    monkeypatch.setattr(table, "whole", read)
    monkeypatch.setattr(Collector, "lines", waiting)
    home.services.collector.collect(EVERYTHING)
    assert rows(home).equals(by_lookups)
    assert len(reads) == 1


def test_a_fleet_that_became_small_is_looked_up(home, table, monkeypatch):
    """A table that was read early is dropped where only few of the registrar's contacts are asked for."""
    home.services.collector.collect(EVERYTHING)
    table.contacts = 24
    lines = Collector.lines
    monkeypatch.setattr(Collector, "lines", lambda *of: lines(*of).slice(0, 2))
    table.looked_up.clear()
    assert sum(home.services.collector.collect(EVERYTHING).states.values()) == 2
    assert table.looked_up == [24, 2]  # the simulator's own way to its table, then the lines


async def test_a_registered_line_that_the_table_lacks_is_looked_up(home, table):
    """A table that lags makes nobody unregistered: the registrar's memory is asked for the line."""
    table.register(PORT)
    home.services.collector.collect(EVERYTHING)
    assert row(home)["state"] == "registered"
    await table.freeze(lambda t: t.filter(pc.not_equal(t.column("contact"), row(home)["contact"])))
    home.clock.advance(60)
    table.looked_up.clear()
    home.services.collector.collect(EVERYTHING)
    assert table.looked_up == [1]
    assert (row(home)["state"], row(home)["evidence"]) == ("registered", "live")
    table.sign_off(PORT)
    home.clock.advance(60)
    home.services.collector.collect(EVERYTHING)
    assert (row(home)["state"], row(home)["evidence"]) == ("unregistered", "vanished")


async def test_a_signed_off_line_that_the_table_still_has_is_looked_up(home, table):
    """What the feed told of a sign-off holds, although the table has not been written yet."""
    from devlib.collect import Follower

    table.register(PORT)
    services = home.services
    made = Follower(services.collector, services.lake, services.networks, EVERYTHING, home.clock)
    served = services.networks.served[0]
    made.hear(served, FeedBack(home.clock.now()))
    await table.freeze()
    table.sign_off(PORT)
    now = home.clock.now()
    made.hear(served, Change(ChangeKind.SIGNED_OFF, PORT, now, Binding(PORT, "*", now)))
    made._take()
    made._work()
    assert row(home)["evidence"] == "signed off"
    home.clock.advance(1)
    services.collector.collect(EVERYTHING)
    assert (row(home)["state"], row(home)["evidence"]) == ("unregistered", "signed off")


def test_a_table_that_cannot_be_read_is_replaced_by_lookups(home, table):
    """Where the registrar answers and its table does not, the lines are looked up."""
    table.error = NetworkUnreachable(message("no table"))
    table.looked_up.clear()
    collection = home.services.collector.collect(EVERYTHING)
    assert (collection.failures, table.looked_up) == ((), [24])


async def test_a_table_far_behind_the_memory_is_not_believed(home, table):
    """Where the memory has many more contacts than the table, the lines are looked up."""
    table.register(PORT)
    await table.freeze(lambda t: t.slice(0, 0))
    table.contacts = 24
    collection = home.services.collector.collect(EVERYTHING)
    assert collection.states[LineState.REGISTERED] > 0


def test_few_lines_of_a_large_registrar_are_looked_up(home, table):
    """A small part of a registrar's contacts is not worth its whole table."""
    table.error = AssertionError("the table was read")
    table.contacts = 1_000_000
    assert home.services.collector.collect(EVERYTHING).failures == ()


def test_a_table_without_its_registrar_tells_nothing(home, table):
    """A dead registrar's lines are unknown, whatever its table holds."""
    home.services.collector.collect(EVERYTHING)
    table.frozen = pa.table({})
    table.registrar_down()
    assert home.services.collector.collect(EVERYTHING).states[LineState.UNKNOWN] == 24


@pytest.mark.parametrize("cut", ["all", "half"])
def test_a_past_that_cannot_be_read_is_no_networks_fault(home, table, cut):
    """Nothing is written, least of all that a network did not answer; the error names the file."""
    table.register(PORT)
    lake = home.services.lake
    path = lake.path(home.services.collector.collect(EVERYTHING).snapshot)
    content = path.read_bytes()
    if cut == "all":
        path.write_bytes(b"no parquet")
    else:  # its end, which tells what is in it, can be read
        path.write_bytes(bytes(4_000) + content[4_000:])
    home.clock.advance(60)
    with pytest.raises((StorageUnavailable, duckdb.Error)):
        home.services.collector.collect(EVERYTHING)
    path.write_bytes(content)
    assert len(lake.current(EVERYTHING)) == 1
    assert row(home)["state"] == "registered"


def test_a_fault_of_the_doubt_ends_the_collection(home, table, monkeypatch):
    """Where the past fails between two readings, as a bucket's copy may, no line becomes unknown by that."""
    home.services.collector.collect(EVERYTHING)
    home.clock.advance(60)
    fault = StorageUnavailable(message("The file of the snapshot cannot be read."))

    def failing(*of):
        raise fault

    monkeypatch.setattr(Collector, "_doubtful", failing)
    with pytest.raises(StorageUnavailable) as caught:
        home.services.collector.collect(EVERYTHING)
    assert caught.value is fault
    assert home.services.lake.current(EVERYTHING)[0].observed_at == home.clock.now() - timedelta(seconds=60)
