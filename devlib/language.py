"""Two languages for every text that a person sees: English in the code, French in `locale/`.

A `Message` keeps its English text and its values apart, so that one error can be shown in either
language by whichever door meets it. Texts are looked up with gettext; nothing is read at import time.
"""

import gettext
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Literal

Language = Literal["en", "fr"]

LANGUAGES: tuple[Language, ...] = ("en", "fr")

_LOCALE_FOLDER = Path(__file__).parent / "locale"


@dataclass(frozen=True, slots=True)
class Message:
    """A text for a person, with named values kept apart from it.

    Args:
        text: English text with `{name}` places; the key of the translation.
        values: what stands in those places; a value may itself be a `Message`.
    """

    text: str
    values: Mapping[str, object] = field(default_factory=dict)

    def in_language(self, language: Language) -> str:
        """Return the text in `language`, with its values filled in."""
        values = {
            name: value.in_language(language) if isinstance(value, Message) else value
            for name, value in self.values.items()
        }
        return translate(self.text, language).format_map(values)

    def __str__(self) -> str:
        return self.in_language("en")


def message(text: str, /, **values: object) -> Message:
    """Return a `Message`; the call marks `text` for the translators (Babel keyword `message`)."""
    return Message(text, values)


def translate(text: str, language: Language) -> str:
    """Return `text` (English, as written in the code) in `language`.

    Args:
        text: a text that Babel finds in a call of `message` or `translate`.
        language: `"en"` or `"fr"`.

    Returns:
        The translation; the English text itself where the catalogue has none.
    """
    if language == "en" or not text:
        return text
    return _translations(language).gettext(text)


def visible(text: str, limit: int = 80) -> str:
    r"""Return hostile text as it may be quoted in a message: bounded, with control characters made visible.

    Args:
        text: what a file, a phone or a person wrote.
        limit: most characters that are shown; an ellipsis stands for the rest.

    Returns:
        Printable text on one line; what cannot be printed is written as in Python (`\n`, `\u202e`).
    """
    shown = text[:limit]
    if not shown.isprintable():
        # A no-break space is an ordinary character of French text; it only is not "printable" to Python.
        shown = "".join(
            each if each.isprintable() or each in "\u00a0\u202f" else repr(each)[1:-1] for each in shown
        )
    return shown[:limit] + "…" if max(len(text), len(shown)) > limit else shown


def choose_language(wish: str | None) -> Language:
    """Return the language nearest to a locale name such as `fr_FR.UTF-8`; English where unknown."""
    return "fr" if wish is not None and wish.lower().startswith("fr") else "en"


@lru_cache(maxsize=4)
def _translations(language: Language) -> gettext.NullTranslations:
    # A source tree whose catalogue is not compiled yet still speaks, in English.
    return gettext.translation("devlib", localedir=_LOCALE_FOLDER, languages=[language], fallback=True)
