"""Section `[api]` of `devlib.toml`: limits of the HTTP service, and who vouches for people."""

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from devlib.config.networks import Seconds, Section

RoleName = Literal["service provider", "operator", "customer administrator", "viewer"]


class OidcRule(Section):
    """Role and scope of whoever's claim holds a value; the first rule that fits counts."""

    value: str = Field(min_length=1, description="What the claim must hold, or be.")
    role: RoleName
    provider: str | None = Field(None, description="Only this service provider; none: all.")
    customer: str | None = Field(None, description="Only this customer; none: all of the provider.")
    sites: tuple[str, ...] | None = Field(None, description="Only these sites; none: all of the customer.")

    @model_validator(mode="after")
    def _scope_is_one(self) -> "OidcRule":
        if self.customer is not None and self.provider is None:
            raise ValueError("a customer needs its provider, since names repeat between providers")
        if self.sites is not None and self.customer is None:
            raise ValueError("sites need their customer")
        return self


class OidcSettings(Section):
    """An OpenID provider whose signed tokens sign people in."""

    issuer: str = Field(pattern=r"^https?://", description="Exactly as the claim `iss` has it.")
    audience: str = Field(min_length=1, description="What the claim `aud` must hold.")
    keys_url: str | None = Field(
        None, pattern=r"^https?://", description="Where its public keys (JWKS) are; by default discovered."
    )
    keys_file: Path | None = Field(None, description="A file of its public keys, in the place of `keys_url`.")
    algorithms: tuple[Literal["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"], ...] = Field(
        ("RS256", "ES256"), min_length=1, description="Signatures that are accepted; never a shared secret."
    )
    principal_claim: str = Field("sub", description="Claim that names the account.")
    claim: str = Field("groups", description="Claim that the rules look at.")
    leeway: float = Field(30.0, ge=0, le=300, description="Seconds by which clocks may differ.")
    keys_seconds: Seconds = Field(300.0, description="Seconds for which its keys are kept.")
    rules: tuple[OidcRule, ...] = Field((), description="Who fits none of them is refused.")


class ApiSettings(Section):
    """Limits of the HTTP service."""

    body_bytes: int = Field(1 << 20, ge=1024, description="Largest body of a request.")
    file_bytes: int = Field(64 << 20, ge=1024, description="Largest bulk file.")
    body_seconds: Seconds = Field(30.0, description="Longest silence while a body is sent.")
    requests: int = Field(256, ge=1, description="Requests under way at once at one worker; one more is 503.")
    threads: int = Field(40, ge=1, le=500, description="Acts under way at once at one worker.")
    exports: int = Field(100, ge=1, description="Exports that all workers run or keep waiting at once.")
    keep_seconds: Seconds = Field(600.0, description="Seconds for which a finished export can be fetched.")
    drain_seconds: Seconds = Field(120.0, description="Seconds that running exports get when it stops.")
    oidc: tuple[OidcSettings, ...] = Field((), description="OpenID providers that sign people in.")


MOST_WORKERS = 64
"""Processes that one service may have."""

# Where workers of one service count together: the variable is prometheus_client's.
_SHARED_COUNTS = "PROMETHEUS_MULTIPROC_DIR"


def share_counts(folder: str) -> None:
    """Let processes that are started from now on count what `/metrics` tells in one folder.

    Args:
        folder: empty, and theirs alone.
    """
    os.environ[_SHARED_COUNTS] = folder


def shared_counts_folder() -> str:
    """Return the folder in which this process counts with others; empty where it counts alone."""
    return os.environ.get(_SHARED_COUNTS, "")
