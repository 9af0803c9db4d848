"""Collections that go on only when a test lets them."""

import threading

from devlib.collect import Collector


class Held:
    """A network whose collection goes on only when it is let; says when it has begun."""

    def __init__(self, home, monkeypatch):
        self.begun, self.let = threading.Event(), threading.Event()
        self.runs = 0
        collect = Collector.collect

        def held(collector, scope, progress=None):
            self.runs += 1
            self.begun.set()
            if progress:
                progress(1, 12)
            while not self.let.wait(0.02):
                if progress:
                    progress(2, 12)
            return collect(collector, scope, progress)

        monkeypatch.setattr("devlib.collect.Collector.collect", held)
