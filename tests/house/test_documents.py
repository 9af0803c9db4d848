"""Documentation that cannot rot, notebooks that stay thin, one list of dependencies, two languages."""

import ast
import importlib.util
import json
import re
import subprocess
import tomllib
from pathlib import Path
from string import Formatter

import pytest
import yaml

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted([*ROOT.glob("notebooks/**/*.ipynb"), *ROOT.glob("dashboards/*.ipynb")])
FORBIDDEN = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.For, ast.While, ast.Try, ast.Lambda)


def tool(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def tracked():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.splitlines()]


@pytest.mark.parametrize("page", ["commands.md", "tables.md"])
def test_generated_pages_are_current(page):
    """The pages about commands and tables are what the code gives: run tools/write_docs.py."""
    assert (ROOT / "docs" / page).read_text(encoding="utf-8") == tool("write_docs").PAGES[page]()


def test_links_lead_somewhere():
    """Every relative link in a Markdown file names a file of the repository."""
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", path.read_text(encoding="utf-8")):
            assert "://" in target or (path.parent / target).exists(), f"{path.name}: {target}"


def test_the_make_targets_of_the_readme_exist():
    """Every `make` word in README and CONTRIBUTING is a target with a help text."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for name in ("README.md", "CONTRIBUTING.md"):
        for target in re.findall(r"make ([a-z]+)", (ROOT / name).read_text(encoding="utf-8")):
            assert re.search(rf"^{target}:.*## ", makefile, re.MULTILINE), target


def test_the_commands_of_the_readme_exist():
    """Every `devlib` command in the README is one, and its flags are flags of it."""
    from devlib.cli import COMMANDS

    known = {each.name: {flag for a in each.arguments for flag in a.flags} for each in COMMANDS}
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for line in re.findall(r"^devlib (.*)$", text, re.MULTILINE):
        words = line.split("#")[0].split()
        assert words[0] in known, line
        assert {word for word in words if word.startswith("--")} <= known[words[0]], line


def test_the_floors_in_the_readme_are_those_of_the_contract():
    """The picture of the floors and the import contract name the same floors in the same order."""
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    layers = [re.findall(r"[a-z]+", layer) for layer in contract["contracts"][0]["layers"]]
    picture = re.search(r"## The floors\n\n```\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[1]
    shown = [re.findall(r"[a-z]+", re.split(r"\s{2,}", line)[0]) for line in picture.splitlines()]
    assert [line for line in shown if line] == layers


def test_conda_users_get_the_same_packages():
    """environment.yml names exactly the requirements of pyproject.toml."""
    listed = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    pip = next(each["pip"] for each in listed if isinstance(each, dict))
    wanted = project()["dependencies"] + project()["optional-dependencies"]["test"]
    assert sorted(each for each in pip if not each.startswith("--")) == sorted(wanted)
    assert "python=3.11" in listed


def test_constraints_pin_every_requirement_without_an_address():
    """constraints.txt has an exact version for each direct dependency, and no index address."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {re.split("==", line)[0].lower().replace("_", "-") for line in lines if not line.startswith("#")}
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.+!-]+", line) for line in lines if line[0] != "#")
    for requirement in project()["dependencies"] + project()["optional-dependencies"]["test"]:
        assert re.match(r"[A-Za-z0-9-]+", requirement)[0].lower() in pinned, requirement


def test_no_address_of_a_registry_and_no_path_of_one_machine():
    """No tracked text names a package index or somebody's home or temporary folder."""
    # Put together here, so that this file does not itself hold what it forbids.
    indexes = [rf"\b{name}[.](?:org|com)\b" for name in ("py" + "pi", "python" + "hosted", "npm" + "js")]
    folders = [f"/{name}/" for name in ("home", "root", "tmp")]
    wrong = re.compile("|".join(indexes + folders))
    for path in tracked():
        if (
            path.suffix in {".py", ".md", ".toml", ".txt", ".yml", ".cfg", ".sh", ".ipynb", ""}
            and path.exists()
        ):
            found = wrong.search(path.read_text(encoding="utf-8", errors="ignore"))
            assert not found, f"{path.relative_to(ROOT)}: {found[0]}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_thin(path):
    """A notebook calls devlib: no definitions, loops or exception handling; short cells; small outputs."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            source = "".join(cell["source"])
            assert not [n for n in ast.walk(ast.parse(source)) if isinstance(n, FORBIDDEN)], source
            assert len(source.splitlines()) <= 15
    assert path.stat().st_size < 300_000


def test_dashboards_are_one_title_and_one_cell():
    """A dashboard imports devlib.ui only, in one code cell of a few lines."""
    for path in ROOT.glob("dashboards/*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        assert [cell["cell_type"] for cell in cells] == ["markdown", "code"]
        source = "".join(cells[1]["source"])
        assert len(source.splitlines()) <= 6
        modules = [n.module for n in ast.walk(ast.parse(source)) if isinstance(n, ast.ImportFrom)]
        assert modules == ["devlib.ui"]


def test_every_text_is_in_both_languages():
    """Every text in the code has French, with the same places for values; the catalogue is current."""
    translations = tool("translations")
    catalogue = translations.updated()
    assert [each.id for each in catalogue if each.id and not each.string] == []
    for each in catalogue:
        if each.id:
            assert places(each.id) == places(each.string), each.id
    from gettext import GNUTranslations

    with translations.MO.open("rb") as file:
        compiled = GNUTranslations(file)
    assert [t for t in translations.texts() if compiled.gettext(t) != catalogue.get(t).string] == []
    stale = {each.id for each in translations.known() if each.id} - set(translations.texts())
    assert stale == set()


def test_no_text_hides_from_the_translators():
    """No call of message() or translate() stands inside an f-string, where Babel cannot see it."""
    for path in sorted((ROOT / "devlib").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                calls = [
                    n.func.id for n in ast.walk(node) if isinstance(n, ast.Call) and hasattr(n.func, "id")
                ]
                assert not {"message", "translate"} & set(calls), f"{path.name}:{node.lineno}"


def places(text):
    return sorted(name for _, name, _, _ in Formatter().parse(text) if name)
