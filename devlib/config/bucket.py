"""Section `[bucket]` of `devlib.toml`: how the bucket of `DEVLIB_LAKE` is reached, and what is kept here."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from devlib.config.networks import Seconds, Section
from devlib.config.secret import SecretText
from devlib.errors import ConfigurationError
from devlib.language import message

_ADDRESS = re.compile(r"s3://([a-z0-9][a-z0-9.\-]{1,61}[a-z0-9])(/[^\\\0?#]*)?")
_HERE = frozenset({"127.0.0.1", "localhost", "::1"})

BUCKET_VARIABLES = frozenset(
    {"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID",
     "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_SHARED_CREDENTIALS_FILE",
     "AWS_CONFIG_FILE", "AWS_EC2_METADATA_DISABLED", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
     "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN"}
)  # fmt: skip
"""Environment variables by which the AWS libraries find endpoint, region and credentials."""


class BucketSettings(Section):
    """How the bucket is reached; what is not set here comes from the environment, by the usual AWS names."""

    endpoint: str | None = Field(
        None, pattern=r"^https?://", description="Address of the service; none: AWS_ENDPOINT_URL_S3, or AWS."
    )
    region: str | None = Field(None, description="Region; none: AWS_REGION, AWS_DEFAULT_REGION.")
    access_key: SecretText | None = Field(
        None, description="Access key; none: AWS_ACCESS_KEY_ID, a profile, or the machine's role."
    )
    secret_key: SecretText | None = Field(None, description="Its secret.")
    plain_http: bool = Field(
        default=False,
        description="Whether http:// may be used for another machine: everybody on the way reads.",
    )
    cache: str = Field(
        "lake-cache", description="Folder for what was read; a relative one lies in the home folder."
    )
    cache_bytes: int = Field(
        20 << 30,
        ge=1 << 20,
        description="Bytes of it; more only for an hour, if questions need more at once.",
    )
    seconds: Seconds = Field(30.0, description="Longest wait for one answer of the service.")

    @model_validator(mode="after")
    def _keys_come_together(self) -> "BucketSettings":
        if (self.access_key is None) != (self.secret_key is None):
            raise ValueError("access_key and secret_key come together")
        return self


@dataclass(frozen=True, slots=True)
class Bucket:
    """A place in a bucket, and how it is reached.

    Args:
        name: of the bucket.
        prefix: of all keys, without slashes at its ends; may be empty.
        endpoint: `host:port` of the service; empty for AWS.
        scheme: `http` or `https`.
        region: empty for what the AWS libraries find.
        keys: access key and its secret; `None` for what the AWS libraries find. Never shown.
        cache: folder for what was read.
        cache_bytes: of it.
        seconds: longest wait for one answer.
    """

    name: str
    prefix: str
    endpoint: str
    scheme: str
    region: str
    keys: "tuple[SecretText, SecretText] | None"
    cache: Path
    cache_bytes: int
    seconds: float

    @property
    def address(self) -> str:
        """The place as it is written in `DEVLIB_LAKE`."""
        return f"s3://{self.name}/{self.prefix}".rstrip("/")


def is_bucket(lake: str) -> bool:
    """Return whether a setting of the lake means a bucket."""
    return lake.startswith("s3://")


def read_bucket(
    lake: str, settings: BucketSettings, home: Path, environment: Mapping[str, str] | None = None
) -> Bucket:
    """Return the place that `s3://BUCKET/PREFIX` means.

    Args:
        lake: the address.
        settings: how it is reached.
        home: in which a relative cache lies.
        environment: variables to read instead of the process's own.

    Raises:
        ConfigurationError: it is no such address, or would send everything in clear over a network.
    """
    variables = os.environ if environment is None else environment
    if (found := _ADDRESS.fullmatch(lake)) is None:
        raise ConfigurationError(
            message("The address of the bucket cannot be read."),
            remedy=message("Write DEVLIB_LAKE as s3://BUCKET/PREFIX."),
        )
    prefix = "/".join(part for part in (found[2] or "").split("/") if part)
    endpoint = settings.endpoint or _first(variables, "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
    parts = urlsplit(endpoint)
    if parts.scheme == "http" and parts.hostname not in _HERE and not settings.plain_http:
        raise ConfigurationError(
            message("The bucket would be read in clear over a network."),
            where=f"{parts.scheme}://{parts.hostname}",
            remedy=message("Use https://, or set plain_http in [bucket] where nobody else is on the way."),
        )
    keys = None
    if settings.access_key is not None and settings.secret_key is not None:
        keys = (settings.access_key, settings.secret_key)
    return Bucket(
        name=found[1],
        prefix=prefix,
        endpoint=parts.netloc.rpartition("@")[2],
        scheme=parts.scheme or "https",
        region=settings.region or _first(variables, "AWS_REGION", "AWS_DEFAULT_REGION"),
        keys=keys,
        cache=home / Path(settings.cache).expanduser(),
        cache_bytes=settings.cache_bytes,
        seconds=settings.seconds,
    )


def _first(variables: Mapping[str, str], *names: str) -> str:
    return next((variables[name] for name in names if variables.get(name)), "")
