"""People signed in by an OpenID provider: a test issuer whose tokens are signed with a real key."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import jwt
import pytest
from api_service import running
from cryptography.hazmat.primitives.asymmetric import rsa
from portal_home import PROVIDER, mac_of

from devlib.config import OidcRule, OidcSettings

AUDIENCE = "devlib-service"


class Issuer:
    """A small OpenID provider: discovery, keys, and tokens for whoever a test wants.

    Args:
        clock: dates its tokens.
    """

    def __init__(self, clock):
        self.clock, self.fetched = clock, 0
        self.keys = {"k1": rsa.generate_private_key(public_exponent=65537, key_size=2048)}
        issuer = self

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self):
                issuer.fetched += 1
                body = json.dumps(issuer.document(self.path)).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                """Say nothing."""

        self.server = HTTPServer(("127.0.0.1", 0), Answers)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def document(self, path):
        """Return what stands at an address of the provider."""
        if path.endswith("openid-configuration"):
            return {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        found = [
            json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())) | {"kid": name, "alg": "RS256"}
            for name, key in self.keys.items()
        ]
        return {"keys": found}

    def token(self, kid="k1", key=None, algorithm="RS256", **claims):
        """Return a signed token; `None` leaves a claim out."""
        now = self.clock.now().timestamp()
        whole = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "ann",
            "exp": now + 300,
            "iat": now,
            "groups": ["bakers"],
        }
        whole = {name: each for name, each in (whole | claims).items() if each is not None}
        return jwt.encode(whole, key or self.keys[kid], algorithm=algorithm, headers={"kid": kid})


@contextmanager
def serving(server):
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def issuer(home):
    """A running issuer."""
    made = Issuer(home.clock)
    with serving(made.server):
        yield made


@pytest.fixture
def ask(home, issuer):
    """A function that asks the service something with a token; gives the answer."""
    rules = (
        OidcRule(value="bakers", role="viewer", provider=PROVIDER, customer="Bakery", sites=("Lyon",)),
        OidcRule(value="chiefs", role="operator"),
    )
    oidc = (OidcSettings(issuer=issuer.url, audience=AUDIENCE, rules=rules),)
    settings = home.settings.model_copy(update={"api": home.settings.api.model_copy(update={"oidc": oidc})})
    object.__setattr__(home.services, "settings", settings)
    with running(home) as service, httpx.Client(base_url=service.url, trust_env=False, timeout=30) as client:
        yield lambda token, path="/v1/identity", verb="GET": client.request(
            verb, path, headers={"Authorization": f"Bearer {token}"}
        )


def test_a_signed_token_gives_role_and_scope_by_the_rules(home, issuer, ask):
    """The first rule that fits a group gives role and scope; principal and session come from the token."""
    found = ask(issuer.token(sid="s1")).json()
    assert (found["role"], found["scope"]) == (
        "viewer",
        {"provider": PROVIDER, "customer": "Bakery", "sites": ["Lyon"]},
    )
    assert found["principal"] == f"{issuer.url.removeprefix('http://')}/ann"
    assert found["session"].endswith("/ann/s1")
    assert len(ask(issuer.token(), "/v1/devices").json()) == 3
    assert ask(issuer.token(), f"/v1/devices/{mac_of(7)}").status_code == 404
    assert ask(issuer.token(groups="chiefs")).json()["role"] == "operator"
    entry = home.portal().audit(1)[0]
    assert entry.session == "openid"


def test_who_fits_no_rule_is_refused(issuer, ask):
    """A well-signed token without a group of the rules is 403."""
    for groups in (["guests"], [], None, {"bakers": True}, 7):
        assert ask(issuer.token(groups=groups)).status_code == 403


def test_forged_tokens_are_refused(issuer, ask):
    """Wrong key, issuer, audience, time or algorithm, and what is no token at all: 401 with one text."""
    now = issuer.clock.now().timestamp()
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    unsigned = jwt.encode(
        {"iss": issuer.url, "aud": AUDIENCE, "sub": "ann", "exp": now + 9}, None, algorithm="none"
    )
    forged = [
        issuer.token(key=stranger),
        issuer.token(aud="another service"),
        issuer.token(iss="https://elsewhere.example"),
        issuer.token(exp=now - 31),
        issuer.token(nbf=now + 31),
        issuer.token(iat=now + 31),
        issuer.token(exp=None),
        issuer.token(exp="soon"),
        issuer.token(sub=None),
        issuer.token(sub=""),
        issuer.token(sub="a\nb"),
        issuer.token(key="k" * 64, algorithm="HS256"),
        issuer.token(algorithm="RS512"),
        unsigned,
        issuer.token()[:-6] + "AAAAAA",
        "a.b.c",
        "x" * 20_000,
    ]
    titles = set()
    for token in forged:
        answer = ask(token)
        assert answer.status_code == 401, token
        titles.add(answer.json()["title"])
    assert len(titles) == 1


def test_new_keys_are_found_and_made_up_ones_ask_for_nothing(home, issuer, ask):
    """A key of a new name is fetched; a flood of unknown names does not become a flood of requests."""
    assert ask(issuer.token()).status_code == 200
    fetched = issuer.fetched
    issuer.keys["k2"] = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    home.clock.advance(11)
    assert ask(issuer.token(kid="k2")).status_code == 200
    for number in range(5):
        assert ask(issuer.token(key=issuer.keys["k1"], kid=f"made up {number}")).status_code == 401
    assert issuer.fetched == fetched + 2  # discovery and keys, once


def test_a_provider_that_is_away_is_503(home, issuer, ask):
    """Where the keys cannot be had, nobody is let in and everybody may try later."""
    issuer.document = lambda path: {"issuer": "https://another.example"}
    answer = ask(issuer.token())
    assert answer.status_code == 503
    assert "retry-after" in answer.headers


def test_a_token_ends_during_an_act(home, issuer, ask):
    """Who is signed in is asked again before each act: an expired token does nothing more."""
    from devlib.api.openid import OpenIdSignIn
    from devlib.errors import NotSignedIn
    from devlib.model import Identity, Role

    signed_in = OpenIdSignIn(Identity("ann", Role.VIEWER), home.clock.now(), home.clock)
    with pytest.raises(NotSignedIn):
        signed_in.read()
