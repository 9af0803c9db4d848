"""What the service counts, in the text format of Prometheus; several workers count together."""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from devlib.config import shared_counts_folder

_SECONDS = (0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0)


class Metrics:
    """The counts of one service; each has a registry of its own.

    Args:
        levels: gives names, meanings and values of what is read only when somebody asks.
    """

    def __init__(self, levels: Callable[[], dict[str, tuple[str, float]]]) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "devlib_requests", "Answered requests.", ("method", "route", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "devlib_request_seconds", "Seconds until the answer was sent.", ("route",),
            buckets=_SECONDS, registry=self._registry,
        )  # fmt: skip
        self._levels = _Levels(levels)

    def count(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request; `route` is the pattern of its address."""
        # Any word can stand in the place of a method: strangers must not make up new series.
        known = method if method in _METHODS else "other"
        self._requests.labels(known, route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """Return everything in the text format."""
        whole = self._registry
        if shared_counts_folder():
            whole = CollectorRegistry()
            MultiProcessCollector(whole)  # type: ignore[no-untyped-call]  # what all workers counted
        return generate_latest(whole) + generate_latest(self._levels)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})


class _Levels(Collector):
    def __init__(self, read: Callable[[], dict[str, tuple[str, float]]]) -> None:
        self._read = read

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for name, (meaning, value) in self._read().items():
            yield GaugeMetricFamily(f"devlib_{name}", meaning, value)
