"""Tokens: shown once, kept as a digest, bound to a stored identity, expiring, revocable, audited."""

import logging
from datetime import timedelta

import pytest
from portal_home import PROVIDER

from devlib.cli import main
from devlib.errors import NotAllowed, NotFound, NotSignedIn, UsageError
from devlib.model import Identity, Role, Scope
from devlib.portal import Portal
from devlib.portal.token_sign_in import TokenSignIn

BAKERY = Scope(PROVIDER, "Bakery")


@pytest.fixture
def ann(home):
    """The stored identity of a viewer of Bakery."""
    home.portal().put_identity(Identity("ann", Role.VIEWER, BAKERY))
    return "ann"


def sign_in(home, text):
    return TokenSignIn(home.services, text).sign_in()


@pytest.mark.here
def test_a_token_speaks_for_its_identity(home, ann):
    """Whoever presents it acts as the stored identity, as that is at each act."""
    issued = home.portal().new_token(ann, label="script")
    signed_in = TokenSignIn(home.services, issued.text)
    portal = Portal(signed_in.sign_in(), home.services, signed_in)
    assert len(portal.devices()) == 6
    home.portal().put_identity(Identity(ann, Role.VIEWER, Scope(PROVIDER, "Bakery", frozenset({"Lyon"}))))
    assert len(portal.devices()) == 3
    entry = home.portal().audit(1)[0]
    assert (entry.principal, entry.session) == ("ann", f"token {issued.token.id}")


def test_the_secret_is_stored_and_shown_nowhere(home, ann, caplog):
    """Neither database, audit, list, repr, log nor error holds the text of a token."""
    caplog.set_level(logging.DEBUG)
    issued = home.portal().new_token(ann)
    secret = issued.text.split("_", 2)[2]
    sign_in(home, issued.text)
    with pytest.raises(NotSignedIn) as caught:
        sign_in(home, issued.text[:-4] + "AAAA")
    held = [str(caught.value), repr(caught.value), repr(issued), repr(home.portal().tokens()), caplog.text]
    held += [repr(home.portal().audit(50))]
    held += [path.read_bytes().decode("latin-1") for path in home.folder.rglob("*") if path.is_file()]
    assert not [each for each in held if secret in each]
    assert home.portal().tokens()[0].digest == ""


def test_worthless_tokens_say_nothing_about_others(home, ann):
    """Unknown, mangled and wrong-secret tokens get the same answer."""
    issued = home.portal().new_token(ann)
    texts = set()
    other = "a" * 8 if issued.token.id != "a" * 8 else "b" * 8
    for wrong in (
        "",
        "x",
        issued.text[:-1] + "!",
        issued.text[:-3] + "AAA",
        issued.text.replace(issued.token.id, other),
    ):
        with pytest.raises(NotSignedIn) as caught:
            sign_in(home, wrong)
        assert caught.value.http_status == 401
        texts.add(str(caught.value))
    assert len(texts) == 1


def test_a_token_ends(home, ann):
    """It is worth nothing after its last day, once revoked, and without its identity; and that is audited."""
    boss = home.portal()
    old, bad, orphan = (boss.new_token(ann, days=days) for days in (1, 9, 9))
    home.clock.advance(timedelta(days=1).total_seconds())
    with pytest.raises(NotSignedIn, match="expired"):
        sign_in(home, old.text)
    boss.revoke_token(bad.token.id)
    with pytest.raises(NotSignedIn, match="revoked"):
        sign_in(home, bad.text)
    with home.services.inventory.write() as writer:
        writer.remove_identity(ann)
    with pytest.raises(NotAllowed, match="not stored"):
        sign_in(home, orphan.text)
    refused = [each for each in boss.audit(9) if each.act == "sign in"]
    assert [(each.principal, each.outcome) for each in refused] == [("ann", "refused")] * 3


@pytest.mark.here
def test_the_last_use_is_known_to_the_minute(home, ann):
    """When a token was used is kept, not more than once in a minute."""
    boss = home.portal()
    issued = boss.new_token(ann)
    assert boss.tokens()[0].last_used_at is None
    sign_in(home, issued.text)
    first = home.clock.now()
    home.clock.advance(30)
    sign_in(home, issued.text)
    assert boss.tokens()[0].last_used_at == first
    home.clock.advance(60)
    sign_in(home, issued.text)
    assert boss.tokens()[0].last_used_at == home.clock.now()


@pytest.mark.here
def test_nobody_makes_a_token_beyond_his_own(home, ann):
    """An operator makes, sees and revokes tokens within its own role and scope only."""
    boss = home.portal()
    boss.put_identity(Identity("clinician", Role.VIEWER, Scope(PROVIDER, "Clinic")))
    boss.put_identity(Identity("chief", Role.SERVICE_PROVIDER))
    foreign = boss.new_token("clinician")
    operator = home.portal(Role.OPERATOR, BAKERY)
    own = operator.new_token(ann)
    for beyond in ("clinician", "chief", "nobody"):
        with pytest.raises(NotAllowed, match="beyond"):
            operator.new_token(beyond)
    with pytest.raises(NotAllowed, match="No identity"):
        boss.new_token("nobody")
    assert [each.id for each in operator.tokens()] == [own.token.id]
    texts = set()
    for number in (foreign.token.id, "aaaaaaaa"):
        with pytest.raises(NotFound) as caught:
            operator.revoke_token(number)
        texts.add(str(caught.value).replace(number, "?"))
    assert len(texts) == 1
    assert sign_in(home, foreign.text).principal == "clinician"
    for role in (Role.VIEWER, Role.CUSTOMER_ADMINISTRATOR):
        with pytest.raises(NotAllowed):
            home.portal(role).new_token(ann)


@pytest.mark.parametrize("days", [0, -1, 367])
def test_a_token_has_an_end_that_one_can_see(home, ann, days):
    """No token without days, and none for longer than a year."""
    with pytest.raises(UsageError):
        home.portal().new_token(ann, days=days)


@pytest.mark.here
def test_the_command_makes_lists_and_revokes(home, ann, monkeypatch, capsys):
    """`devlib token` shows the text once; `devlib audit verify` says whether the audit is whole."""
    monkeypatch.setenv("DEVLIB_HOME", str(home.folder))
    monkeypatch.setenv("DEVLIB_LANGUAGE", "en")
    # The command reads the time of this machine.
    assert main(["token", "new", ann, "--label", "script"]) == 0
    text = capsys.readouterr().out.split()[-1]
    number = text.split("_")[1]
    assert main(["token", "list"]) == 0
    listed = capsys.readouterr().out
    assert number in listed
    assert text not in listed
    assert main(["token", "revoke", number]) == 0
    assert main(["token", "revoke"]) == 2
    with pytest.raises(NotSignedIn):
        sign_in(home, text)
    assert main(["audit", "verify"]) == 0
    digest = capsys.readouterr().out.split("with ")[1].split(";")[0]
    assert main(["audit", "verify", "--digest", digest]) == 0
    assert main(["audit", "verify", "--digest", "0" * 64]) == 1
