"""The fixture `kamailio`: a real registrar for the whole test session."""

import os
from collections.abc import Iterator

import pytest

from devlib.demo.registrar import Registrar, kamailio_program, running_registrar
from devlib.errors import ConfigurationError


@pytest.fixture(scope="session")
def kamailio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registrar]:
    """A Kamailio that sweeps each second and grants one second; skipped where it is missing, not in CI."""
    try:
        kamailio_program()
    except ConfigurationError as error:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must have Kamailio: {error}")
        pytest.skip(str(error))
    with running_registrar(tmp_path_factory.mktemp("kamailio"), answer_limit=0.8) as registrar:
        yield registrar
