"""The pages: what they show is run, and every option, name and method is shown somewhere."""

import doctest
import importlib.util
import inspect
import re
from pathlib import Path

import pytest

import fastbp

DOCS = Path(__file__).parents[1] / "docs"
PAGES = [DOCS.parent / "README.md", *sorted(DOCS.glob("*.md")), *sorted((DOCS / "guide").glob("*.md"))]
PUBLIC = sorted(set(fastbp.__all__) - {"__version__"})


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


options = load(DOCS / "_ext" / "options.py")


def code_of(text):
    """The sources of a text's doctests."""
    return "\n".join(example.source for example in doctest.DocTestParser().get_examples(text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_of_python_is_a_doctest(page):
    """pytest runs what begins with a prompt; nothing else may call itself Python."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    for language, block in blocks:
        assert (">>> " in block) == (language == "python")
        assert language in ("python", "bash", "")
        if language == "python":  # no line before the first prompt, and an empty one after the last output
            assert block.startswith(">>> ")
            assert block.endswith("\n\n")


@pytest.mark.parametrize("name", options.ESTIMATORS)
def test_every_parameter_is_shown(name):
    """In a section of the guide that names it and whose examples use it: the API page links to it."""
    parameters = list(inspect.signature(getattr(fastbp, name)).parameters)
    assert list(options.examples_of(name)) == parameters


def test_the_sections_are_those_of_the_pages():
    for title, link in options.examples_of("MLPClassifier").values():
        page, _, anchor = link.partition("#")
        assert re.search(rf"^#+ {re.escape(title)}$", (DOCS / "api" / page).read_text(), re.MULTILINE)
        assert anchor == options.anchor(title)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_in_the_api(name):
    """As a line of a table, which makes the page api/fastbp.<name>.html, to which estimators link."""
    assert re.search(rf"^   {name}$", (DOCS / "api" / "index.md").read_text(), re.MULTILINE)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_has_an_example(name):
    public = getattr(fastbp, name)
    assert ">>> " in inspect.getdoc(public)
    if inspect.isclass(public):
        everywhere = "\n".join(code_of(page.read_text()) for page in PAGES)
        for member in options.fastbp_members(f"fastbp.{name}"):
            own = inspect.getdoc(inspect.getattr_static(public, member)) or ""
            assert ">>> " in own or f".{member}" in everywhere or member == "__call__", member
