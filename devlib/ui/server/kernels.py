"""Kernels of the dashboards: how many, what they know of the machine, and whose each one is."""

from typing import Any

from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from tornado.web import HTTPError

from devlib.config import KEY_VARIABLE, kernel_environment


class Kernels(AsyncMappingKernelManager):  # type: ignore[misc]
    """Starts kernels with a scrubbed environment, up to a number, and remembers to whom each belongs.

    Attributes:
        key: signs the sessions that pages hand to their kernels.
        limit: most kernels at the same time.
        secret_names: environment variables that the settings point to for passwords of networks.
    """

    key = b""
    limit = 40
    secret_names: frozenset[str] = frozenset()

    def __init__(self, **given: Any) -> None:  # noqa: ANN401 - traitlets' own arguments
        super().__init__(**given)
        self.owners: dict[str, str] = {}

    async def start_kernel(self, **given: Any) -> str:  # noqa: ANN401 - Voila's own arguments
        """Start one kernel.

        Raises:
            HTTPError: 503: there are as many as there may be.
        """
        if len(self) >= self.limit:
            raise HTTPError(503, reason="Too many open dashboards")
        # Whatever else the server's environment holds is none of a kernel's business.
        environment = kernel_environment(given.get("env") or {}, self.secret_names)
        given["env"] = environment | {KEY_VARIABLE: self.key.hex()}
        started: str = await super().start_kernel(**given)
        return started

    async def shutdown_kernel(self, kernel_id: str, *arguments: Any, **named: Any) -> None:  # noqa: ANN401
        """End one kernel; it belongs to nobody after."""
        self.owners.pop(kernel_id, None)
        await super().shutdown_kernel(kernel_id, *arguments, **named)

    def give(self, kernel_id: str, principal: str) -> None:
        """Let a kernel belong to `principal`; the first owner stays."""
        self.owners.setdefault(kernel_id, principal)

    def require_owner(self, kernel_id: str, principal: str) -> None:
        """Check that a kernel is somebody's.

        Raises:
            HTTPError: 404: it is not, whether it exists or not.
        """
        if self.owners.get(kernel_id) != principal:
            raise HTTPError(404)
