"""Files that every page needs: the style sheet and plotly, as the installed package carries it; nothing secret."""

import gzip
import hashlib
from importlib import resources

import tornado.web

from devlib.ui.server.pages import Guarded

_TYPES = {"devlib.css": "text/css; charset=utf-8", "plotly.min.js": "text/javascript; charset=utf-8"}
_DAY = 86_400


def asset(name: str) -> bytes:
    """Return the content of an asset."""
    if name == "plotly.min.js":
        return resources.files("plotly").joinpath("package_data", name).read_bytes()
    return resources.files("devlib.ui").joinpath("static", name).read_bytes()


class AssetHandler(Guarded, tornado.web.RequestHandler):  # type: ignore[misc]
    """Hands out an asset, packed once and kept."""

    packed: dict[str, tuple[bytes, str]] = {}  # noqa: RUF012 - shared by all requests on purpose

    def get(self, name: str) -> None:
        """Write the asset; a browser that has it already is told so."""
        if name not in _TYPES:
            raise tornado.web.HTTPError(404)
        if name not in self.packed:
            content = asset(name)
            mark = hashlib.sha256(content).hexdigest()[:32]
            self.packed[name] = gzip.compress(content, 6), f'"{mark}"'
        content, mark = self.packed[name]
        self.set_header("Etag", mark)
        self.set_header("Cache-Control", f"public, max-age={_DAY}" if name != "devlib.css" else "no-cache")
        if mark in self.request.headers.get("If-None-Match", ""):
            self.set_status(304)
            return
        self.set_header("Content-Type", _TYPES[name])
        self.set_header("Content-Encoding", "gzip")
        self.set_header("Vary", "Accept-Encoding")
        self.finish(content)
