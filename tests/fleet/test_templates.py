"""The template, the lists and the instructions that come with it."""

import io
from pathlib import Path

import pytest

from devlib.clock import FakeClock
from devlib.fleet import import_devices, write_templates
from devlib.fleet.templates import instructions
from devlib.language import LANGUAGES
from devlib.model import EVERYTHING, IMPORT_TEMPLATE, Catalogue, Scope
from devlib.storage import Inventory, open_inventory
from devlib.validation import Code

SAMPLES = Path(__file__).parents[2] / "data" / "templates"
# Codes of an assignment, which no bulk file can have.
_OF_LINES = {
    Code.USER_ID_MISSING, Code.USER_ID_INVALID, Code.LINE_PORT_MISSING, Code.LINE_PORT_INVALID,
    Code.PHONE_NUMBER_INVALID, Code.EXTENSION_INVALID, Code.PORT_INVALID,
}  # fmt: skip


def sample_fleet(folder: Path) -> Inventory:
    """Return the small fleet that the committed samples show."""
    inventory = open_inventory(f"sqlite:///{folder}/inventory.db", FakeClock())
    with inventory.write() as writer:
        writer.add_provider("Demo Telecom")
        writer.add_customer("Demo Telecom", "Boulangeries Martin")
        writer.add_site(EVERYTHING, "Boulangeries Martin", "Lyon Part-Dieu", ["Yealink T46S", "Cisco 8851"])
        writer.add_site(EVERYTHING, "Boulangeries Martin", "Chambéry", ["Yealink W60B", "Yealink T46S"])
    return inventory


def write_samples(folder: Path, scratch: Path, catalogue: Catalogue) -> None:
    """Write what is committed in data/templates."""
    with sample_fleet(scratch) as inventory:
        write_templates(inventory, catalogue, EVERYTHING, folder)
        write_templates(inventory, catalogue, EVERYTHING, scratch, language="fr")
    (folder / "devices_template.fr.csv").write_bytes((scratch / "devices_template.csv").read_bytes())


def test_committed_samples_are_what_the_code_writes(tmp_path: Path, catalogue: Catalogue) -> None:
    """The samples in data/templates are exactly what the code writes for a small fleet."""
    write_samples(tmp_path / "new", tmp_path / "scratch", catalogue)
    written = {path.name: path.read_bytes() for path in (tmp_path / "new").iterdir()}
    assert {path.name: path.read_bytes() for path in SAMPLES.iterdir()} == written


def test_only_the_scope_is_listed(
    inventory: Inventory, catalogue: Catalogue, scope: Scope, tmp_path: Path
) -> None:
    """Sites and types of other customers are in none of the files."""
    paths = write_templates(inventory, catalogue, scope, tmp_path / "new", language="fr")
    assert [path.name for path in paths] == [
        "devices_template.csv", "supported_devices.csv", "sites.csv",
        "instructions.en.md", "instructions.fr.md",
    ]  # fmt: skip
    assert "Kiel" not in "".join(path.read_text(encoding="utf-8") for path in paths)
    sites = paths[2].read_text(encoding="utf-8").splitlines()
    assert sites[:2] == ["Client,Site,Type d’appareil", "Bakery,Chambéry,Yealink T46S"]
    assert len(sites) == 1 + 4


@pytest.mark.parametrize("language", LANGUAGES)
def test_template_can_be_imported(
    inventory: Inventory, catalogue: Catalogue, scope: Scope, tmp_path: Path, language: str
) -> None:
    """The template with one row added is imported, in either language."""
    path = write_templates(inventory, catalogue, scope, tmp_path, language=language)[0]
    filled = path.read_bytes() + b"Lyon,Yealink T46S,001565000001,,\n"
    assert import_devices(inventory, catalogue, scope, "Bakery", io.BytesIO(filled)).added == 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_instructions_explain_everything(language: str) -> None:
    """Each code, each column and each outcome is explained in both languages."""
    text = instructions(language)
    for code in set(Code) - _OF_LINES:
        assert f"| {code.value} |" in text
    for column in IMPORT_TEMPLATE:
        assert f"| {column.header(language)} |" in text
