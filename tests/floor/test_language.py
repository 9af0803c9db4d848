"""Two languages, and hostile text in messages."""

import pickle
import string

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from hypothesis import given
from hypothesis import strategies as st

from devlib import language as language_module
from devlib.language import LANGUAGES, Message, choose_language, message, translate, visible


@pytest.fixture
def french(tmp_path, monkeypatch):
    """A French catalogue of two texts."""
    catalog = Catalog(locale="fr")
    catalog.add("The row {row} is wrong.", "La ligne {row} est fausse.")
    catalog.add("Site", "Lieu")
    folder = tmp_path / "fr" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    with (folder / "devlib.mo").open("wb") as file:
        write_mo(file, catalog)
    monkeypatch.setattr(language_module, "_LOCALE_FOLDER", tmp_path)
    language_module._translations.cache_clear()
    yield
    language_module._translations.cache_clear()


@pytest.mark.usefixtures("french")
def test_a_message_speaks_both_languages():
    """The text is translated, then its values are filled in; a value may be a message itself."""
    text = message("The row {row} is wrong.", row=3)
    assert str(text) == text.in_language("en") == "The row 3 is wrong."
    assert text.in_language("fr") == "La ligne 3 est fausse."
    assert message("{what}!", what=message("Site")).in_language("fr") == "Lieu!"


@pytest.mark.usefixtures("french")
def test_what_is_not_translated_stays_english():
    """A text without translation, and the empty one, stay as they are."""
    assert translate("Unheard of", "fr") == "Unheard of"
    assert translate("", "fr") == ""
    assert translate("Site", "en") == "Site"


def test_without_a_catalogue_all_is_english(tmp_path, monkeypatch):
    """Where no compiled catalogue exists, French falls back to English and does not fail."""
    monkeypatch.setattr(language_module, "_LOCALE_FOLDER", tmp_path)
    language_module._translations.cache_clear()
    assert message("Site").in_language("fr") == "Site"
    language_module._translations.cache_clear()


@given(st.text(string.printable))
def test_values_are_never_read_as_places(text):
    """Braces and percent signs in a value are only text."""
    assert message("<{value}>", value=text).in_language("en") == f"<{text}>"


def test_messages_are_values():
    """Messages are equal by text and values, and cross process borders."""
    text = message("a {b}", b=1)
    assert text == Message("a {b}", {"b": 1})
    assert pickle.loads(pickle.dumps(text)) == text


@pytest.mark.parametrize(
    ("wish", "language"),
    [
        ("fr_CA.UTF-8", "fr"),
        ("FR", "fr"),
        ("en_US", "en"),
        ("C", "en"),
        ("de", "en"),
        ("", "en"),
        (None, "en"),
    ],
)
def test_the_nearest_language(wish, language):
    """Every French locale gives French, everything else English."""
    assert choose_language(wish) == language
    assert language in LANGUAGES


@given(st.text(), st.integers(1, 100))
def test_hostile_text_is_bounded_and_printable(text, limit):
    """Shown text is at most `limit` characters and an ellipsis, on one line, printable."""
    shown = visible(text, limit)
    assert len(shown) <= limit + 1
    assert shown.replace("\u00a0", "").replace("\u202f", "").isprintable()
    if text.isprintable() and len(text) <= limit:
        assert shown == text


def test_control_characters_are_shown_as_python_writes_them():
    """Controls and direction marks are visible; French blanks stay."""
    assert visible("a\x1b\u202e\n") == "a\\x1b\\u202e\\n"
    assert visible("12\u00a0h\u202f!") == "12\u00a0h\u202f!"
    assert visible("x" * 81) == "x" * 80 + "…"
    assert visible("\x1b" * 80) == ("\\x1b" * 20) + "…"
