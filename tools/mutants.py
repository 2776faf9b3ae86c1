"""Mutation testing: each operator and number of a file is changed in turn, and its tests must notice.

    make mutants
    python tools/mutants.py paired_tests --only holm

One process imports what the tests need and forks for each mutant, so that one costs its tests and no more. Quick tests
come first; what they let live meets all of them. Exits with 1 where a mutant lives that EQUAL doesn't explain.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib
import multiprocessing
import os
import sys
import time
import types
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILES = {
    "folds": (
        "soundprobe.scoring.folds",
        ["tests/scoring/test_folds.py"],
        "not processes and not of_anything and not importing",
    ),
    "paired_tests": (
        "soundprobe.scoring.paired_tests",
        ["tests/scoring/test_paired_tests.py"],
        "not covers and not detectable and not equally and not binomial",
    ),
}
"""The file, its tests, and which of them are quick."""
EQUAL: dict[str, str] = {
    "paired_tests.detectable: freedom > 0 -> freedom >= 0": "two folds or recordings are the fewest with any error",
    "paired_tests.detectable: error > TIE -> error >= TIE": "an error of exactly TIE, a rounding, does not come up",
    "paired_tests.corrected_t_test: abs(mean) <= TIE -> abs(mean) < TIE": "a mean of exactly TIE does not come up",
    "paired_tests.corrected_t_test: spread <= TIE -> spread < TIE": "nor does a spread of exactly TIE",
    "paired_tests.sign_test: values > TIE -> values >= TIE": "nor a difference",
    "paired_tests.sign_test: values < -TIE -> values <= -TIE": "nor a difference",
    "paired_tests.paired: abs(mean.value) <= TIE -> abs(mean.value) < TIE": "nor a mean",
    "paired_tests.is_clear: self.p_holm < 1 - LEVEL -> self.p_holm <= 1 - LEVEL": "no p is 1 - LEVEL to the last bit",
    "folds.inner_split: 1 -> 2": "twice the counts everywhere: costs are compared with one another alone",
    "folds._deal: 1 -> 2 (3)": "-2 for -1: a part that there isn't, too",
    "folds._deal: 1.0 -> 2.0": "twice the weight everywhere",
    "folds._deal: 1 -> 2 (4)": "a class of one row has one recording, which is never dealt",
    "folds._deal: 0.0 -> 1.0": "one more for every part that may take it: ties are broken by the last bit",
    "folds.__call__: 1 -> 2": "a default of what is asked for, which nobody calls",
    "folds.run_in_turn: 1 -> 2": "one after the other, whatever it says",
}
"""Mutants that change nothing that can be seen, and why."""
SECONDS = 180
SWAPS: dict[type, type] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
    ast.And: ast.Or,
    ast.Or: ast.And,
}
UNSEEN = (ast.JoinedStr, ast.arg)
HIDDEN = ("annotation", "returns", "decorator_list")


def mutants(tree: ast.Module) -> Iterator[tuple[str, ast.Module]]:
    """Every change: "function: before -> after", and the file with it."""
    seen: Counter[str] = Counter()
    for path in places(tree, []):
        for mutate in (swapped, shifted, negated):
            changed = copy.deepcopy(tree)
            parent, field, index = changed, "", None
            for field, index in path:
                holder = parent
                parent = getattr(parent, field) if index is None else getattr(parent, field)[index]
            before = ast.unparse(parent)
            after = mutate(parent)
            if after is None:
                continue
            if index is None:
                setattr(holder, field, after)
            else:
                getattr(holder, field)[index] = after
            what = f"{function_of(tree, path)}: {before} -> {ast.unparse(after)}"
            seen[what] += 1
            number = f" ({seen[what]})" if seen[what] > 1 else ""
            yield what + number, ast.fix_missing_locations(changed)


Path_ = list[tuple[str, int | None]]


def places(node: ast.AST, path: Path_) -> Iterator[Path_]:
    """The way to each expression, from the outside in."""
    for field, value in ast.iter_fields(node):
        for index, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if not isinstance(child, ast.AST) or isinstance(child, UNSEEN) or field in HIDDEN:
                continue
            way = [*path, (field, index)]
            if isinstance(child, ast.expr):
                yield way
            yield from places(child, way)


def function_of(tree: ast.AST, path: Path_) -> str:
    """The innermost function or class that `path` goes through."""
    name, node = "module", tree
    for field, index in path:
        node = getattr(node, field) if index is None else getattr(node, field)[index]
        name = node.name if isinstance(node, ast.FunctionDef | ast.ClassDef) else name
    return name


def swapped(node: ast.AST) -> ast.AST | None:
    """Another operator: < for <=, + for -, and for or."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        node.ops = [SWAPS[type(node.ops[0])]()]
        return node
    if isinstance(node, ast.BinOp | ast.BoolOp) and type(node.op) in SWAPS and not is_text(node):
        node.op = SWAPS[type(node.op)]()
        return node
    return None


def is_text(node: ast.AST) -> bool:
    """Whether texts are joined."""
    texts = (one.value for one in ast.walk(node) if isinstance(one, ast.Constant))
    return any(isinstance(one, ast.JoinedStr) for one in ast.walk(node)) or any(isinstance(one, str) for one in texts)


def shifted(node: ast.AST) -> ast.AST | None:
    """Another number, or the other truth value."""
    if not isinstance(node, ast.Constant) or not isinstance(node.value, bool | int | float):
        return None
    return ast.Constant(not node.value if isinstance(node.value, bool) else node.value + 1)


def negated(node: ast.AST) -> ast.AST | None:
    """Without its sign or `not`, or a condition the other way round."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub | ast.Invert):
        return node.operand
    if isinstance(node, ast.IfExp):
        node.test = ast.UnaryOp(ast.Not(), node.test)
        return node
    return None


def tested(name: str, code: types.CodeType, tests: list[str], chosen: str) -> None:
    """In a process of its own: exits with pytest's status of the tests on the mutant."""
    import pytest

    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    package, _, last = name.rpartition(".")
    module = types.ModuleType(name)
    module.__package__ = package
    sys.modules[name] = module
    try:
        exec(code, module.__dict__)  # noqa: S102  (the file itself, but for one operator)
    except Exception:
        os._exit(1)
    setattr(importlib.import_module(package), last, module)
    options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", *(["-k", chosen] if chosen else [])]
    os._exit(int(pytest.main([*options, *tests])))


def lives(name: str, code: types.CodeType, tests: list[str], chosen: str) -> bool:
    process = multiprocessing.get_context("fork").Process(target=tested, args=(name, code, tests, chosen))
    process.start()
    process.join(SECONDS)
    if process.is_alive():  # it never ends, which a test would notice
        process.kill()
        process.join()
        return False
    return process.exitcode == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", help=f"of {' and '.join(FILES)}; all where none is named")
    parser.add_argument("--only", default="", help="mutants of functions that begin so")
    options = parser.parse_args()
    if unknown := set(options.files).difference(FILES):
        parser.error(f"{', '.join(unknown)}: give {' or '.join(FILES)}")
    os.chdir(ROOT)
    sys.path[:0] = [str(ROOT / "src"), str(ROOT / "tests")]
    for heavy in ("numpy", "scipy.stats", "sklearn.linear_model", "hypothesis", "pytest", "joblib", "torch"):
        importlib.import_module(heavy)
    unexplained = 0
    for short in options.files or FILES:
        name, tests, quick = FILES[short]
        path = ROOT / "src" / Path(*name.split(".")).with_suffix(".py")
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found = [(f"{short}.{what}", one) for what, one in mutants(tree) if what.startswith(options.only)]
        alive, began = [], time.monotonic()
        for what, changed in found:
            code = compile(changed, str(path), "exec")
            if lives(name, code, tests, quick) and lives(name, code, tests, ""):
                alive.append(what)
                print(f"{what}{f'  (equal: {EQUAL[what]})' if what in EQUAL else ''}", flush=True)
        living = sum(what not in EQUAL for what in alive)
        unexplained += living
        print(
            f"{short}: {len(found)} mutants, {len(found) - len(alive)} noticed, {len(alive) - living} equal, "
            f"{living} unexplained, {time.monotonic() - began:.0f} s",
            flush=True,
        )
    sys.exit(bool(unexplained))


if __name__ == "__main__":
    main()
