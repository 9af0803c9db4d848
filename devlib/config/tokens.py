"""Randomness for the floors above, which may not ask the system for it themselves."""

import secrets

_BYTES = 12  # 96 bits: RFC 3261 §19.3 wants at least 32 in a tag


def fresh_token() -> str:
    """Return text that nobody can guess, of letters and digits, another one at each call."""
    return secrets.token_hex(_BYTES)
