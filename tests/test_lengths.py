"""A module holds one idea and a function one step: neither is longer than can be read at once."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULE, FUNCTION = 300, 40
"""Lines."""


def functions(file):
    """The name and the length of each."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef) and node.end_lineno is not None:
            yield node.name, node.end_lineno - node.lineno + 1


@pytest.mark.parametrize("package", ["federation", "clients", "server", "scenarios"])
def test_no_module_and_no_function_is_too_long(package):
    files = {file.relative_to(ROOT).as_posix(): file for file in (ROOT / package).rglob("*.py")}
    assert [name for name, file in files.items() if len(file.read_text(encoding="utf-8").splitlines()) > MODULE] == []
    assert [(name, f) for name, file in files.items() for f, lines in functions(file) if lines > FUNCTION] == []
