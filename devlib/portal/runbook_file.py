"""A runbook as a file: a notebook with a cell of parameters, found by its name."""

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devlib.errors import NotFound, UsageError
from devlib.language import message, visible

Value = str | int | float | bool | list[str] | None

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,80}")
_SECRET = re.compile(r"pass|secret|token|credential|api_?key|private_?key", re.IGNORECASE)
_MOST = 2_000  # characters of one value
_WORDS: Mapping[str, bool] = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True, slots=True)
class Runbook:
    """A runbook that can be run.

    Args:
        name: of its file, without the ending.
        title: its heading.
        parameters: the first value of each parameter.
        path: its file.
    """

    name: str
    title: str
    parameters: Mapping[str, Value]
    path: Path


def runbook_folder(folder: Path | None) -> Path:
    """Return the folder of the runbooks: the one named, the working folder's, or the checkout's.

    Args:
        folder: that somebody named.

    Raises:
        NotFound: there is none.
    """
    own = Path(__file__).parents[2] / "notebooks" / "runbooks"
    choices = [folder] if folder is not None else [Path("notebooks/runbooks"), own]
    for each in choices:
        if any(each.glob("*.ipynb")):
            return each.resolve()
    raise NotFound(
        message("There are no runbooks in {folder}.", folder=choices[0]),
        remedy=message("Start it in the folder of the project, or name the folder with --folder."),
    )


def runbooks(folder: Path) -> list[Runbook]:
    """Return the runbooks of a folder, by name."""
    return [_read(path) for path in sorted(folder.glob("*.ipynb"))]


def runbook(folder: Path, name: str) -> Runbook:
    """Return one runbook.

    Args:
        folder: of the runbooks.
        name: without the ending.

    Raises:
        NotFound: there is no such runbook.
    """
    path = folder / f"{name}.ipynb"
    if not _NAME.fullmatch(name) or not path.is_file():
        raise NotFound(
            message("There is no runbook {name}.", name=visible(name)),
            remedy=message("`devlib runbook --list` names them."),
        )
    return _read(path)


def given_parameters(book: Runbook, texts: Mapping[str, str]) -> dict[str, Value]:
    """Return parameters as values of the kinds that the runbook's own have.

    Args:
        book: declares its parameters.
        texts: what was written, by name.

    Raises:
        UsageError: the runbook has no such parameter, the text does not fit, or the name is one of a secret.
    """
    return {name: _value(book, name, text) for name, text in texts.items()}


def with_parameters(book: Runbook, given: Mapping[str, Value]) -> Any:  # noqa: ANN401 - nbformat has no types
    """Return the notebook with a cell of given values behind its cell of parameters, as papermill does."""
    import nbformat  # noqa: PLC0415 - its import takes as long as that of everything else together

    notebook = nbformat.read(book.path, as_version=4)
    place = next(n for n, cell in enumerate(notebook.cells) if _holds_parameters(cell))
    source = "\n".join(f"{name} = {value!r}" for name, value in given.items())
    cell = nbformat.NotebookNode(
        cell_type="code", source=source, metadata={"tags": ["injected-parameters"]}, id="injected",
        outputs=[], execution_count=None,
    )  # fmt: skip
    if given:
        notebook.cells.insert(place + 1, cell)
    return notebook


def _read(path: Path) -> Runbook:
    import nbformat  # noqa: PLC0415

    try:
        notebook = nbformat.read(path, as_version=4)
        source = next(cell.source for cell in notebook.cells if _holds_parameters(cell))
        parameters = _assigned(source)
        title = notebook.cells[0].source.splitlines()[0].lstrip("# ")
    except (OSError, ValueError, SyntaxError, StopIteration, IndexError, AttributeError) as error:
        raise UsageError(
            message("This is no runbook: {error}", error=type(error).__name__),
            where=path.name,
            remedy=message("A runbook has a heading and a cell of plain values that is tagged `parameters`."),
        ) from None
    return Runbook(path.stem, title, parameters, path)


def _holds_parameters(cell: Any) -> bool:  # noqa: ANN401 - nbformat has no types
    return cell.cell_type == "code" and "parameters" in cell.metadata.get("tags", [])


def _assigned(source: str) -> dict[str, Value]:
    return {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }


def _value(book: Runbook, name: str, text: str) -> Value:
    if _SECRET.search(name):
        raise UsageError(
            message(
                "The parameter {name} looks like a secret; the notebook that is kept would show it.",
                name=name,
            ),
            remedy=message("Secrets belong into devlib.toml or the environment: see docs/settings.md."),
        )
    if name not in book.parameters:
        raise UsageError(
            message("{runbook} has no parameter {name}.", runbook=book.name, name=visible(name)),
            remedy=message("It has: {names}.", names=", ".join(book.parameters) or "–"),
        )
    try:
        return _converted(text[:_MOST], book.parameters[name])
    except (ValueError, KeyError):
        raise UsageError(
            message("{text} does not fit the parameter {name}.", text=visible(text), name=name),
            remedy=message("Write a value of the same kind as {value}.", value=repr(book.parameters[name])),
        ) from None


def _converted(text: str, like: Value) -> Value:
    if isinstance(like, bool):
        return _WORDS[text.strip().casefold()]
    if isinstance(like, int):
        return int(text)
    if isinstance(like, float):
        return float(text)
    if isinstance(like, list):
        return [each.strip() for each in text.split(",") if each.strip()]
    return text
