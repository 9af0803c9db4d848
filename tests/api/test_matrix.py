"""Every address, for every role, about another customer: refused, and nothing changed.

The matrix is made from the routes of the running application: an address that has no case here fails.
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest
from api_cases import CASES, FOREIGN, OPEN, OWN_ONLY, TICKET
from api_service import running
from portal_home import PROVIDER, Home

from devlib.api import create_application
from devlib.model import EVERYTHING, Role, Scope
from devlib.portal.routes import FILE_ACTS, ROUTES


class World:
    """One service for all cases, with everything of Clinic that an address can name."""

    def __init__(self, service):
        self.service = service
        self.clients = {
            role: service.client(role, Scope(PROVIDER, "Bakery"), f"{role.value} of Bakery") for role in Role
        }
        boss = service.client(Role.SERVICE_PROVIDER, EVERYTHING)
        boss.post("/v1/collections")
        service.token(Role.VIEWER, Scope(PROVIDER, "Clinic"), "clinician")
        made = boss.post("/v1/exports", json={"customer": "Clinic"}, headers={"Prefer": "wait=60"})
        self.boss = boss
        self.places = {
            "mac": FOREIGN, "port": "1", "provider": PROVIDER, "site": "Kiel", "ticket": TICKET,
            "principal": "clinician", "number": made.headers["location"].rsplit("/", 1)[1],
        }  # fmt: skip
        self.token = next(
            each["id"] for each in boss.get("/v1/tokens").json() if each["principal"] == "clinician"
        )

    def ask(self, who, verb, path, case):
        """Ask as somebody of Bakery for a thing of Clinic."""
        places = self.places | ({"number": self.token} if "tokens" in path else {})
        places |= {"number": "1"} if "restarts" in path else {}
        return self.clients[who].request(verb, path.format(**places), **case)

    def fleet(self):
        """Everything of Clinic that a case might have changed."""
        states = [self.boss.get(f"/v1/{name}").json() for name in ("devices", "sites", "customers", "tokens")]
        line = self.boss.get(f"/v1/devices/{FOREIGN}").json()
        return json.dumps([*states[:3], [each["revoked_at"] for each in states[3]], line])


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The world of the matrix."""
    home = Home(tmp_path_factory.mktemp("matrix") / "home")
    with running(home) as service:
        made = World(service)
        yield made
        for each in (*made.clients.values(), made.boss):
            each.close()
    home.services.close()


def addresses():
    """Every address of the application, as its document has it."""
    with TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        routes = create_application(home.services).routes
        home.services.close()
    return {(verb, route.path) for route in routes for verb in route.methods if verb != "HEAD"}


def test_every_address_has_a_case():
    """Each address of the application stands in one of the three tables above, and no other does."""
    found = addresses()
    assert found == set(CASES) | set(OWN_ONLY) | OPEN
    assert {(each.verb, each.path) for each in ROUTES} <= found
    assert set(FILE_ACTS.values()) <= {path for _, path in found}


@pytest.mark.parametrize("role", list(Role), ids=lambda role: role.value)
def test_nobody_reaches_another_customer(world, role):
    """Each address that names a thing of Clinic is 403 or 404 for each role of Bakery; nothing is changed."""
    before = world.fleet()
    wrong = {}
    for (verb, path), case in CASES.items():
        answer = world.ask(role, verb, path, case)
        if answer.status_code not in (403, 404) or "Kiel 7" in answer.text:
            wrong[f"{verb} {path}"] = (answer.status_code, answer.text[:200])
    assert wrong == {}
    assert world.fleet() == before


@pytest.mark.parametrize("role", list(Role), ids=lambda role: role.value)
def test_what_names_nobody_answers_about_ones_own(world, role):
    """Addresses without a name tell nothing of Clinic: neither its name nor its sites or tokens."""
    for (verb, path), case in OWN_ONLY.items():
        answer = world.ask(role, verb, path, case)
        assert answer.status_code in (200, 403), path
        for word in ("Clinic", "Kiel", "clinician", "clinic.example"):
            assert word not in answer.text, path


def test_nobody_without_a_token_reaches_anything(world):
    """Each address but the four of the watchers is 401 without a token."""
    with httpx.Client(base_url=world.service.url, trust_env=False) as nobody:
        for (verb, path), case in (CASES | OWN_ONLY).items():
            answer = nobody.request(verb, path.format(**world.places), **case)
            assert answer.status_code == 401, path
