"""The token of a module: what it does counts, how it is written doesn't."""

from __future__ import annotations

import ast
import io
import random
import sysconfig
import tokenize
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configmill.measure.source import UNPARSABLE, read_source, source_token

STANDARD_LIBRARY = Path(sysconfig.get_path("stdlib"))
#: Real modules, with whatever people write.
NAMES = ("asyncio/locks.py", "contextlib.py", "fractions.py", "graphlib.py", "reprlib.py", "textwrap.py", "types.py")
modules = st.sampled_from([STANDARD_LIBRARY / name for name in NAMES])
seeds = st.integers(0, 2**32)
#: Each example parses a module of some hundred lines, which a busy machine may be slow at.
quickly = settings(deadline=None, max_examples=40)


def rewritten(source: str, chance: random.Random) -> str:
    """The source with comments at the ends of lines, and blank lines and comments between them."""
    lines = source.splitlines(keepends=True)
    ends = {token.end[0] for token in tokenize.generate_tokens(io.StringIO(source).readline) if token.type == 4}
    written = []
    for number, line in enumerate(lines, start=1):
        if number in ends and chance.random() < 0.3:
            line = f"{line.rstrip()}{' ' * chance.randrange(4)}  # {chance.random()}\n"
        written.append(line)
        if number in ends and chance.random() < 0.3:
            written.append(chance.choice(["\n", "   \n", "# why\n", "            # how\n", "\f\n"]))
    return "".join(written)


@quickly
@given(modules, seeds)
def test_layout_and_comments_do_not_count(path: Path, seed: int) -> None:
    """Comments, blank lines, parentheses, quotes and line breaks anywhere in a real module leave its token."""
    source = path.read_text()
    token = source_token(source)
    assert source_token(rewritten(source, random.Random(seed))) == token
    assert source_token(ast.unparse(ast.parse(source))) == token
    assert source_token(source.encode()) == source_token(source, "another name") == token


@quickly
@given(modules)
def test_docstrings_do_not_count(path: Path) -> None:
    """A module without its docstrings has the same token."""
    source = path.read_text()
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(
            node, clean=False
        ):
            node.body = node.body[1:] or [ast.Pass()]
    assert source_token(ast.unparse(tree)) == source_token(source)


def docstrings(tree: ast.AST) -> set[int]:
    """The ids of the constants that are docstrings."""
    holders = (node for node in ast.walk(tree) if isinstance(getattr(node, "body", None), list) and node.body)
    return {id(holder.body[0].value) for holder in holders if isinstance(holder.body[0], ast.Expr)}


def what_is_imported(path: Path) -> ast.Module:
    """The module without `if __name__ == "__main__":`, which doesn't count: no experiment runs it."""
    tree = ast.parse(path.read_text())
    tree.body = [node for node in tree.body if not ast.unparse(node).startswith("if __name__ == '__main__':")]
    return tree


@quickly
@given(modules, seeds)
def test_every_constant_counts(path: Path, seed: int) -> None:
    """Any constant of a real module that is changed changes its token."""
    tree = what_is_imported(path)
    left_out = docstrings(tree)
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in left_out]
    before = source_token(ast.unparse(tree))
    constant = random.Random(seed).choice(constants)
    constant.value = f"{constant.value}!" if isinstance(constant.value, str) else 271828
    assert source_token(ast.unparse(tree)) != before


@quickly
@given(modules, seeds)
def test_every_name_counts(path: Path, seed: int) -> None:
    """Any name of a real module that is changed changes its token: of variables, attributes, arguments, definitions."""
    tree = what_is_imported(path)
    before = source_token(ast.unparse(tree))
    kinds = (ast.Name, ast.Attribute, ast.arg, ast.FunctionDef, ast.ClassDef, ast.alias)
    node = random.Random(seed).choice([node for node in ast.walk(tree) if isinstance(node, kinds)])
    field = next(field for field in ("id", "attr", "arg", "name") if hasattr(node, field))
    setattr(node, field, f"{getattr(node, field)}_".replace("*_", "x"))
    assert source_token(ast.unparse(tree)) != before


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1", "x = 1.0"),
        ("x = 1", "x = True"),
        ("x = '1'", "x = b'1'"),
        ("f(a, b)", "f(b, a)"),
        ("f(a=1)", "f(*a)"),
        ("a - b", "b - a"),
        ("a < b < c", "a < b and b < c"),
        ("x[1:]", "x[:1]"),
        ("x[1:]", "x[::1]"),
        ("{**a}", "{None: a}"),
        ("def f(a, /): 0", "def f(a): 0"),
        ("def f(*, a, b=1): 0", "def f(*, a=1, b): 0"),
        ("x: (yield) = 5", "x: (yield 5)"),
        ("async def f(): 0", "def f(): 0"),
        ("for x in y: 0", "while x in y: 0"),
        ("if a: b\nelif c: d", "if a: b\nif c: d"),
        ("try: a\nexcept: b\nelse: c", "try: a\nexcept: b\nfinally: c"),
        ("global a, b", "global ab"),
        ("import a as b", "import b as a"),
        ("from . import a", "from .. import a"),
        ("f'{x!r}'", "f'{x!s}'"),
        ("f'{x:>3}'", "f'{x}:>3'"),
        ("x = 'a'; 'b'", "x = 'ab'"),
        ("match x:\n case {'a': 1, **r}: 0", "match x:\n case {'a': 1}: 0"),
        ("'a text that is the docstring'\nx = 1", "x = 'a text that is the docstring'"),
    ],
)
def test_what_means_something_else_differs(one: str, other: str) -> None:
    """Sources that look alike and do different things have different tokens."""
    assert source_token(one) != source_token(other)


MAIN_PART = """
def run(config):
    return {}

if __name__ == "__main__":
    from builders import build
    configmill.run(build(3), run, "out")
"""


def test_the_main_part_of_a_script_does_not_count() -> None:
    """What stands below `if __name__ == "__main__":` runs in no experiment: neither an edit nor an import there counts.

    What stands in its else branch, and a condition like it within a function, are code like any other.
    """
    source = read_source(MAIN_PART)
    assert source.token == source_token(MAIN_PART.replace("build(3)", "build(4)").replace("run, ", "train, "))
    assert source.token == source_token("def run(config): return {}")
    assert source.imports == []
    with_else = MAIN_PART + "else:\n    import deep\n"
    assert source_token(with_else) != source.token
    assert read_source(with_else).imports == [(0, "deep", ())]
    assert source_token(MAIN_PART.replace("==", "!=")) != source.token
    nested = f"def f():\n{MAIN_PART.replace(chr(10), chr(10) + '    ')}"
    assert source_token(nested) != source_token(nested.replace("build(3)", "build(4)"))


def test_imports_are_found_wherever_they_stand() -> None:
    """Import statements at any depth, and imports by a literal name, with their dots."""
    source = """
import a.b, c as d
from e.f import g, h as i
class C:
    def f(self):
        if self:
            from . import j
            from ..k import l
        importlib.import_module("m.n"); import_module(".o", __package__); __import__("p")
        importlib.import_module(f"q.{self}"); other("r")
"""
    assert read_source(source).imports == [
        (0, "a.b", ()), (0, "c", ()), (0, "e.f", ("g", "h")), (1, "", ("j",)), (2, "k", ("l",)),
        (0, "m.n", ()), (1, "o", ()), (0, "p", ()),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "source",
    ["def f(:", b"\xff\xfe", "x = '\0'", "(" * 500 + ")" * 500, "x = " + "-" * 100_000 + "1", b"# coding: none\n"],
    ids=["syntax", "encoding", "zero byte", "parentheses", "depth", "unknown coding"],
)
def test_what_is_no_python_raises_one_of_the_named(source: str | bytes) -> None:
    """What can't be parsed raises one of UNPARSABLE, and nothing else."""
    with pytest.raises(UNPARSABLE):
        source_token(source)


def test_a_long_chain_is_no_matter() -> None:
    """Sources as deep as generated ones, with hundreds of branches, have a token."""
    branches = "".join(f"elif x == {i}: y = {i}\n" for i in range(400))
    assert source_token(f"if x == 0: y = 0\n{branches}") != source_token(f"if x == 0: y = 1\n{branches}")
