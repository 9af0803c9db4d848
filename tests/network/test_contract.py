"""What every network must keep, simulated or real."""

from datetime import timedelta

import pytest

from devlib.errors import UsageError
from devlib.network import ReachOutcome, RestartOutcome

LINE = "2001@lyon.alpha.example"
NOBODY = "2999@nowhere.example"
INSTANCE = "urn:uuid:00000000-0000-1000-8000-805ec0123456"


async def bindings_of(lab, line_port):
    """Look up one line port that must be answered."""
    answers = await lab.network.lookup([line_port])
    assert not answers.unanswered
    return answers.bindings[line_port]


async def test_a_registered_line_has_its_binding(lab):
    """A binding tells contact, times, user agent, instance, source address and registrar."""
    await lab.register(LINE, expires=600, user_agent="Yealink SIP-T46S 66.85.0.5", instance=INSTANCE)
    (binding,) = await bindings_of(lab, LINE)
    now = lab.clock.now()
    assert binding.line_port == LINE
    assert binding.contact.startswith("sip:2001@")
    assert binding.user_agent == "Yealink SIP-T46S 66.85.0.5"
    assert binding.instance == INSTANCE
    assert binding.received is not None
    assert binding.received.startswith("sip:")
    assert binding.call_id
    assert binding.registrar == lab.network.name
    assert binding.live(now)
    assert abs(binding.expires_at - now - timedelta(seconds=600)) < timedelta(seconds=3)
    assert abs(binding.registered_at - now) < timedelta(seconds=3)


async def test_every_line_port_has_exactly_one_answer(lab):
    """A line port is answered, empty or unanswered, and never two of them."""
    await lab.register(LINE)
    asked = [LINE, NOBODY, "no address", "", "a@b\r\nEvil: yes"]
    answers = await lab.network.lookup(asked)
    assert set(answers.bindings) == {LINE, NOBODY}
    assert answers.bindings[LINE]
    assert set(answers.unanswered) == {"no address", "", "a@b\r\nEvil: yes"}


async def test_domains_match_without_case_and_keys_stay_as_asked(lab):
    """`2001@LYON…` and `2001@lyon…` are one line port; each caller gets the spelling it used."""
    await lab.register("2001@Lyon.Alpha.Example")
    other = "2001@LYON.alpha.example"
    answers = await lab.network.lookup([LINE, other])
    assert len(answers.bindings[LINE]) == len(answers.bindings[other]) == 1
    assert answers.bindings[other][0].line_port == other


async def test_a_sign_off_takes_the_binding_at_once(lab):
    """A phone that says goodbye is gone long before its expiry."""
    await lab.register(LINE)
    await lab.sign_off(LINE)
    assert await bindings_of(lab, LINE) == ()


async def test_a_silent_phone_keeps_its_binding_until_it_expires(lab):
    """Loss of power shows only at expiry; then the registrar forgets everything."""
    await lab.register(LINE, expires=2)
    await lab.fall_silent(LINE)
    assert len(await bindings_of(lab, LINE)) == 1
    await lab.pass_seconds(3.2)
    assert await bindings_of(lab, LINE) == ()


async def test_a_living_phone_outlives_its_first_expiry(lab):
    """Refreshes at half of the time keep the binding, with later times."""
    await lab.register(LINE, expires=2)
    (first,) = await bindings_of(lab, LINE)
    await lab.pass_seconds(3)
    (later,) = await bindings_of(lab, LINE)
    assert later.call_id == first.call_id
    assert later.expires_at > first.expires_at


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("=cmd|' /C calc'!A0", {"=cmd|' /C calc'!A0"}),
        ("<script>alert(1)</script>", {"<script>alert(1)</script>"}),
        ("bytes \udcff\udcfe end", {"bytes  end", "bytes \ufffd\ufffd end"}),
        ("red\x1b[31m\x07 left\u202eright", {"red[31m leftright"}),
    ],
)
async def test_user_agents_are_cleaned_but_not_interpreted(lab, sent, kept):
    """Control and invisible characters go; markup and formulas stay for the doors to escape."""
    await lab.register(LINE, user_agent=sent)
    (binding,) = await bindings_of(lab, LINE)
    assert binding.user_agent in kept


async def test_a_very_long_user_agent_is_bounded(lab):
    """No phone can make a row longer than 255 characters of user agent."""
    await lab.register(LINE, user_agent="A" * 3000)
    (binding,) = await bindings_of(lab, LINE)
    assert len(binding.user_agent or "") <= 255


async def test_a_dead_network_answers_nothing(lab):
    """What could not be asked is unanswered with a reason; it is never shown as holding no binding."""
    asked = [f"{number}@lyon.alpha.example" for number in range(500)]
    await lab.break_network()
    answers = await lab.network.lookup(asked)
    assert answers.bindings == {}
    assert set(answers.unanswered) == set(asked)
    assert all(reason.in_language("fr") for reason in answers.unanswered.values())
    assert not (await lab.network.check()).answers


async def test_a_living_network_is_healthy(lab):
    """`check` says that the network answers, and how."""
    health = await lab.network.check()
    assert health.answers
    assert str(health.detail)


async def test_a_snapshot_holds_what_is_registered_now(lab):
    """The snapshot shows live bindings only."""
    await lab.register(LINE)
    await lab.register("2002@lyon.alpha.example")
    await lab.sign_off("2002@lyon.alpha.example")
    found = {binding.line_port async for binding in lab.network.snapshot()}
    assert found == {LINE}


async def test_a_restart_shows_as_a_new_call_id(lab):
    """Accepted means that the NOTIFY was taken; the proof is a REGISTER with another Call-ID."""
    await lab.register(LINE, instance=INSTANCE)
    (before,) = await bindings_of(lab, LINE)
    answer = await lab.network.restart(LINE)
    assert (answer.outcome, answer.code) == (RestartOutcome.ACCEPTED, 200)
    await lab.until_rebooted(LINE)
    (after,) = await bindings_of(lab, LINE)
    assert after.call_id != before.call_id
    assert after.registered_at >= before.registered_at


@pytest.mark.parametrize(
    "outcome",
    [
        RestartOutcome.AUTH_NEEDED,
        RestartOutcome.REFUSED,
        RestartOutcome.NO_ANSWER,
        RestartOutcome.UNROUTABLE,
    ],
)
async def test_a_restart_that_fails_says_how(lab, outcome):
    """Each way to fail is told apart, and the line keeps its binding."""
    await lab.register(LINE, on_notify=outcome)
    answer = await lab.network.restart(LINE, limit_seconds=3)
    assert answer.outcome is outcome
    assert len(await bindings_of(lab, LINE)) == 1


async def test_a_phone_that_is_not_registered_cannot_restart(lab):
    """Without a binding nothing is sent."""
    await lab.register(LINE)
    await lab.sign_off(LINE)
    answer = await lab.network.restart(LINE)
    assert answer.outcome is RestartOutcome.NOT_REGISTERED


async def test_a_restart_over_a_dead_network_is_unreachable(lab):
    """A restart does not raise when the network fails."""
    await lab.break_network()
    answer = await lab.network.restart(LINE)
    assert answer.outcome is RestartOutcome.UNREACHABLE
    assert answer.reason


@pytest.mark.parametrize(
    ("line_port", "event"),
    [("nobody", "check-sync"), (LINE, "check-sync\r\nX: y"), ("a@b\r\nc", "check-sync"), (LINE, "")],
)
async def test_a_restart_refuses_what_would_break_the_message(lab, line_port, event):
    """Neither line port nor event can add a header to the NOTIFY."""
    with pytest.raises(UsageError):
        await lab.network.restart(line_port, event)


async def reach_of(lab, *line_ports):
    """Probe line ports; each must have exactly one outcome."""
    found = [reach async for reach in lab.network.probe(line_ports)]
    assert sorted(reach.line_port for reach in found) == sorted(line_ports)
    return {reach.line_port: reach for reach in found}


async def test_a_probe_tells_who_answers_from_who_is_silent(lab):
    """Registered and answers, registered but silent, not registered, no address: each is told apart."""
    silent, gone = "2002@lyon.alpha.example", "2003@lyon.alpha.example"
    for line_port in (LINE, silent, gone):
        await lab.register(line_port)
    await lab.fall_silent(silent)
    await lab.sign_off(gone)
    found = await reach_of(lab, LINE, silent, gone, "no address", "a@b\r\nEvil: yes")
    assert {line_port: reach.outcome for line_port, reach in found.items()} == {
        LINE: ReachOutcome.ANSWERS,
        silent: ReachOutcome.SILENT,
        gone: ReachOutcome.NOT_REGISTERED,
        "no address": ReachOutcome.UNROUTABLE,
        "a@b\r\nEvil: yes": ReachOutcome.UNROUTABLE,
    }
    assert found[LINE].code == 200
    assert 0 < found[LINE].seconds < 2
    assert found[silent].seconds is None


async def test_a_probe_leaves_the_binding_as_it_was(lab):
    """Asking a phone whether it answers changes nothing at the registrar."""
    await lab.register(LINE)
    (before,) = await bindings_of(lab, LINE)
    await reach_of(lab, LINE)
    (after,) = await bindings_of(lab, LINE)
    assert after.call_id == before.call_id


async def test_a_probe_over_a_dead_network_finds_nothing_out(lab):
    """Where the network cannot be asked, no phone is called silent, and each outcome has its reason."""
    await lab.break_network()
    asked = [f"{number}@lyon.alpha.example" for number in range(300)]
    found = await reach_of(lab, *asked)
    assert {reach.outcome for reach in found.values()} == {ReachOutcome.UNREACHABLE}
    assert all(reach.reason.in_language("fr") for reach in found.values())


async def test_a_probe_may_be_left_in_the_middle(lab):
    """Whoever stops reading leaves nothing under way, and the network can be asked again."""
    ports = [f"{number}@lyon.alpha.example" for number in range(2100, 2130)]
    for line_port in ports:
        await lab.register(line_port)
    probing = lab.network.probe(ports)
    assert (await anext(probing)).outcome is ReachOutcome.ANSWERS
    await probing.aclose()
    assert (await reach_of(lab, ports[0]))[ports[0]].outcome is ReachOutcome.ANSWERS
