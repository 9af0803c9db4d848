"""Clients of a service that is being killed: what each of them got, and whether that was an answer."""

import random
import threading
import time
from collections import Counter

import httpx

RETRYABLE = frozenset({408, 429, 500, 502, 503, 504})
"""What tells a client to try again, together with `Retry-After`."""

_PATIENCE = 120.0


class Client(threading.Thread):
    """Asks without pause until it is told to stop; an export that was promised is waited for.

    Args:
        addresses: of the workers.
        token: its own.
        customer: whose lines it sees.
        macs: of that customer's devices.
        lines: how many lines the report of the customer has.
        seed: of its choices.

    Attributes:
        outcomes: how often it got what.
        wrong: what was neither an answer nor a retryable error.
    """

    def __init__(
        self, addresses: list[str], token: str, customer: str, macs: list[str], lines: int, seed: int
    ) -> None:
        super().__init__(daemon=True)
        self.outcomes: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.stopping = threading.Event()
        self._addresses, self._customer, self._macs, self._lines = addresses, customer, macs, lines
        self._chance = random.Random(seed)
        self._client = httpx.Client(
            headers={"Authorization": f"Bearer {token}"}, timeout=_PATIENCE, trust_env=False
        )

    def run(self) -> None:
        """Ask until stopped."""
        with self._client:
            while not self.stopping.is_set():
                act = self._chance.choices((self._device, self._devices, self._export), (6, 2, 2))[0]
                act(self._chance.choice(self._addresses))
                self.stopping.wait(self._chance.uniform(0.05, 0.5))

    def _device(self, address: str) -> None:
        mac = self._chance.choice(self._macs)
        answer = self._ask("device", "GET", f"{address}/v1/devices/{mac}")
        if answer is not None and answer.status_code == 200 and mac not in answer.text:
            self.wrong.append(f"device: another one than {mac}")

    def _devices(self, address: str) -> None:
        self._ask("devices", "GET", f"{address}/v1/devices")

    def _export(self, address: str) -> None:
        order = {"customer": self._customer, "format": "csv"}
        answer = self._ask(
            "export", "POST", f"{address}/v1/exports", json=order, headers={"Prefer": "wait=2"}
        )
        if answer is None or answer.status_code in RETRYABLE:
            return
        if answer.status_code == 202:
            self._await(address, answer.headers["Location"])
        elif (lines := len(answer.content.splitlines())) != self._lines + 1:
            self.wrong.append(f"export: {lines} lines")

    def _await(self, address: str, place: str) -> None:
        """Ask for a promised export until it has ended; a worker that was killed goes on with it."""
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            answer = self._ask("promised export", "GET", f"{address}{place}", params={"wait": 5})
            if answer is None:
                end = time.monotonic() + _PATIENCE  # its worker was killed once more
            elif answer.status_code != 202:
                return  # the rows are there, or it says when to ask for another export
            time.sleep(0.3)
        self.wrong.append(f"promised export: nothing within {_PATIENCE} s of its worker's life")

    def _ask(self, what: str, verb: str, address: str, **given: object) -> httpx.Response | None:
        """Return an answer; `None` where the connection was lost. What is neither is noted as wrong."""
        try:
            answer = self._client.request(verb, address, **given)
        except httpx.TimeoutException:
            self.wrong.append(f"{what}: no answer within {_PATIENCE} s")
            return None
        except httpx.TransportError:
            self.outcomes[f"{what}: connection lost"] += 1
            return None
        self.outcomes[f"{what}: {answer.status_code}"] += 1
        retryable = answer.status_code in RETRYABLE and "Retry-After" in answer.headers
        if answer.status_code not in (200, 202) and not retryable:
            self.wrong.append(f"{what}: {answer.status_code} {answer.text[:500]}")
        return answer
