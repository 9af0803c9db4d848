"""Settings from file and environment."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from devlib.config import KamailioSettings, SimulatorSettings, load_settings
from devlib.errors import ConfigurationError


def settings(home, text="", **environment):
    """The settings of a home folder with this file."""
    if text:
        (home / "devlib.toml").write_text(text, encoding="utf-8")
    return load_settings({"DEVLIB_HOME": str(home), **environment})


def test_the_default_needs_nothing(tmp_path):
    """Without file and variables everything has a value, in the home folder."""
    found = settings(tmp_path)
    assert found.home == tmp_path
    assert found.database_url == f"sqlite:///{tmp_path}/inventory.db"
    assert found.lake_folder == tmp_path / "snapshots"
    assert found.device_types_file == tmp_path / "device-types.csv"
    assert found.networks == (SimulatorSettings(),)
    assert found.language == "en"
    assert (found.export.max_running, found.export.max_waiting, found.export.period) == (3, 10, 5.0)


def test_the_users_folder_without_a_home(monkeypatch, tmp_path):
    """Without DEVLIB_HOME the user's data folder is the home; the process's variables are read."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.delenv("DEVLIB_HOME", raising=False)
    assert load_settings().home == tmp_path / "devlib"


def test_a_tilde_is_the_users_home_also_for_the_file(monkeypatch, tmp_path):
    """`~` in DEVLIB_HOME is expanded before devlib.toml is looked for."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "devlib.toml").write_text('lake = "/lake"', encoding="utf-8")
    found = load_settings({"DEVLIB_HOME": "~"})
    assert found.home == tmp_path
    assert found.lake_folder == Path("/lake")


def test_the_file_is_read_and_variables_win(tmp_path):
    """Values of the file hold, unless a variable says otherwise."""
    text = """
        database = "postgresql://db/file"
        language = "fr"
        device_types = "/etc/types.csv"
        [export]
        max_running = 2
        [[networks]]
        kind = "kamailio"
        name = "montreal"
        rpc_url = "http://127.0.0.1:8090/RPC"
        rpc_password = "swordfish"
        [[networks]]
        kind = "simulator"
        customers = ["ACME"]
    """
    found = settings(tmp_path, text)
    assert (found.database_url, found.language) == ("postgresql://db/file", "fr")
    assert found.device_types_file == Path("/etc/types.csv")
    assert found.export.max_running == 2
    kamailio, simulator = found.networks
    assert isinstance(kamailio, KamailioSettings)
    assert "swordfish" not in repr(found)
    assert simulator.customers == ("ACME",)
    found = settings(tmp_path, DEVLIB_DATABASE="sqlite://", DEVLIB_LAKE="/l", DEVLIB_LANGUAGE="en")
    assert (found.database_url, found.lake_folder, found.language) == ("sqlite://", Path("/l"), "en")


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({"LANG": "fr_CA.UTF-8"}, "fr"),
        ({"LANG": "fr_FR", "LC_ALL": "C"}, "en"),
        ({"LANG": "C", "LC_MESSAGES": "fr"}, "fr"),
        ({"LANG": "fr_FR", "DEVLIB_LANGUAGE": "en"}, "en"),
        ({}, "en"),
    ],
)
def test_the_language_follows_the_locale(tmp_path, environment, language):
    """Without a wish the locale decides, in the order of POSIX."""
    assert settings(tmp_path, **environment).language == language


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("language = ", "no valid TOML"),
        ("colour = 1", "colour"),
        ("aged_retention = 0", "aged_retention"),
        ("language = 3", "language"),
        ("[export]\nmax_running = 0", "export.max_running"),
        ('[query]\nmemory = "lots"', "query.memory"),
        ('[[networks]]\nkind = "pigeon"', "networks.0"),
        ('[[networks]]\nkind = "kamailio"\nname = "x"\nrpc_url = "ftp://x"', "rpc_url"),
        ("[[networks]]\n[[networks]]", "networks"),
        ('[[networks]]\nkind = "simulator"\n[[networks]]\nkind = "simulator"', "same name"),
    ],
)
def test_a_wrong_file_says_what_is_wrong(tmp_path, text, said):
    """Every wrong value is named, with the file and what to do."""
    with pytest.raises(ConfigurationError) as caught:
        settings(tmp_path, text)
    assert said in str(caught.value)
    assert caught.value.where == str(tmp_path / "devlib.toml")
    assert caught.value.remedy is not None


def test_a_password_is_never_shown(tmp_path):
    """An error does not repeat what was typed, since it may be a password."""
    text = '[[networks]]\nkind = "kamailio"\nname = "x"\nrpc_url = "http://x"\nrpc_passwort = "hunter2"'
    with pytest.raises(ConfigurationError) as caught:
        settings(tmp_path, text)
    assert "hunter2" not in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path):
    """Bytes that are no UTF-8, and a folder in place of the file, are configuration errors."""
    (tmp_path / "devlib.toml").write_bytes(b"language = '\xe9'")
    with pytest.raises(ConfigurationError):
        settings(tmp_path)
    (tmp_path / "devlib.toml").unlink()
    (tmp_path / "devlib.toml").mkdir()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        settings(tmp_path)


def test_the_account_is_that_of_the_process(monkeypatch, tmp_path):
    """The account comes from the operating system, by name or by number; never from the file."""
    monkeypatch.setattr("os.geteuid", lambda: 4_000_000_000)
    assert settings(tmp_path, 'account = "root"').account == "4000000000"


def test_settings_do_not_change(tmp_path):
    """Settings are frozen."""
    with pytest.raises(ValidationError):
        settings(tmp_path).language = "fr"


@pytest.mark.parametrize(
    "url",
    ["http://", "http:///RPC", "http://host:99999/", "http://host:abc/", "http://h:0/", "http://a b/"],
)
def test_an_impossible_rpc_url_is_a_wrong_setting(tmp_path, url):
    """Host and port are checked when the settings are read, not when the network is asked."""
    with pytest.raises(ConfigurationError, match="rpc_url"):
        settings(tmp_path, f'[[networks]]\nkind = "kamailio"\nname = "n"\nrpc_url = "{url}"\n')


def test_a_lake_is_a_folder_or_a_bucket(tmp_path):
    """Other URLs are refused; a relative folder does not depend on where the process was started."""
    with pytest.raises(ConfigurationError, match="lake"):
        settings(tmp_path, DEVLIB_LAKE="gs://bucket/lake")
    assert settings(tmp_path, DEVLIB_LAKE="data/lake").lake_folder == tmp_path / "data" / "lake"
    assert settings(tmp_path).lake_bucket is None
    found = settings(tmp_path, '[bucket]\nregion = "eu-west-3"\n', DEVLIB_LAKE="s3://bucket/lake").lake_bucket
    assert (found.address, found.region) == ("s3://bucket/lake", "eu-west-3")
