"""Signed words between the dashboards' server, the page and the kernel: who asks, for which kernel, until when.

A word is claims and their HMAC-SHA256. The server signs it, the page carries it, the kernel checks it; the
page can neither change it nor use it for another kernel.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from devlib.errors import NotAllowed
from devlib.language import message

_LONGEST = 4_000


def signed(purpose: str, claims: Mapping[str, Any], key: bytes, until: datetime) -> str:
    """Return a signed word.

    Args:
        purpose: what it is for; a word for one purpose is none for another.
        claims: what it says; plain values.
        key: of whoever signs and checks.
        until: when it ends, UTC.
    """
    body = json.dumps({**claims, "purpose": purpose, "until": until.timestamp()}).encode()
    return f"{_text(body)}.{_text(_mac(body, key))}"


def claims_of(purpose: str, word: str, key: bytes, now: datetime) -> dict[str, Any]:
    """Return what a signed word says.

    Raises:
        NotAllowed: it was not signed with this key, is for something else, or is too old.
    """
    try:
        body, mac = (_bytes(part) for part in word[:_LONGEST].split("."))
        genuine = hmac.compare_digest(mac, _mac(body, key))
        claims: dict[str, Any] = json.loads(body) if genuine else {}
    except ValueError:
        claims = {}
    if claims.get("purpose") != purpose or claims.get("until", 0) < now.timestamp():
        raise NotAllowed(
            message("This link or page is no longer valid."),
            remedy=message("Load the page again, or ask for a new link: devlib dashboards --link"),
        )
    return claims


def _mac(body: bytes, key: bytes) -> bytes:
    return hmac.new(key, body, hashlib.sha256).digest()


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
