"""People signed in by an OpenID provider: its signed tokens, checked here, become role and scope by rules.

Checked are signature (public keys only, the algorithms of the settings), issuer, audience, and the moments,
by the clock of the service (OpenID Connect Core §3.1.3.7, RFC 9068). Who fits no rule is refused.
"""

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import httpx
import jwt

from devlib.api.signing import Bearer
from devlib.clock import Clock
from devlib.config import OidcRule, OidcSettings
from devlib.errors import NotAllowed, StorageUnavailable
from devlib.language import message, visible
from devlib.model import Identity, Role, Scope
from devlib.portal.token_sign_in import not_signed_in

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_SECONDS = 5.0
_NOT_AGAIN_FOR = 10.0
_MOST_BYTES = 256 << 10
_LONGEST_NAME = 200

Fetch = Callable[[str], Any]


class Provider:
    """One OpenID provider with its public keys, which are fetched when needed and kept for a while.

    Args:
        settings: issuer, audience, where the keys are, and the rules.
        clock: the time.
        fetch: gets JSON from an address.
    """

    def __init__(self, settings: OidcSettings, clock: Clock, fetch: Fetch | None = None) -> None:
        self.settings = settings
        self._clock = clock
        self._fetch = fetch or fetch_json
        self._keys: Mapping[str, jwt.PyJWK] = {}
        self._fetched_at: float | None = None
        self._lock = threading.Lock()

    def identity(self, token: str) -> tuple[Identity, datetime]:
        """Return whom a signed token names, and until when it is good.

        Raises:
            NotSignedIn: it is not signed as it should be, for somebody else, or not good now.
            NotAllowed: no rule fits.
            StorageUnavailable: the keys of the provider cannot be had.
        """
        claims, ends = self._claims(token)
        name = claims.get(self.settings.principal_claim)
        if not isinstance(name, str) or not name or not name.isprintable() or len(name) > _LONGEST_NAME:
            raise not_signed_in()
        # The provider stands before the name: a name of its own choice must not meet a stored one.
        principal = f"{urlsplit(self.settings.issuer).netloc}/{name}"
        sid = claims.get("sid")
        session = f"{principal}/{visible(sid)}" if isinstance(sid, str) and sid else ""
        rule = self._rule(claims)
        if rule is None:
            raise NotAllowed(
                message("Your account is known, but may do nothing here."),
                remedy=message("Ask an operator to add a rule for you to [api.oidc] of devlib.toml."),
            )
        sites = None if rule.sites is None else frozenset(rule.sites)
        return Identity(principal, Role(rule.role), Scope(rule.provider, rule.customer, sites), session), ends

    def _claims(self, token: str) -> tuple[dict[str, Any], datetime]:
        settings = self.settings
        try:
            key = self._key(str(jwt.get_unverified_header(token).get("kid", "")))
            claims = jwt.decode(
                token,
                key,
                algorithms=list(settings.algorithms),
                audience=settings.audience,
                issuer=settings.issuer,
                # The moments are judged below, by the clock of the service.
                options={
                    "require": ["exp", "iss", "aud", settings.principal_claim],
                    "verify_exp": False, "verify_nbf": False, "verify_iat": False,
                },
            )  # fmt: skip
            return claims, self._judged(claims)
        except (jwt.PyJWTError, ValueError, TypeError, KeyError, OverflowError, OSError):
            # What exactly is wrong with it would help only those who try.
            raise not_signed_in() from None

    def _judged(self, claims: Mapping[str, Any]) -> datetime:
        now, leeway = self._clock.now(), timedelta(seconds=self.settings.leeway)
        ends = datetime.fromtimestamp(float(claims["exp"]), UTC) + leeway
        begins = datetime.fromtimestamp(float(claims.get("nbf", 0)), UTC) - leeway
        made = datetime.fromtimestamp(float(claims.get("iat", 0)), UTC) - leeway
        if not (begins <= now < ends) or made > now:
            raise ValueError("not good now")
        return ends

    def _key(self, name: str) -> jwt.PyJWK:
        with self._lock:
            now = self._clock.monotonic()
            age = None if self._fetched_at is None else now - self._fetched_at
            old = age is None or age > self.settings.keys_seconds
            # A key of an unknown name may be new; but made-up names must not make us ask without end.
            if old or (name not in self._keys and age is not None and age > _NOT_AGAIN_FOR):
                self._keys = self._read_keys()
                self._fetched_at = now
            return self._keys[name]

    def _read_keys(self) -> Mapping[str, jwt.PyJWK]:
        try:
            found = jwt.PyJWKSet.from_dict(self._key_set())
        except (httpx.HTTPError, OSError, ValueError, KeyError, TypeError, jwt.PyJWTError) as error:
            raise StorageUnavailable(
                message("The keys of the OpenID provider cannot be had ({kind}).", kind=type(error).__name__),
                remedy=message("Check keys_url or keys_file in [api.oidc] of devlib.toml."),
                retry_after=5.0,
            ) from None
        return {each.key_id or "": each for each in found.keys}

    def _key_set(self) -> dict[str, Any]:
        settings = self.settings
        if settings.keys_file is not None:
            found = json.loads(settings.keys_file.expanduser().read_text(encoding="utf-8"))
        else:
            found = self._fetch(settings.keys_url or self._discovered())
        return dict(found)

    def _discovered(self) -> str:
        found = self._fetch(self.settings.issuer.rstrip("/") + "/.well-known/openid-configuration")
        if found["issuer"] != self.settings.issuer:
            raise ValueError("another issuer")
        return str(found["jwks_uri"])

    def _rule(self, claims: Mapping[str, Any]) -> OidcRule | None:
        value = claims.get(self.settings.claim)
        held = (
            {value} if isinstance(value, str) else set(map(str, value)) if isinstance(value, list) else set()
        )
        return next((each for each in self.settings.rules if each.value in held), None)


class OpenIdSignIn:
    """One who presents a signed token, for one request; refused as soon as that has expired.

    Args:
        identity: as its provider and the rules have it.
        ends: until when, UTC.
        clock: the time.
    """

    by = ""
    via = "openid"

    def __init__(self, identity: Identity, ends: datetime, clock: Clock) -> None:
        self._identity = identity
        self._ends = ends
        self._clock = clock

    def read(self) -> Identity:
        """Return the identity.

        Raises:
            NotSignedIn: the token has expired.
        """
        if self._clock.now() >= self._ends:
            raise not_signed_in(message("The token has expired."))
        return self._identity


class OpenIdProviders:
    """All providers of the settings.

    Args:
        providers: in their order.
        clock: the time.
    """

    def __init__(self, providers: Sequence[Provider], clock: Clock) -> None:
        self._providers = {each.settings.issuer: each for each in providers}
        self._clock = clock

    def sign_in(self, token: str) -> Bearer:
        """Return the bearer of a signed token.

        Raises:
            NotSignedIn: nobody vouches for it.
            NotAllowed: its provider does, but no rule fits.
        """
        try:
            issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
        except (jwt.PyJWTError, ValueError, TypeError):
            raise not_signed_in() from None
        provider = self._providers.get(issuer if isinstance(issuer, str) else "")
        if provider is None:
            raise not_signed_in()
        identity, ends = provider.identity(token)
        return Bearer(identity, OpenIdSignIn(identity, ends, self._clock))


def fetch_json(address: str) -> Any:  # noqa: ANN401 - JSON
    """Return the JSON at an address of a provider; only over TLS, or on this machine.

    Raises:
        ValueError: it is not, or is too large, or no JSON.
        httpx.HTTPError: nobody answers.
    """
    parts = urlsplit(address)
    if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
        raise ValueError("not over TLS")
    with httpx.stream("GET", address, timeout=_SECONDS, follow_redirects=False) as answer:
        answer.raise_for_status()
        body = b""
        for piece in answer.iter_bytes():
            body += piece
            if len(body) > _MOST_BYTES:
                raise ValueError("too large")
    return json.loads(body)
