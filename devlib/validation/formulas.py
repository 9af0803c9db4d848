"""Formulas in CSV cells: how an export makes them harmless, and how an import undoes it.

A spreadsheet runs a cell that begins with `=`, `+`, `-`, `@`, tab or CR (OWASP, CWE-1236). An apostrophe in
front makes it text. Apostrophes that stand there already get one more, so that nothing is lost:
`restore_text(neutralise_text(text)) == text` for every text.
"""

import re

_DANGEROUS = re.compile(r"'*[=+\-@\t\r]")
_NEUTRALISED = re.compile(r"'+[=+\-@\t\r]")


def neutralise_text(text: str) -> str:
    r"""Return `text` as a CSV cell that no spreadsheet takes for a formula.

    Args:
        text: a value that a phone or a person wrote freely.

    Returns:
        The text with one apostrophe in front where it matches `^'*[=+\-@\t\r]`; else the text itself.
    """
    return "'" + text if _DANGEROUS.match(text) else text


def restore_text(text: str) -> str:
    r"""Return what stood in a cell before `neutralise_text`; other cells stay as they are.

    Args:
        text: a cell of a file.

    Returns:
        The text without one apostrophe where it matches `^'+[=+\-@\t\r]`; else the text itself.
    """
    return text[1:] if _NEUTRALISED.match(text) else text
