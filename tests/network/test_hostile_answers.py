"""What a registrar says, read or refused: codes, dumps, words for absent and for time, any JSON."""

from contextlib import suppress

import pytest
from aiohttp import web
from hostile_server import CONTACT, LINE, contacts, kamailio_at, served
from hypothesis import given
from hypothesis import strategies as st

from devlib.clock import FakeClock
from devlib.errors import CapabilityMissing, NetworkUnreachable
from devlib.network import RestartOutcome
from devlib.network.json_rpc import RpcAnswer, read_answer
from devlib.network.kamailio_answers import Unreadable, next_hop, read_bindings, read_dump


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        ([200, "OK", "", "", "", "Via"], RestartOutcome.ACCEPTED),
        ([202, "Accepted"], RestartOutcome.ACCEPTED),
        ([401, "Unauthorized", "Via"], RestartOutcome.AUTH_NEEDED),
        ([407, "Proxy"], RestartOutcome.AUTH_NEEDED),
        ([408, "Request Timeout"], RestartOutcome.NO_ANSWER),
        ([478, "Unresolvable"], RestartOutcome.UNROUTABLE),
        ([503, "Service Unavailable"], RestartOutcome.UNROUTABLE),
        ([481, "No"], RestartOutcome.REFUSED),
        ([603], RestartOutcome.REFUSED),
        ([], RestartOutcome.UNREACHABLE),
        ({}, RestartOutcome.UNREACHABLE),
        (["200", "OK"], RestartOutcome.UNREACHABLE),
    ],
)
async def test_outcomes_follow_the_code(result, outcome):
    """`tm.t_uac_wait` answers with an array of changing length; code and reason come first."""

    async def answering(request):
        asked = await request.json()
        if asked["method"] == "ul.lookup":
            return web.json_response({"result": contacts({})})
        assert asked["params"][2] == "sip:127.0.0.1:5060;transport=udp"
        return web.json_response({"result": result})

    async with served(answering) as port, kamailio_at(port) as network:
        assert (await network.restart(LINE)).outcome is outcome


async def test_a_large_registrar_is_not_dumped():
    """Above 5 000 contacts a snapshot is refused before anything is read; so are changes, always."""

    async def large(request):
        assert (await request.json())["method"] == "stats.fetchn"
        return web.json_response({"result": {"usrloc.location_contacts": 5_001}})

    async with served(large) as port, kamailio_at(port) as network:
        with pytest.raises(CapabilityMissing) as refusal:
            [_ async for _ in network.snapshot()]
        assert refusal.value.remedy is not None
        with pytest.raises(CapabilityMissing):
            [_ async for _ in network.changes(FakeClock().now())]


@pytest.mark.parametrize("dump", [None, {}, {"Domains": 1}, {"Domains": [{"Domain": {}}]}, []])
async def test_a_dump_that_makes_no_sense_raises(dump):
    """A snapshot that cannot be read is never an empty one."""

    async def odd(request):
        counting = (await request.json())["method"] == "stats.fetchn"
        return web.json_response({"result": {"usrloc.location_contacts": 1} if counting else dump})

    async with served(odd) as port, kamailio_at(port) as network:
        with pytest.raises(NetworkUnreachable):
            [_ async for _ in network.snapshot()]


def test_words_for_absent_and_for_time_are_understood():
    """Permanent has no end; expired and deleted are gone; `[not set]` and `n/a` are nothing."""
    result = contacts(
        {"Expires": "permanent"}, {"Expires": "expired"}, {"Expires": "deleted"}, {"Expires": -3}, {}
    )
    permanent, timed = read_bindings(result, LINE, "trial", now=1_795_374_500)
    assert permanent.expires_at is None
    assert timed.expires_at.timestamp() == 1_795_376_300
    assert timed.registered_at.timestamp() == 1_795_374_441
    assert (timed.user_agent, timed.received, timed.path) == (None, None, None)
    assert (timed.cseq, timed.instance) == (7, "urn:uuid:1")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from([*CONTACT, "Contacts", "Contact", "AoR"]) | st.text(max_size=5), inner
        )
    ),
    max_leaves=20,
)


@given(JSON, st.dictionaries(st.sampled_from(sorted(CONTACT)), JSON))
def test_any_json_is_read_or_refused(anything, changes):
    """Whatever JSON says, reading gives bounded bindings or the one refusal."""
    for result in (anything, contacts(changes)):
        next_hop(result)
        try:
            found = read_bindings(result, LINE, "trial", now=1_795_374_500)
        except Unreadable:
            continue
        for binding in found:
            texts = (binding.contact, binding.user_agent, binding.received, binding.call_id, binding.path)
            assert all(text is None or (len(text) <= 512 and "\n" not in text) for text in texts)


@given(JSON)
def test_any_dump_is_read_or_refused(anything):
    """A dump's frame must be right; entries that are not are left out."""
    frame = {"Domains": [{"Domain": {"AoRs": [{"Info": anything}, anything]}}]}
    for result in (anything, frame):
        try:
            list(read_dump(result, "trial", now=1_795_374_500))
        except Unreadable:
            assert result is anything


@given(st.integers(100, 599), st.binary(max_size=200))
def test_any_body_is_read_or_refused(status, body):
    """A body that is no JSON-RPC answer is one known error."""
    with suppress(NetworkUnreachable):
        assert isinstance(read_answer(status, body, "registrar"), RpcAnswer)
