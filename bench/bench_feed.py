"""From a REGISTER to an analyst's SQL: how long a change takes through the event feed, among many lines.

100 000 lines are registered in a Kamailio that keeps its bindings in PostgreSQL and tells its events. While
`portal.follow` runs in a process of its own, phones register anew, sign off and let bindings expire; the time
runs from the registrar's answer (for an expiry: from the last second of the binding) until `portal.sql` shows
the new state with exact evidence.
"""

import asyncio
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from bench.bench_collection import seed_lines
from bench.bench_snapshot import _postgresql
from devlib.clock import SystemClock
from devlib.config import KamailioSettings, Settings
from devlib.demo.location_tables import make_location_tables
from devlib.demo.registrar import Options, Registrar, running_registrar
from devlib.model import EVERYTHING, Identity, Role
from devlib.network import Phone, PhoneFleet
from devlib.portal import Portal, open_services
from devlib.storage import open_inventory

_ROUNDS = 10
_PATIENCE = 30.0
_OK = 200
# What a REGISTER leaves behind (kamailio.cfg of the trials): the benchmark is not about registering.
_FILL = """
INSERT INTO location (ruid, username, domain, contact, received, expires, callid, cseq, last_modified,
    user_agent, instance, socket)
SELECT 'uloc-1-1-' || n, (2000000 + n)::text, 'bench.example', 'sip:' || (2000000 + n) || '@127.0.0.1:9',
    'sip:127.0.0.1:9', extract(epoch FROM now())::bigint + 7200, 'call-' || n, 1,
    extract(epoch FROM now())::bigint, 'Yealink SIP-T46S 66.85.0.5',
    '<urn:uuid:00000000-0000-1000-8000-805ec' || lpad(to_hex(n), 7, '0') || '>', 'udp:127.0.0.1:5060'
FROM generate_series(0, %s) AS n
"""


def run(lines: int = 100_000) -> dict[str, object]:
    """Return seconds from a change to its row, for new phones, sign-offs and expiries."""
    line_ports = [f"{2_000_000 + number}@bench.example" for number in range(lines)]
    with tempfile.TemporaryDirectory() as folder, _postgresql() as server:
        database = server.new_database()
        make_location_tables(database)
        with psycopg.connect(database) as connection:
            connection.execute(_FILL, [lines - 1 - 2 * _ROUNDS])
        home = Path(folder) / "home"
        home.mkdir()
        inventory = open_inventory(f"sqlite:///{home / 'inventory.db'}", SystemClock())
        seed_lines(inventory, line_ports)
        inventory.close()
        options = Options(database=database, db_mode=1, events=True)
        with running_registrar(Path(folder) / "kamailio", contacts=lines, options=options) as registrar:
            found = _followed(registrar, database, home, line_ports)
    return {
        "what": f"a change in SQL after the event feed told it, {lines} lines",
        **found,
        "goal": "max <= 2 s",
    }


def _followed(registrar: Registrar, database: str, home: Path, line_ports: list[str]) -> dict[str, object]:
    follower = multiprocessing.get_context("spawn").Process(
        target=follow, args=(registrar.rpc_url, registrar.events, database, str(home)), daemon=True
    )
    follower.start()
    portal = _portal(registrar.rpc_url, registrar.events, database, home)
    try:
        _until(lambda: _states(portal, line_ports[:1]) == [("registered", "live")], 120.0)
        return asyncio.run(_changes(registrar, portal, line_ports))
    finally:
        follower.terminate()
        follower.join()
        portal.services.close()


async def _changes(registrar: Registrar, portal: Portal, line_ports: list[str]) -> dict[str, object]:
    took: dict[str, list[float]] = {"registered": [], "signed_off": [], "expired": []}
    async with PhoneFleet(registrar.address, SystemClock()) as fleet:
        for number in range(_ROUNDS):
            port, short = line_ports[-1 - 2 * number], line_ports[-2 - 2 * number]
            await _register(fleet, Phone(port, expires=600))
            took["registered"].append(await _seen(portal, port, ("registered", "live")))
            await fleet.sign_off([port])
            took["signed_off"].append(await _seen(portal, port, ("unregistered", "signed off")))
            await _register(fleet, Phone(short, expires=2))
            fleet.fall_silent([short])
            await asyncio.sleep(2.0)
            took["expired"].append(await _seen(portal, short, ("aged", "expiry reported")))
    found: dict[str, object] = {}
    for name, seconds in took.items():
        found[f"{name}_median_s"] = round(statistics.median(seconds), 2)
        found[f"{name}_max_s"] = round(max(seconds), 2)
    return found


async def _register(fleet: PhoneFleet, phone: Phone) -> None:
    answers = await fleet.register([phone])
    if set(answers.values()) != {_OK}:
        raise RuntimeError(f"not registered: {answers}")


async def _seen(portal: Portal, line_port: str, wanted: tuple[str, str]) -> float:
    """Return the seconds until SQL shows the state and evidence of a line."""
    start = time.perf_counter()
    await asyncio.to_thread(_until, lambda: _states(portal, [line_port]) == [wanted], _PATIENCE)
    return time.perf_counter() - start


def _until(condition: Callable[[], bool], seconds: float) -> None:
    end = time.perf_counter() + seconds
    while not condition():
        if time.perf_counter() > end:
            raise RuntimeError("it did not come")
        time.sleep(0.02)


def _states(portal: Portal, line_ports: list[str]) -> list[tuple[str, str]]:
    listed = ", ".join(f"'{each}'" for each in line_ports)
    rows = portal.sql(f"SELECT state, evidence FROM line_states WHERE line_port IN ({listed})")
    return list(rows.itertuples(index=False, name=None))


def _portal(rpc_url: str, events: str | None, database: str, home: Path) -> Portal:
    network = {
        "kind": "kamailio",
        "name": "bench",
        "rpc_url": rpc_url,
        "events": events,
        "database": database,
    }
    settings = Settings(home=home, account="bench", networks=(KamailioSettings.model_validate(network),))
    return Portal(
        Identity("bench", Role.SERVICE_PROVIDER, EVERYTHING), open_services(settings, SystemClock())
    )


def follow(rpc_url: str, events: str, database: str, home: str) -> None:
    """Follow until the process is ended."""
    _portal(rpc_url, events, database, Path(home)).follow(lambda _: True)
