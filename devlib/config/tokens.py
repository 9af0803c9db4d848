"""Randomness for the floors above, which may not ask the system for it themselves."""

import secrets
from collections.abc import Iterator

_BYTES = 12  # 96 bits: RFC 3261 §19.3 wants at least 32 in a tag
_AT_ONCE = 256


def fresh_token() -> str:
    """Return text that nobody can guess, of 24 letters and digits, another one at each call."""
    return secrets.token_hex(_BYTES)


def fresh_tokens() -> Iterator[str]:
    """Yield such texts for ever; the system is asked for many at a time."""
    width = 2 * _BYTES
    while True:
        block = secrets.token_hex(_BYTES * _AT_ONCE)
        yield from (block[at : at + width] for at in range(0, len(block), width))
