"""The rules for names and descriptions: free text of a keeper, read from a file that may be hostile."""

import re
import unicodedata
from collections.abc import Mapping, Sequence

from devlib.language import message, visible
from devlib.validation.formulas import restore_text
from devlib.validation.header import column_title
from devlib.validation.problems import Code, Problem, problem

LONGEST: Mapping[str, int] = {"name": 80, "description": 255}  # Characters.
# Controls, surrogates, and the marks that turn the direction of the text around them (Trojan Source).
_FORBIDDEN = re.compile("[\\x00-\\x1f\\x7f-\\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_LAYOUT = str.maketrans("", "", "\t\r\n")


def clean_texts(cells: Sequence[str]) -> Sequence[str]:
    """Return free texts as they are kept: formula neutralisation undone, trimmed, Unicode NFC.

    Args:
        cells: one column of some rows, as written.
    """
    if not any(cells):
        return cells
    # Asked of all cells at once: does any need more than trimming? (Every part of an NFC text is NFC.)
    together = "".join(cells)
    if not unicodedata.is_normalized("NFC", together):
        cells = [unicodedata.normalize("NFC", cell) for cell in cells]
    if "'" in together:
        cells = list(map(restore_text, cells))
    return list(map(str.strip, cells))


def odd_places(field: str, texts: Sequence[str]) -> set[int]:
    """Return the places of the texts that `text_problem` must look at.

    Printable texts of a fair length need no look.

    Args:
        field: `name` or `description`.
        texts: texts as kept.
    """
    longest = LONGEST[field]
    if "".join(texts).isprintable() and max(map(len, texts), default=0) <= longest:
        return set()
    return {place for place, text in enumerate(texts) if len(text) > longest or not text.isprintable()}


def text_problem(field: str, text: str, row: int = 0) -> Problem | None:
    """Return what is wrong with a name or description.

    Args:
        field: `name` or `description`.
        text: the text as kept.
        row: number of its row.
    """
    if len(text) > LONGEST[field]:
        said = message(
            "{field}: {length} characters are too long; {longest} are allowed.",
            field=column_title(field),
            length=len(text),
            longest=LONGEST[field],
        )
        return problem(Code.TEXT_TOO_LONG, field, said, row)
    # A description may have several lines, a name may not.
    if _FORBIDDEN.search(text.translate(_LAYOUT) if field == "description" else text):
        said = message(
            "{field}: “{text}” holds control characters.", field=column_title(field), text=visible(text)
        )
        return problem(Code.TEXT_INVALID, field, said, row)
    return None
