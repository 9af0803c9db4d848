"""Client transactions on a wire that loses, doubles and reorders, on time that jumps."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_time import run_virtually

from devlib.network.sip import parse_message, write_response
from devlib.network.sip_hop import Hop
from devlib.network.sip_request import Attempt, SipRequest, write_attempt
from devlib.network.sip_transactions import MOST_AT_ONCE, Transactions

PEER = ("192.0.2.1", 5060)
HOP = Hop("udp", *PEER)


def request(number=1, method="OPTIONS"):
    """Return an attempt and its bytes."""
    attempt = Attempt.first(f"token{number:06}")
    asked = SipRequest(method, f"sip:{number}@lab.test", HOP)
    return attempt, write_attempt(asked, attempt, "UDP", "192.0.2.9", 5070)


def answer_to(data, status=200, reason="OK"):
    """Return a response of the peer."""
    return write_response(parse_message(data), status, reason, "peer")


class Wire:
    """What is sent, and when; `reply` decides what comes back: delays and bytes."""

    def __init__(self, reply=lambda number, data: (), t1=0.5):
        self.loop = asyncio.get_running_loop()
        self.transactions = Transactions(t1)
        self.sent = []
        self.reply = reply

    def send(self, data, address):
        """Send as the client would."""
        self.sent.append((self.loop.time(), data, address))
        for delay, back in self.reply(len(self.sent), data):
            self.loop.call_later(delay, self.transactions.received, back, PEER[0])

    def ask(self, number=1, limit=32.0, method="OPTIONS", **more):
        """Ask the peer something."""
        attempt, data = request(number, method)
        cseq = (attempt.cseq, method)
        return self.transactions.ask(attempt.branch, cseq, data, PEER, limit, send=self.send, **more)

    @property
    def times(self):
        """When something was sent."""
        return [round(when, 6) for when, _, _ in self.sent]


def test_timer_e_doubles_to_t2_and_timer_f_ends_it():
    """A silent peer is asked at 0, 0.5, 1.5, 3.5, 7.5 and then each 4 s, until 408 at 64 times T1."""

    async def trial():
        wire = Wire()
        answer = await wire.ask()
        assert (answer.status, answer.came) == (408, False)
        assert answer.seconds == pytest.approx(32.0)
        assert wire.times == [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
        assert len({data for _, data, _ in wire.sent}) == 1
        assert len(wire.transactions) == 0

    run_virtually(trial())


def test_after_a_provisional_answer_it_is_repeated_each_t2():
    """A 1xx does not end a request; from then on it is repeated each 4 s (RFC 3261 §17.1.2.2)."""

    async def trial():
        def reply(number, data):
            return [(0.1, answer_to(data, 100, "Trying"))] if number == 1 else ()

        wire = Wire(reply)
        assert (await wire.ask()).status == 408
        assert wire.times == [0, 0.5, 4.5, 8.5, 12.5, 16.5, 20.5, 24.5, 28.5]

    run_virtually(trial())


def test_a_slow_answer_counts_and_stops_the_repetition():
    """An answer after two repetitions is the answer, and nothing is sent after it."""

    async def trial():
        wire = Wire(lambda number, data: [(2.0, answer_to(data, 486, "Busy Here"))] if number == 1 else ())
        answer = await wire.ask()
        assert (answer.status, answer.reason) == (486, "Busy Here")
        assert answer.seconds == pytest.approx(2.0)
        await asyncio.sleep(60)
        assert wire.times == [0, 0.5, 1.5]

    run_virtually(trial())


def test_a_reliable_transport_is_not_repeated():
    """Over TCP one sending is enough; timer F ends it all the same."""

    async def trial():
        wire = Wire()
        assert (await wire.ask(limit=5.0, reliable=True)).status == 408
        assert wire.times == [0]

    run_virtually(trial())


fates = st.lists(
    st.tuples(
        st.booleans(),  # whether the request arrives
        st.lists(st.floats(0, 3), max_size=3),  # copies of the answer, by their delay
        st.lists(st.floats(0, 3), max_size=2),  # copies of a 100
    ),
    max_size=11,
)


@settings(max_examples=80, deadline=None)
@given(st.dictionaries(st.integers(1, 6), fates, min_size=1))
def test_loss_doubling_and_reordering_end_rightly(plan):
    """Whatever a wire does, each request ends once: with its own answer if one came in time, else 408."""

    async def trial():
        wires = {number: FatedWire(number, fate) for number, fate in plan.items()}
        await asyncio.gather(*(wire.trial() for wire in wires.values()))
        await asyncio.sleep(20)
        assert all(len(wire.transactions) == 0 for wire in wires.values())

    run_virtually(trial())


class FatedWire(Wire):
    """One request on a wire whose fate is known: which sending arrives, and what comes back when."""

    def __init__(self, number, fate):
        super().__init__(self.carry)
        self.number = number
        self.fate = fate
        self.first = 99.0

    def carry(self, turn, data):
        """Return what the peer answers to the sending `turn`."""
        there, copies, tries = self.fate[turn - 1] if turn <= len(self.fate) else (False, (), ())
        if there:
            for delay in tries:
                yield delay, answer_to(data, 183, "On")
            for delay in copies:
                self.first = min(self.first, self.loop.time() + delay)
                yield delay, answer_to(data, 200 + self.number, f"For {self.number}")

    async def trial(self):
        """Ask, and compare with what came first."""
        answer = await self.ask(self.number, limit=8.0)
        if self.first < 8.0:
            assert (answer.status, answer.reason) == (200 + self.number, f"For {self.number}")
            assert answer.seconds == pytest.approx(self.first)
        elif self.first > 8.0:
            assert answer.status == 408


def changed(data, old, new):
    """Return an answer in which something is not as it was asked."""
    assert old in data
    return data.replace(old, new)


@pytest.mark.parametrize(
    "foreign",
    [
        lambda data: changed(answer_to(data), b"branch=z9hG4bK", b"branch=z9hG4bKx"),
        lambda data: changed(answer_to(data), b"1 OPTIONS", b"1 NOTIFY"),
        lambda data: changed(answer_to(data), b"1 OPTIONS", b"2 OPTIONS"),
        lambda data: changed(answer_to(data), b"1 OPTIONS", b"99999999999999999999 OPTIONS"),
        lambda data: changed(answer_to(data), b"Via: ", b"Via: SIP/2.0/UDP other.test;branch=z9hG4bKo, "),
        lambda data: changed(
            answer_to(data), b"From: ", b"Via: SIP/2.0/UDP o.test;branch=z9hG4bKo\r\nFrom: "
        ),
        lambda data: changed(answer_to(data), b"From: ", b"v: SIP/2.0/UDP o.test;branch=z9hG4bKo\r\nFrom: "),
        lambda data: changed(answer_to(data), b"Content-Length: 0", b"Content-Length: 5"),
        lambda data: changed(answer_to(data), b"Content-Length: 0", b"Content-Length: -1"),
        lambda data: changed(answer_to(data), b"SIP/2.0 200", b"SIP/2.0 4294967496"),
        lambda data: changed(answer_to(data), b"SIP/2.0 200", b"SIP/3.0 200"),
        lambda data: data,
        lambda data: b"\r\n\r\n",
        lambda data: b"",
    ],
)
def test_what_is_no_answer_to_it_changes_nothing(foreign):
    """Another branch, method, number or Via, a body cut short, another version, a request: let fall."""

    async def trial():
        wire = Wire(lambda number, data: [(0.01, foreign(data)), (1.0, answer_to(data))])
        answer = await wire.ask()
        assert (answer.status, answer.seconds) == (200, pytest.approx(1.0))

    run_virtually(trial())


def test_an_answer_from_another_host_is_not_believed():
    """Only the host that was asked can answer, even where somebody knows the branch."""

    async def trial():
        wire = Wire()
        asking = wire.ask()
        wire.transactions.received(answer_to(wire.sent[0][1]), "192.0.2.66")
        assert (await asking).status == 408

    run_virtually(trial())


@pytest.mark.parametrize(
    "written",
    [
        lambda data: data.replace(b"Via:", b"v:"),
        lambda data: data.replace(b"Via:", b"VIA  :"),
        lambda data: data.replace(b";branch=", b" ;\r\n branch = "),
        lambda data: data.replace(b"CSeq: 1 OPTIONS", b"CSeq: 0001\r\n\t OPTIONS"),
        lambda data: data.replace(b"\r\n", b"\n"),
        lambda data: data.replace(b"Content-Length: 0\r\n\r\n", b"l: 4\r\n\r\nbodyand more"),
        lambda data: data.replace(b"Content-Length: 0\r\n", b""),
        lambda data: data.replace(b" OK", b" "),
    ],
)
def test_unusual_but_valid_answers_count(written):
    """Compact names, folding, blanks, bare line feeds, a body, trailing octets: all are answers."""

    async def trial():
        wire = Wire(lambda number, data: [(0.01, written(answer_to(data)))])
        answer = await wire.ask()
        assert answer.status == 200
        assert answer.message.header("call-id") == "token000001"

    run_virtually(trial())


def test_a_refused_datagram_ends_its_request_and_no_other():
    """ICMP gives a copy of what did not arrive; the request that it names is 503 at once."""

    async def trial():
        wire = Wire()
        first, second = wire.ask(1, limit=4.0), wire.ask(2, limit=4.0)
        wire.transactions.fail(wire.sent[0][1][:300], "refused")
        answer = await first
        assert (answer.status, answer.failure) == (503, "refused")
        assert (await second).status == 408

    run_virtually(trial())


def test_closing_ends_what_waits():
    """Nobody waits for ever on a closed client."""

    async def trial():
        wire = Wire()
        asking = wire.ask()
        wire.transactions.close()
        wire.transactions.close()
        assert (await asking).status == 503

    run_virtually(trial())


def test_an_abandoned_request_is_forgotten():
    """Whoever stops waiting leaves nothing behind once its next timer is over."""

    async def trial():
        wire = Wire()
        wire.ask().cancel()
        await asyncio.sleep(1)
        assert len(wire.transactions) == 0
        assert wire.times == [0]

    run_virtually(trial())


def test_requests_under_way_are_bounded():
    """Memory has an end: more requests than the bound are refused, not queued."""

    async def trial():
        wire = Wire()
        waiting = [wire.ask(number, limit=0.4) for number in range(MOST_AT_ONCE + 1)]
        assert (await waiting[-1]).status == 503
        assert {answer.status for answer in await asyncio.gather(*waiting[:-1])} == {408}

    run_virtually(trial())
