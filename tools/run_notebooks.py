"""Runs notebooks in the home for practice and keeps their outputs: `python tools/run_notebooks.py NAME…`.

Each starts in a fresh copy of the home; without names all are run. What is kept is what nbval compares and
what a code-hosting site shows: texts, HTML, drawings; no widget, no metadata of the run.
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

from devlib.demo.practice import build_practice_home

ROOT = Path(__file__).parents[1]
FAILS_ON_PURPOSE = "nbval-raises-exception"
_KEPT = ("text/html", "image/svg+xml", "text/plain")


def main(names: Sequence[str]) -> int:
    """Run the notebooks of these names."""
    os.environ |= {"DEVLIB_LANGUAGE": "en", "COLUMNS": "80", "PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryDirectory() as folder:
        seed = Path(folder, "seed")
        build_practice_home(seed)
        for path in sorted((ROOT / "notebooks").glob("*/*.ipynb")):
            if not names or path.stem in names:
                home = Path(folder, path.stem)
                shutil.copytree(seed, home)
                os.environ["DEVLIB_HOME"] = str(home)
                run(path)
    return 0


def run(path: Path) -> None:
    """Run one notebook where it lies, and write it with its outputs.

    Raises:
        CellExecutionError: a cell failed, and not on purpose.
    """
    book = nbformat.read(path, as_version=4)
    for cell in book.cells:
        if FAILS_ON_PURPOSE in cell.metadata.get("tags", []):
            cell.metadata["tags"].append("raises-exception")  # the client's word for it
    NotebookClient(book, timeout=120, resources={"metadata": {"path": str(path.parent)}}).execute()
    for cell in book.cells:
        if cell.cell_type == "code":
            _keep(cell)
    book.metadata["language_info"] = {"name": "python"}
    book.metadata.pop("widgets", None)
    nbformat.write(book, path)


def _keep(cell: NotebookNode) -> None:
    tags = [each for each in cell.metadata.get("tags", []) if each != "raises-exception"]
    cell.metadata = {"tags": tags} if tags else {}
    for output in cell.outputs:
        if "data" in output:
            output["data"] = {kind: output["data"][kind] for kind in _KEPT if kind in output["data"]}
            output["metadata"] = {}
        if output["output_type"] == "error":
            output["traceback"] = [f"{output['ename']}: {output['evalue']}"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
