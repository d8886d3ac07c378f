"""Where the guide shows each parameter of an estimator, read from the guide itself, for the API pages."""

import ast
import doctest
import inspect
import re
from functools import cached_property
from pathlib import Path

import fastbp

DOCS = Path(__file__).parent.parent
ESTIMATORS = ("MLPClassifier", "MLPRegressor")
_PARSER = doctest.DocTestParser()


def sections(path):
    """The parts of a page under its headings: title, anchor, text."""
    title, lines, parts = None, [], []
    fenced = False
    for line in [*path.read_text().splitlines(), "# "]:
        fenced ^= line.startswith("```")
        if line.startswith("#") and not fenced:
            if title:
                parts.append((title, anchor(title), "\n".join(lines)))
            title, lines = line.lstrip("# "), []
        lines.append(line)
    return parts


def anchor(title):
    """As GitHub and MyST make it of a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def parameters_used(text, estimator):
    """The parameters that the doctests of a text give to an estimator of this name."""
    names = list(inspect.signature(getattr(fastbp, estimator)).parameters)
    used = set()
    for example in _PARSER.get_examples(text):
        for node in ast.walk(ast.parse(example.source)):
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) == estimator:
                used |= set(names[: len(node.args)]) | {keyword.arg for keyword in node.keywords}
    return used


def examples_of(estimator):
    """{parameter: (title, link)}: the section that names it and whose examples use it, for either estimator."""
    both = [estimator, *(other for other in ESTIMATORS if other != estimator)]
    found = {}
    for name in both:
        for path in sorted((DOCS / "guide").glob("*.md")):
            for title, slug, text in sections(path):
                for parameter in parameters_used(text, name):
                    if re.search(rf"(?<!\[)`{parameter}\b", text):  # a link is about something else
                        found.setdefault(parameter, (title, f"../guide/{path.name}#{slug}"))
    wanted = inspect.signature(getattr(fastbp, estimator)).parameters
    return {parameter: found[parameter] for parameter in wanted if parameter in found}


# ---- for the template of a class


def _members(fullname):
    """(name, whether fastbp wrote it) of each method and property."""
    documented = getattr(fastbp, fullname.rpartition(".")[2])
    for name in dir(documented):
        home = next(base for base in documented.__mro__ if name in vars(base))
        is_property = isinstance(vars(home)[name], (property, cached_property))
        if name == "__call__" or (not name.startswith("_") and (is_property or callable(getattr(documented, name)))):
            yield name, home.__module__.startswith("fastbp") and not name.endswith("_request")


def fastbp_members(fullname):
    return [name for name, own in _members(fullname) if own]


def sklearn_members(fullname):
    return ", ".join(f"``{name}``" for name, own in _members(fullname) if not own)


def options_of(fullname):
    """Write the table of an estimator's parameters and their examples; return its name for an include."""
    estimator = fullname.rpartition(".")[2]
    if estimator not in ESTIMATORS:
        return ""
    lines = ["| parameter | shown in |", "|---|---|"]
    lines += [f"| `{parameter}` | [{title}]({link}) |" for parameter, (title, link) in examples_of(estimator).items()]
    path = DOCS / "api" / f"{fullname}.options"
    path.write_text("\n".join(lines) + "\n")
    return path.name


def setup(app):
    app.connect(
        "config-inited",
        lambda app, config: config.autosummary_context.update(
            fastbp_members=fastbp_members, sklearn_members=sklearn_members, options_of=options_of
        ),
    )
    return {"parallel_read_safe": True}
