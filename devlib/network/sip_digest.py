"""Digest authentication of SIP (RFC 3261 §22, RFC 7616, RFC 8760): MD5, SHA-256, and their session forms."""

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from pydantic import SecretStr

from devlib.network.sip import to_bytes

_SCHEME = re.compile(r"\s*digest\s+(.*)", re.IGNORECASE | re.DOTALL)
_PARAMETER = re.compile(
    r"([A-Za-z][A-Za-z0-9\-]{0,31})\s*=\s*(?:\"((?:[^\"\\]|\\.){0,2048})\"|([^\s,\"]{0,512}))"
)
_LONGEST = 8192  # characters of a challenge that are looked at
_STRENGTH = {"MD5": 1, "MD5-SESS": 1, "SHA-256": 2, "SHA-256-SESS": 2}  # RFC 8760 §2.3: the strongest first

_Hash = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user name and its password; neither a log nor `repr` shows the password."""

    username: str
    password: SecretStr


def _md5(text: str) -> str:
    return hashlib.md5(to_bytes(text), usedforsecurity=False).hexdigest()


def _sha256(text: str) -> str:
    return hashlib.sha256(to_bytes(text)).hexdigest()


def _hash_of(algorithm: str) -> _Hash:
    return _sha256 if algorithm.startswith("SHA-256") else _md5


def parse_digest(value: str) -> dict[str, str] | None:
    """Return the parameters of a challenge or an answer, by name in lower case; `None` for another scheme.

    Args:
        value: of a WWW-Authenticate, Proxy-Authenticate or Authorization header; hostile.
    """
    found = _SCHEME.match(value[:_LONGEST])
    if found is None:
        return None
    parameters: dict[str, str] = {}
    for name, quoted, bare in _PARAMETER.findall(found[1]):
        text = re.sub(r"\\(.)", r"\1", quoted) if quoted else bare
        parameters.setdefault(name.lower(), text)
    return parameters


def strongest(challenges: Iterable[str]) -> str | None:
    """Return the challenge with the strongest algorithm that can be answered, or `None`."""
    known = [(strength, value) for value in challenges if (strength := _strength(value))]
    return max(known, default=(0, None), key=lambda each: each[0])[1]


def _strength(challenge: str) -> int:
    parameters = parse_digest(challenge)
    if parameters is None or "realm" not in parameters or "nonce" not in parameters:
        return 0
    offered = {each.strip().lower() for each in parameters.get("qop", "auth").split(",")}
    return _STRENGTH.get(parameters.get("algorithm", "MD5").upper(), 0) if "auth" in offered else 0


def is_stale(challenge: str) -> bool:
    """Return whether a challenge says that only its nonce was too old: the password may be right."""
    return (parse_digest(challenge) or {}).get("stale", "").lower() == "true"


def answer_challenge(
    challenge: str, method: str, uri: str, credentials: Credentials, *, nonce_count: int = 1, cnonce: str
) -> str | None:
    """Return the value of the Authorization header that answers a challenge.

    Args:
        challenge: value of WWW-Authenticate or Proxy-Authenticate.
        method: of the request.
        uri: its Request-URI.
        credentials: whose.
        nonce_count: how often this nonce was used, with this time, from 1.
        cnonce: own random text.

    Returns:
        The value; `None` where the challenge cannot be answered: another scheme, an unknown algorithm, no
        realm or nonce, or protection of the body only (`auth-int`).
    """
    if not _strength(challenge):
        return None
    parameters = parse_digest(challenge) or {}
    given = {
        "username": credentials.username,
        "realm": parameters["realm"],
        "nonce": parameters["nonce"],
        "uri": uri,
        "algorithm": parameters.get("algorithm", "MD5"),
    }
    if "opaque" in parameters:
        given["opaque"] = parameters["opaque"]
    if "qop" in parameters:
        given |= {"qop": "auth", "nc": f"{nonce_count:08x}", "cnonce": cnonce}
    elif given["algorithm"].upper().endswith("-SESS"):
        given["cnonce"] = cnonce
    given["response"] = _response(given, method, credentials.password.get_secret_value())
    return "Digest " + ", ".join(_written(name, value) for name, value in given.items())


def _response(given: Mapping[str, str], method: str, password: str) -> str:
    """Return the response of RFC 7616 §3.4.1."""
    algorithm = given.get("algorithm", "MD5").upper()
    digest = _hash_of(algorithm)
    secret = digest(f"{given['username']}:{given['realm']}:{password}")
    if algorithm.endswith("-SESS"):
        secret = digest(f"{secret}:{given['nonce']}:{given.get('cnonce', '')}")
    request = digest(f"{method}:{given['uri']}")
    if "qop" in given:
        middle = f"{given['nonce']}:{given.get('nc', '')}:{given.get('cnonce', '')}:{given['qop']}"
    else:
        middle = given["nonce"]
    return digest(f"{secret}:{middle}:{request}")


def _written(name: str, value: str) -> str:
    if name in ("algorithm", "qop", "nc"):
        return f"{name}={value}"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'{name}="{escaped}"'


def challenge(realm: str, nonce: str, algorithm: str = "SHA-256") -> str:
    """Return the value of a WWW-Authenticate header, as a phone or registrar sends it.

    Args:
        realm: of the challenge.
        nonce: to be used once.
        algorithm: `MD5`, `SHA-256` or one of their session forms.
    """
    parts = {"realm": realm, "nonce": nonce, "algorithm": algorithm}
    return "Digest " + ", ".join(_written(*each) for each in parts.items()) + ', qop="auth"'


def is_right_answer(
    authorization: str, method: str, credentials: Credentials, realm: str, nonce: str
) -> bool:
    """Return whether an Authorization header proves the password; does not raise.

    Args:
        authorization: value of the header; hostile.
        method: of the request.
        credentials: whose.
        realm: of the challenge.
        nonce: of the challenge.
    """
    given = parse_digest(authorization)
    if given is None or not {"username", "realm", "nonce", "uri", "response"} <= given.keys():
        return False
    if (given["username"], given["realm"], given["nonce"]) != (credentials.username, realm, nonce):
        return False
    if given.get("algorithm", "MD5").upper() not in _STRENGTH or given.get("qop", "auth") != "auth":
        return False
    expected = _response(given, method, credentials.password.get_secret_value())
    return hmac.compare_digest(expected.encode(), to_bytes(given["response"].lower()))
