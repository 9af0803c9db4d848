"""The server: Voila with its own handlers, so that nothing is reachable that is not named here."""

import os
import secrets
from pathlib import Path
from typing import Any, cast

import tornado.web
from jupyter_server.base.handlers import FileFindHandler
from jupyter_server.services.kernels.handlers import KernelHandler
from jupyter_server.utils import url_path_join
from tornado.ioloop import PeriodicCallback
from traitlets.config import Config
from voila.app import Voila
from voila.shutdown_kernel_handler import VoilaShutdownKernelHandler
from voila.static_file_handler import MultiStaticFileHandler, TemplateStaticFileHandler
from voila.tornado.kernel_websocket_handler import VoilaKernelWebsocketHandler

from devlib.clock import Clock
from devlib.config import BUCKET_VARIABLES, Settings
from devlib.errors import UsageError
from devlib.language import message
from devlib.portal import Services
from devlib.ui.server.assets import AssetHandler
from devlib.ui.server.exporting import ExportHandler, ExportJobs
from devlib.ui.server.first import First
from devlib.ui.server.identity import DashboardIdentity
from devlib.ui.server.indexing import Indexing
from devlib.ui.server.kernels import Kernels
from devlib.ui.server.pages import Guarded, PageHandler, PlainHandler, SignInHandler
from devlib.ui.server.tickets import Tickets, link_key
from devlib.ui.titles import DASHBOARDS

_KERNEL_ID = r"(?P<kernel_id>\w+-\w+-\w+-\w+-\w+)"
_LARGEST_MESSAGE = 32 << 20
_LOOK_MS = 2_000
_TEMPLATE = Path(__file__).parent / "template"
_EXTENSIONS = ["anywidget", "@jupyter-widgets/jupyterlab-manager", "@voila-dashboards/widgets-manager8"]


class Owned:
    """What handlers of one kernel share: they serve nobody but its owner."""

    def prepare(self) -> Any:  # noqa: ANN401 - may be awaitable
        """Check the owner after Jupyter has found out who asks."""
        return self._checked(super().prepare())  # type: ignore[misc]

    async def _checked(self, prepared: Any) -> None:  # noqa: ANN401
        if prepared is not None:
            await prepared
        handler = cast("Any", self)
        visitor = handler.current_user
        if visitor is None:
            raise tornado.web.HTTPError(403)
        kernel = handler.path_kwargs.get("kernel_id") or handler.path_args[0]
        cast("Kernels", handler.kernel_manager).require_owner(kernel, visitor.username)


class OwnedKernelHandler(Owned, Guarded, KernelHandler):  # type: ignore[misc]
    """Tells a page of its kernel; it can neither be replaced nor interrupted from here."""

    SUPPORTED_METHODS = ("GET", "DELETE")


class OwnedChannelsHandler(Owned, VoilaKernelWebsocketHandler):  # type: ignore[misc]
    """The channel between a page and its kernel; Voila drops everything but widget messages on it."""


class OwnedShutdownHandler(Owned, Guarded, VoilaShutdownKernelHandler):  # type: ignore[misc]
    """Ends the kernel of a page that is closed."""


class DashboardServer(Voila):  # type: ignore[misc]
    """Standalone Voila, never a Jupyter server extension: there a viewer's code would run.

    Args:
        services: of this home.
        clock: the time.
        first: the first numbers.
    """

    def set_up(self, services: Services, clock: Clock) -> None:
        """Take what the dashboards are served from."""
        self.services = services
        self.first = First(services, Tickets(link_key(services.settings.home), clock), clock)
        self.jobs = ExportJobs(services.settings, clock)
        self.indexing = Indexing(services, clock)

    def setup_template_dirs(self) -> None:
        """Put the suite's own template in front of Voila's."""
        super().setup_template_dirs()
        self.template_paths = [str(_TEMPLATE), *self.template_paths]  # type: ignore[has-type]

    def init_settings(self) -> dict[str, Any]:
        """Return tornado's settings, with the identity of the dashboards."""
        settings = self.services.settings
        Kernels.key = secrets.token_bytes(32)
        Kernels.limit = settings.dashboards.max_kernels
        Kernels.secret_names = _secret_names(settings)
        DashboardIdentity.settings_of_dashboards = settings.dashboards
        found: dict[str, Any] = super().init_settings()
        return found | {
            "devlib_port": self.port,
            "login_url": url_path_join(self.base_url, "sign-in-first"),
            "xsrf_cookies": True,
            "xsrf_cookie_kwargs": {"samesite": "Lax", "path": self.base_url},
            "compress_response": True,
            # What a page asks of these has a hash of its content in its name: a browser need not ask again.
            "static_immutable_cache": [
                url_path_join(self.server_url, "voila/labextensions", each, "static/") for each in _EXTENSIONS
            ],
            "websocket_max_message_size": _LARGEST_MESSAGE,
            "allow_remote_access": True,
        }

    def init_handlers(self) -> list[Any]:
        """Return everything that can be asked for; Voila's trees, contents and files are left out."""

        def at(path: str) -> str:
            return url_path_join(self.server_url, path)

        page = {
            "first": self.first,
            "template_paths": self.template_paths,
            "config": self.config,
            "voila_configuration": self.voila_configuration,
        }
        plain = {"first": self.first, "identity": self.identity_provider}
        return [
            (at(rf"/({'|'.join(DASHBOARDS)})"), PageHandler, page),
            (at("/sign-in"), SignInHandler, plain),
            (at(r"/assets/([\w.]+)"), AssetHandler),
            (at(r"/exports/api(?:/([0-9a-f]{32})(/file)?)?"), ExportHandler, {"jobs": self.jobs}),
            (at(f"/api/kernels/{_KERNEL_ID}"), OwnedKernelHandler),
            (at(f"/api/kernels/{_KERNEL_ID}/channels"), OwnedChannelsHandler),
            (at("/voila/api/shutdown/(.*)"), OwnedShutdownHandler),
            (at("/voila/templates/(.*)"), TemplateStaticFileHandler),
            (at("/voila/static/(.*)"), MultiStaticFileHandler, {"paths": self.static_paths}),
            (at("/voila/labextensions/(.*)"), FileFindHandler, {"path": self._public_scripts()}),
            (at("/(.*)"), PlainHandler, plain),
        ]

    def start(self) -> None:
        """Serve until somebody ends it; the index of large fleets is written beside it."""
        PeriodicCallback(self.indexing.look, _LOOK_MS).start()
        super().start()

    def stop(self) -> None:
        """End exports, the index and kernels."""
        self.jobs.close()
        self.indexing.close()
        super().stop()

    def _public_scripts(self) -> list[str]:
        return [path for path in self.labextensions_path if os.path.isdir(path)]  # noqa: PTH112


def configuration(settings: Settings, folder: Path, port: int, base: str) -> Config:
    """Return Voila's configuration for the dashboards in `folder`.

    Args:
        settings: of this home.
        folder: with one notebook for each dashboard.
        port: to listen on.
        base: path under which a proxy shows the dashboards, with slashes at both ends.

    Raises:
        UsageError: a notebook is missing.
    """
    for name in DASHBOARDS:
        if not (folder / f"{name}.ipynb").is_file():
            raise UsageError(
                message("There are no dashboards in {folder}.", folder=folder),
                remedy=message("Start it in the folder of the project, or name the folder with --folder."),
            )
    chosen = settings.dashboards
    found = Config()
    found.Voila = Config(
        ip="127.0.0.1", port=port, port_retries=0, open_browser=False, base_url=base, root_dir=str(folder),
        identity_provider_class=DashboardIdentity, log_level="ERROR", config_file_paths=[],
    )  # fmt: skip
    found.VoilaConfiguration = Config(
        template="lab", allow_template_override="NO", allow_theme_override="NO", strip_sources=True,
        show_tracebacks=False, file_allowlist=[], extension_allowlist=_EXTENSIONS,
        preheat_kernel=chosen.warm_kernels > 0, default_pool_size=chosen.warm_kernels,
        multi_kernel_manager_class=Kernels, http_header_envs=[],
    )  # fmt: skip
    # Pipes of this account's own instead of ports that every account of the machine could try.
    found.KernelManager = Config(transport="ipc")
    found.MappingKernelManager = Config(
        cull_idle_timeout=int(chosen.idle_seconds), cull_interval=30, cull_connected=False
    )
    return found


def _secret_names(settings: Settings) -> frozenset[str]:
    """Return the environment variables in which the settings of networks and bucket keep their passwords."""
    names = set(BUCKET_VARIABLES) if settings.lake_bucket else set()
    names |= {
        each.env for each in (settings.bucket.access_key, settings.bucket.secret_key) if each and each.env
    }
    for network in settings.networks:
        for name in type(network).model_fields:
            value = getattr(network, name)
            if (variable := getattr(value, "env", None)) is not None:
                names.add(variable)
    return frozenset(names)
