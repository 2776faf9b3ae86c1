"""docs/guarantees.md: nine promises, each held by tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
SECTIONS = re.split(r"^## ", (PROJECT / "docs" / "guarantees.md").read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def test_promises_are_the_nine_in_their_order():
    assert [section.partition(".")[0] for section in SECTIONS] == list("123456789")


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.partition("\n")[0])
def test_promise_names_tests_that_exist(section: str):
    named = NAMED.findall(section)
    assert named
    for file, name in named:
        tree = ast.parse((PROJECT / file).read_text(encoding="utf-8"))
        functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert name in functions, f"{file} has no {name}"
