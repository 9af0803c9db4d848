"""Settings of the dashboards, and what their server hands to a kernel through its environment."""

import os
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass

from pydantic import Field, model_validator

from devlib.config.networks import Seconds, Section
from devlib.config.secret import Secret

KEY_VARIABLE = "DEVLIB_DASHBOARD_KEY"
_KERNEL_VARIABLE = "VOILA_KERNEL_ID"
_KEPT = frozenset(
    {
        "HOME", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LC_MESSAGES", "LOGNAME", "PATH", "PYTHONHOME",
        "PYTHONPATH", "TMPDIR", "TZ", "USER", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "SYSTEMROOT",
        "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS",
        "DEVLIB_HOME", "DEVLIB_DATABASE", "DEVLIB_LAKE", "DEVLIB_LANGUAGE", KEY_VARIABLE, _KERNEL_VARIABLE,
        "VOILA_BASE_URL", "VOILA_SERVER_URL", "VOILA_APP_PORT", "VOILA_PREHEAT",
    }
)  # fmt: skip


class DashboardSettings(Section):
    """How `devlib dashboards` serves."""

    user_header: str = Field(
        "", description="Header in which a proxy names the identity; empty: only links that sign in."
    )
    proxy_secret: Secret | None = Field(
        None, description="What the proxy sends in X-Devlib-Proxy, so that nobody else can name an identity."
    )
    warm_kernels: int = Field(1, ge=0, le=16, description="Kernels kept ready for each dashboard.")
    max_kernels: int = Field(40, ge=1, le=500, description="Most kernels at the same time, ready ones too.")
    idle_seconds: Seconds = Field(600.0, description="Seconds after which a kernel that nobody uses ends.")
    kernel_memory: str = Field(
        "300MB", pattern=r"^\d+ ?[KMG]B$", description="Memory of the database in one kernel."
    )
    index_from_lines: int = Field(
        20_000,
        ge=1,
        description="Lines from which the server keeps an index of them for filters and searches.",
    )
    exports_kept_seconds: Seconds = Field(900.0, description="Seconds for which a finished export is kept.")

    @model_validator(mode="after")
    def _header_needs_secret(self) -> "DashboardSettings":
        if self.user_header and self.proxy_secret is None:
            raise ValueError("user_header needs proxy_secret: else any program here could name an identity")
        return self


@dataclass(frozen=True, slots=True)
class KernelPass:
    """What a dashboard's kernel was given by its server.

    Args:
        key: signs the sessions that the server hands to pages.
        kernel: the kernel's own number.
    """

    key: bytes
    kernel: str


def take_kernel_pass(environment: MutableMapping[str, str] | None = None) -> KernelPass | None:
    """Return what the server handed to this kernel, and forget it; `None` outside of the dashboards."""
    variables = os.environ if environment is None else environment
    key = variables.pop(KEY_VARIABLE, "")
    if not key:
        return None
    return KernelPass(bytes.fromhex(key), variables.get(_KERNEL_VARIABLE, ""))


def own_environment() -> dict[str, str]:
    """Return a copy of this process's environment, for the processes that a server starts."""
    return dict(os.environ)


def kernel_environment(given: Mapping[str, str], secrets: frozenset[str] = frozenset()) -> dict[str, str]:
    """Return what a dashboard's kernel may know of an environment.

    Args:
        given: the server's environment with what Voila adds to it.
        secrets: names of variables that the settings of networks point to.
    """
    return {name: value for name, value in given.items() if name in _KEPT or name in secrets}
