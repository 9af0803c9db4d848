"""Settings: `devlib.toml` in the home folder, and a few environment variables over it.

`DEVLIB_HOME` (default: the user's data folder) holds everything of the embedded default.
`DEVLIB_DATABASE`, `DEVLIB_LAKE` and `DEVLIB_LANGUAGE` win over the file.
`DEVLIB_PRINCIPAL` names the identity to act as.
"""

import os
import pwd
import re
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from platformdirs import user_data_path
from pydantic import Field, ValidationError, field_validator, model_validator

from devlib.config.bucket import BUCKET_VARIABLES, Bucket, BucketSettings, is_bucket, read_bucket
from devlib.config.dashboards import (
    KEY_VARIABLE,
    DashboardSettings,
    KernelPass,
    kernel_environment,
    own_environment,
    take_kernel_pass,
)
from devlib.config.networks import KamailioSettings, NetworkSettings, Seconds, Section, SimulatorSettings
from devlib.config.secret import Secret
from devlib.config.service import (
    MOST_WORKERS,
    ApiSettings,
    OidcRule,
    OidcSettings,
    share_counts,
    shared_counts_folder,
)
from devlib.config.tokens import fresh_token, fresh_tokens
from devlib.errors import ConfigurationError
from devlib.language import Language, choose_language, message

__all__ = [
    "BUCKET_VARIABLES",
    "KEY_VARIABLE",
    "MOST_WORKERS",
    "ApiSettings",
    "Bucket",
    "BucketSettings",
    "DashboardSettings",
    "ExportPolicy",
    "KamailioSettings",
    "KernelPass",
    "NetworkSettings",
    "OidcRule",
    "OidcSettings",
    "QueryLimits",
    "Secret",
    "Settings",
    "SimulatorSettings",
    "account_name",
    "environment_token",
    "fresh_token",
    "fresh_tokens",
    "kernel_environment",
    "load_settings",
    "own_environment",
    "share_counts",
    "shared_counts_folder",
    "take_kernel_pass",
]


class ExportPolicy(Section):
    """The limits of the line-state export; the defaults are the article's, or the nearest reading."""

    max_running: int = Field(3, ge=1, description="Real exports at the same time (article: 2 to 3).")
    max_waiting: int = Field(10, ge=0, description="Requests that may queue (article: ten).")
    period: Seconds = Field(
        5.0, description="Seconds between two starts of one session, and of one customer."
    )
    cache_ttl: Seconds = Field(5.0, description="Seconds for which backend rows answer other readers.")
    queue_timeout: Seconds = Field(60.0, description="Seconds in the queue before the answer is 408.")
    max_followers: int = Field(64, ge=0, description="Requests that may share one running export.")
    max_attempts: int = Field(2, ge=1, description="Starts of one export before its followers get 500.")
    max_waiting_per_session: int | None = Field(
        None, ge=1, description="Seats of the queue that one session may hold; none: no own limit."
    )
    queue_counts_running: bool = Field(
        default=False, description="Whether the ten seats include the running exports."
    )
    hard_ttl: Seconds = Field(
        120.0, description="Seconds without a sign of life before a holder may be released."
    )


class QueryLimits(Section):
    """What an analyst's SQL may use."""

    seconds: Seconds = Field(30.0, description="Longest run time of one query.")
    memory: str = Field("1GB", pattern=r"^\d+ ?[KMG]B$", description="Memory of one query.")
    threads: int = Field(2, ge=1, le=64, description="Threads of one query.")
    rows: int = Field(1_000_000, ge=1, description="Most rows that one answer may have.")


class Settings(Section):
    """Everything that can be set, with defaults that need no other machine."""

    home: Path
    database: str = ""
    lake: str = ""
    language: Language = "en"
    account: str = Field("local", description="Account of the operating system; never read from the file.")
    principal: str = Field("", description="Identity to act as; never read from the file.")
    aged_retention: Seconds = Field(
        86_400.0, description="Seconds after its last expiry for which a line is `aged`."
    )
    snapshot_retention_days: int | None = Field(
        None, ge=1, description="Days (UTC) for which snapshots are kept; none: for ever."
    )
    takeover_seconds: Seconds = Field(
        15.0, description="Seconds without a sign of life after which another process takes over."
    )
    device_types: Path | None = Field(None, description="File of the administrator's device types.")
    practice_moment: datetime | None = Field(
        None, description="Moment at which time stands still, for practice on a simulator; never for phones."
    )
    export: ExportPolicy = Field(default_factory=ExportPolicy)
    query: QueryLimits = Field(default_factory=QueryLimits)
    bucket: BucketSettings = Field(default_factory=BucketSettings)
    dashboards: DashboardSettings = Field(default_factory=DashboardSettings)
    api: ApiSettings = Field(default_factory=ApiSettings)
    networks: tuple[NetworkSettings, ...] = Field(
        default_factory=lambda: (SimulatorSettings(),),
        description="Asked in this order: the first that serves a line's customer answers for it.",
    )

    @field_validator("lake")
    @classmethod
    def _lake_is_a_folder_or_bucket(cls, lake: str) -> str:
        if re.match(r"[A-Za-z][A-Za-z0-9+.\-]*://", lake) and not is_bucket(lake):
            raise ValueError("the lake must be a folder of this machine or s3://BUCKET/PREFIX")
        return lake

    @field_validator("practice_moment")
    @classmethod
    def _practice_is_utc(cls, moment: datetime | None) -> datetime | None:
        if moment is None:
            return None
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)

    @model_validator(mode="after")
    def _practice_needs_simulators(self) -> "Settings":
        if self.practice_moment is not None and any(each.kind != "simulator" for each in self.networks):
            raise ValueError("practice_moment stops the clock: only where every network is a simulator")
        return self

    @model_validator(mode="after")
    def _names_are_distinct(self) -> "Settings":
        names = [network.name for network in self.networks]
        if len(set(names)) != len(names):
            raise ValueError("two networks have the same name")
        return self

    @property
    def database_url(self) -> str:
        """The SQLAlchemy URL of the inventory; by default a SQLite file in the home folder."""
        return self.database or f"sqlite:///{self.home / 'inventory.db'}"

    @property
    def lake_folder(self) -> Path:
        """The folder of snapshot files; by default `snapshots`. A relative one lies in the home folder."""
        return self.home / Path(self.lake or "snapshots").expanduser()

    @property
    def lake_bucket(self) -> Bucket | None:
        """The bucket of snapshot files; `None` where they lie in a folder.

        Raises:
            ConfigurationError: the address is none, or would send everything in clear over a network.
        """
        return read_bucket(self.lake, self.bucket, self.home) if is_bucket(self.lake) else None

    @property
    def device_types_file(self) -> Path:
        """The file in which an administrator adds device types or corrects line counts."""
        return self.device_types or self.home / "device-types.csv"


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of this user on this machine.

    Args:
        environment: variables to read instead of the process's own.

    Returns:
        The settings; every folder in them may still be missing.

    Raises:
        ConfigurationError: `devlib.toml` is no TOML or holds an unknown or impossible value.
    """
    variables = os.environ if environment is None else environment
    home = Path(variables.get("DEVLIB_HOME") or user_data_path("devlib", appauthor=False))
    home = home.expanduser().absolute()
    values = _read_file(home / "devlib.toml")
    for name in ("database", "lake"):
        if given := variables.get(f"DEVLIB_{name.upper()}"):
            values[name] = given
    values["home"] = home
    values["account"] = account_name()
    values["principal"] = variables.get("DEVLIB_PRINCIPAL", "")
    if isinstance(values.get("language", ""), str):  # Anything else is for the model to refuse.
        values["language"] = _language(variables, values.get("language"))
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise _explain(error, home / "devlib.toml") from None


def environment_token() -> str:
    """Return the token for a service out of `DEVLIB_TOKEN`; empty for none."""
    return os.environ.get("DEVLIB_TOKEN", "").strip()


def account_name() -> str:
    """Return the name of the account that runs this process; its number where it has no name."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _read_file(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            message("The settings are no valid TOML: {error}", error=error),
            where=str(path),
            remedy=message("Correct the line, or move the file away to use the defaults."),
        ) from None
    except OSError as error:
        raise ConfigurationError(
            message("The settings cannot be read: {error}", error=error.strerror),
            where=str(path),
            remedy=message(
                "Make it a file that this account may read, or set DEVLIB_HOME to another folder."
            ),
        ) from None


def _language(variables: Mapping[str, str], from_file: object) -> Language:
    if wish := variables.get("DEVLIB_LANGUAGE"):
        return choose_language(wish)
    if isinstance(from_file, str):
        return choose_language(from_file)
    first = next((variables[n] for n in ("LC_ALL", "LC_MESSAGES", "LANG") if variables.get(n)), None)
    return choose_language(first)


def _explain(error: ValidationError, path: Path) -> ConfigurationError:
    # The input itself is left out: it may be a password.
    faults = "; ".join(
        f"{'.'.join(str(part) for part in fault['loc']) or 'devlib.toml'}: {fault['msg']}"
        for fault in error.errors(include_input=False, include_url=False)
    )
    return ConfigurationError(
        message("A setting is wrong: {faults}", faults=faults),
        where=str(path),
        remedy=message("Correct it in devlib.toml or in the environment variable of that name."),
    )
