"""Sections `[[networks]]` of `devlib.toml`: one for each network that can be asked."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

from devlib.config.secret import SecretText

Seconds = Annotated[float, Field(gt=0)]

_HOST_AND_PORT = r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.\-]+):[0-9]{1,5}$"


class Section(BaseModel):
    """A part of the settings: unknown names are refused, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SimulatorSettings(Section):
    """The simulated network: seeded, driven by the clock, for trials and for the demonstration."""

    kind: Literal["simulator"] = "simulator"
    name: str = "simulator"
    providers: tuple[str, ...] = Field(
        (), description="Service providers whose customers it serves; empty: all."
    )
    customers: tuple[str, ...] = Field((), description="Customers it serves; empty: all.")
    seed: int = 1
    registrars: int = Field(4, ge=1, description="Registrars behind it; each can be unreachable alone.")
    gaps: bool = Field(default=True, description="Whether they are unreachable now and then, for trials.")


class KamailioSettings(Section):
    """A Kamailio registrar, asked over JSON-RPC on HTTP."""

    kind: Literal["kamailio"]
    name: str
    providers: tuple[str, ...] = Field(
        (), description="Service providers whose customers it serves; empty: all."
    )
    customers: tuple[str, ...] = Field((), description="Customers it serves; empty: all.")
    rpc_url: str = Field(
        pattern=r"^https?://",
        description="Where `jsonrpcs` answers, for example http://127.0.0.1:8090/RPC",
    )
    rpc_user: str | None = None
    rpc_password: SecretText | None = None
    database: SecretText | None = Field(
        None, description="URL of the PostgreSQL in which its location table lies; a secret."
    )
    look_back: Seconds = Field(
        120.0, description="Seconds by which a row may appear later than its `last_modified` says."
    )
    events: str | None = Field(
        None, pattern=_HOST_AND_PORT, description="host:port of its event feed (module evapi)."
    )
    sip_proxy: str | None = Field(
        None,
        pattern=r"^(udp|tcp):(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.\-]+):[0-9]{1,5}$",
        description="Where NOTIFY and OPTIONS go, as udp:host:port; by default where the binding arrived.",
    )
    own_host: str = Field("127.0.0.1", description="Address of this machine from which SIP is sent.")
    notify_user: str | None = Field(None, description="User name where phones challenge a NOTIFY.")
    notify_password: SecretText | None = None
    restart_rate: float = Field(2.0, gt=0, le=1000, description="Most restarts per second.")
    probe_window: int = Field(128, ge=1, le=4096, description="OPTIONS under way at once.")
    probe_seconds: Seconds = Field(4.0, description="Time limit of one OPTIONS.")
    connections: int = Field(8, ge=1, le=64, description="Keep-alive connections.")
    seconds: Seconds = Field(5.0, description="Time limit of one request.")
    lookup_seconds: Seconds = Field(
        60.0, description="Time limit of one lookup of up to 2000 lines; the rest is `unknown`."
    )
    table: str = Field("location", pattern=r"^\w+$", description="Name of the usrloc table.")
    expiry_sweep: Seconds = Field(60.0, description="Its usrloc `timer_interval`.")

    @field_validator("rpc_url")
    @classmethod
    def _leads_somewhere(cls, url: str) -> str:
        # The address stays out of the text: it may hold a password.
        if any(not sign.isprintable() or sign.isspace() for sign in url):
            raise ValueError("a URL has no spaces")
        parts = urlsplit(url)
        if not parts.hostname:
            raise ValueError("a URL needs a host")
        if parts.port == 0:  # what is no number, or too large, raises by itself
            raise ValueError("Port out of range 1-65535")
        return url


NetworkSettings = Annotated[SimulatorSettings | KamailioSettings, Field(discriminator="kind")]
"""One network."""
