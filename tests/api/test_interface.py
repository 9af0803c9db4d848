"""The whole interface under generated requests: no 5xx, no answer that the document does not have.

Some examples of each operation in `make test`; many more where DEVLIB_TORTURE_SECONDS is set.
"""

import os

import pytest
import schemathesis
from api_cases import CASES, OPEN, OWN_ONLY
from api_service import running
from hypothesis import HealthCheck, Phase, given, settings
from portal_home import Home
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

EXAMPLES = 60 if os.environ.get("DEVLIB_TORTURE_SECONDS") else 4
JUDGES = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
    ignored_auth,
]


@pytest.fixture(scope="module")
def interface(tmp_path_factory):
    """A running service with everything in it that requests can meet, and its document."""
    home = Home(tmp_path_factory.mktemp("interface") / "home")
    with running(home) as service:
        with service.client() as client:
            client.post("/v1/collections")
        # An identity that no generated request is likely to change.
        token = service.token(name="a-generated-request")
        document = schemathesis.openapi.from_url(f"{service.url}/openapi.json")
        yield document, {"Authorization": f"Bearer {token}"}
    home.services.close()


@pytest.mark.slow
@pytest.mark.parametrize(("verb", "path"), sorted(set(CASES) | set(OWN_ONLY) | OPEN))
def test_generated_requests_find_no_breach(interface, verb, path):
    """Whatever is sent, right or wrong: no 5xx, and an answer as the document describes it."""
    document, headers = interface

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(document[path][verb].as_strategy())
    def judge(case):
        case.call_and_validate(checks=JUDGES, headers=headers, timeout=60)

    judge()
