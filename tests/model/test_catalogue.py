"""The catalogue of device types, shipped and corrected."""

import pytest

from devlib.errors import ConfigurationError, NotFound
from devlib.model import Catalogue, Certainty, DeviceKind, load_catalogue, normal_form


@pytest.mark.parametrize(
    "name", ["Cisco 8851", "CP-8851", "DMS Cisco 8851", "8851-3PCC", "cisco ip phone 8851", "  8851 "]
)
def test_people_name_one_type_in_many_ways(name):
    """Vendor, prefix, case and joiners do not matter."""
    assert normal_form(name) == "8851"
    assert load_catalogue().get(name).name == "Cisco 8851"


@pytest.mark.parametrize(
    "name", ["Polycom VVX 450", "poly vvx-450", "VVX450", "SIP-T46U", "Yealink SIP-T46U"]
)
def test_vendors_have_several_names(name):
    """Polycom is Poly, and SIP- is a prefix."""
    assert load_catalogue().find(name) is not None


@pytest.mark.parametrize(
    "name", ["Yealink 8851", "Cisco T46U", "", "   ", "phone", "Acme 8851", "x" * 10_000]
)
def test_another_maker_means_another_type(name):
    """A name that says another maker, or nothing, means no type."""
    assert load_catalogue().find(name) is None
    with pytest.raises(NotFound) as caught:
        load_catalogue().get(name)
    assert len(str(caught.value)) < 300


def test_the_shipped_types_are_sound():
    """Every shipped type is found by its own name, has lines, a source and a distinct normal form."""
    catalogue = load_catalogue()
    assert len(catalogue.types) == 90
    assert [kind.name for kind in catalogue.types] == sorted(catalogue.lines)
    for kind in catalogue.types:
        assert catalogue.find(kind.name) is kind
        assert catalogue.find(kind.model) is kind
        assert kind.lines == catalogue.lines[kind.name] >= 1
        assert kind.source
    assert {kind.kind for kind in catalogue.types} == set(DeviceKind)


def test_an_administrator_adds_and_corrects(tmp_path):
    """The administrator's file wins over the shipped table; source and certainty have defaults."""
    path = tmp_path / "device-types.csv"
    path.write_bytes(
        "\ufeffmodel,vendor,kind,max_lines\r\nT46U,Yealink,desk,27\r\nZ1,Acme,ata,2\r\n".encode()
    )
    catalogue = load_catalogue(path)
    assert catalogue.get("T46U").lines == 27
    added = catalogue.get("acme z1")
    assert (added.kind, added.source, added.certainty) == (DeviceKind.ATA, "administrator", Certainty.HIGH)
    assert len(catalogue.types) == 91
    assert load_catalogue(tmp_path / "missing.csv").types == load_catalogue().types


@pytest.mark.parametrize(
    ("content", "said", "line"),
    [
        (b"model,vendor,kind\n", "max_lines", ""),
        (b"", "model, vendor, kind, max_lines", ""),
        (b"model,vendor,kind,max_lines\nT46U,Yealink,desk,16\n,Acme,desk,1\n", "model, vendor", ":3"),
        (b"model,vendor,kind,max_lines\nZ,Acme,desk,0\n", "0", ":2"),
        (b"model,vendor,kind,max_lines\nZ,Acme,desk,many\n", "many", ":2"),
        (b"model,vendor,kind,max_lines\nZ,Acme,toaster,1\n", "toaster", ":2"),
        (b"model,vendor,kind,max_lines\nZ,Acme\n", "''", ":2"),
        (b"model,vendor,kind,max_lines,source,confidence\nZ,Acme,desk,1,,maybe\n", "maybe", ":2"),
        (b"model\xe9\n", "cannot be read", ""),
    ],
)
def test_a_wrong_file_names_the_row(tmp_path, content, said, line):
    """A fault in the administrator's file says what, where and what to do."""
    path = tmp_path / "device-types.csv"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        load_catalogue(path)
    assert said in str(caught.value)
    assert caught.value.where == f"{path}{line}"
    assert caught.value.remedy is not None


def test_a_folder_is_no_file_of_types(tmp_path):
    """A path that cannot be read is a configuration error."""
    with pytest.raises(ConfigurationError):
        load_catalogue(tmp_path)


def test_later_types_replace_earlier_ones():
    """Of two types with one normal form the last counts."""
    first = load_catalogue().types[0]
    assert Catalogue([first, first]).types == (first,)
