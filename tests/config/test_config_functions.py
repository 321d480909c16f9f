"""Digests of functions: what they compute counts, where they stand doesn't."""

from __future__ import annotations

import ast
import functools
import json
import os
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from configmill.config.encoding import encode
from configmill.config.functions import code_token
from configmill.measure.source import source_token


def made(source: str, name: str = "f", filename: str = "a.py", module: str = "m", **names: object) -> Callable:
    """Return the function of that name, compiled from source."""
    namespace: dict = {"__name__": module, **names}
    exec(compile(textwrap.dedent(source), filename, "exec"), namespace)
    return namespace[name]


def digest(function: Callable) -> str:
    """Return a function's digest."""
    return encode(function)["digest"]


def token(source: str, filename: str = "a.py") -> str:
    """Return the token of a module's code."""
    return code_token(compile(textwrap.dedent(source), filename, "exec"))


BASE = """
def f(x, k=2):
    total = 0
    for i in range(x):
        try:
            total += i * k if i > 3 else 100
        except (ValueError, KeyError):
            continue
        finally:
            total -= 1
    return total, "text", {"a", "b"}
"""

SAME = {
    "moved": "\n\n\nimport os\n" + BASE,
    "comments": BASE.replace("    total = 0\n", "    # why\n\n    total = 0  # what\n"),
    "docstring": BASE.replace("    total = 0\n", '    """Sum it."""\n    total = 0\n'),
    "a long docstring": BASE.replace("    total = 0\n", '    """Sum\n\n    it.\n    """\n    total = 0\n'),
    "docstring that is a constant": BASE.replace("    total = 0\n", '    "text"\n    total = 0\n'),
    "white space": BASE.replace("total += i * k if", "total  +=  (i\n             *  k)  if"),
    "annotations": BASE.replace("(x, k=2)", "(x: int, k: int = 2) -> object"),
}

DIFFERENT = {
    "a constant": BASE.replace("100", "101"),
    "the type of a constant": BASE.replace("100", "100.0"),
    "an operator": BASE.replace("i * k", "i + k"),
    "a comparison": BASE.replace("i > 3", "i >= 3"),
    "a default": BASE.replace("k=2", "k=3"),
    "the type of a default": BASE.replace("k=2", "k=True + 1.0"),
    "a keyword-only argument": BASE.replace("x, k=2", "x, *, k=2"),
    "an argument's name": BASE.replace("k=2", "z=2").replace("* k", "* z"),
    "a called name": BASE.replace("range(x)", "rangE(x)"),
    "a set constant": BASE.replace('{"a", "b"}', '{"a", "c"}'),
    "a handler": BASE.replace("KeyError", "OSError"),
    "the jump of a handler": BASE.replace("continue", "break"),
    "a generator": BASE.replace("return total,", "yield total,"),
}


@pytest.mark.parametrize("name", SAME)
def test_place_and_words_do_not_count(name: str) -> None:
    """Lines, file, comments, docstrings, white space and annotations leave the digest as it is."""
    assert digest(made(SAME[name], filename="/elsewhere/b.py")) == digest(made(BASE))
    assert SAME[name] != BASE


@pytest.mark.parametrize("name", DIFFERENT)
def test_what_it_computes_counts(name: str) -> None:
    """Each of these changes the digest."""
    assert digest(made(DIFFERENT[name])) != digest(made(BASE))


def test_every_change_has_a_digest_of_its_own() -> None:
    """No two of the changed functions are confused."""
    assert len({digest(made(source)) for source in DIFFERENT.values()}) == len(DIFFERENT)


def test_module_and_name_count() -> None:
    """The same code under another name, or in another module, is another function; __mp_main__ is __main__."""
    renamed = BASE.replace("def f", "def g")
    assert digest(made(renamed, "g")) != digest(made(BASE)) != digest(made(BASE, module="n"))
    assert digest(made(BASE, module="__mp_main__")) == digest(made(BASE, module="__main__"))
    assert encode(made(BASE, module="__mp_main__"))["module"] == "__main__"


def test_defaults_of_lambdas_differ() -> None:
    """The classic: one code, no closure, only the defaults differ."""
    one, other = [lambda x, k=k: x * k for k in (1, 2)]
    assert digest(one) != digest(other)
    first, second = [lambda x, *, k=k: x * k for k in (1, 2)]
    assert digest(first) != digest(second)


def test_closures_differ() -> None:
    """What a function closes over counts, by value and type; the same values give the same digest."""

    def build(value: object) -> Callable:
        return lambda x: (x, value)

    values = [1, 1.0, True, "1", [1], (1,), {"a": 1}, None, len]
    assert len({digest(build(value)) for value in values}) == len(values)
    assert all(digest(build(value)) == digest(build(value)) for value in values)
    assert digest(build(build(1))) == digest(build(build(1))) != digest(build(build(2)))


def test_recursive_closures_end() -> None:
    """A local function that calls itself, and two that call one another, have digests."""

    def build(step: int) -> tuple[Callable, Callable, Callable]:
        def fact(n: int) -> int:
            return 1 if n < 2 else n * fact(n - step)

        def even(n: int) -> bool:
            return n == 0 or odd(n - step)

        def odd(n: int) -> bool:
            return n != 0 and even(n - step)

        return fact, even, odd

    first, again, other = build(1), build(1), build(2)
    for one, same, different in zip(first, again, other, strict=True):
        assert digest(one) == digest(same) != digest(different)
    assert len(set(map(digest, first))) == 3


def test_empty_cells_and_mutual_lists() -> None:
    """A variable that isn't assigned yet is no error; a function in a list that it closes over ends."""

    def early() -> Callable:
        def read() -> object:
            return later

        token = digest(read)
        later = 1
        return token, digest(read)

    before, after = early()
    assert before != after

    def looped() -> Callable:
        table: list = []
        table.append(lambda: table)
        return table[0]

    assert digest(looped()) == digest(looped())


def test_super_and_wrapped_functions() -> None:
    """Methods with super() and decorated functions are digested through their cells."""

    class Base:
        def run(self) -> int:
            return 1

    class Derived(Base):
        def run(self) -> int:
            return super().run()

    def decorated(k: int) -> Callable:
        def inner() -> int:
            return k

        @functools.wraps(inner)
        def wrapper() -> int:
            return inner()

        return wrapper

    assert digest(Derived.run) != digest(Base.run)
    assert digest(decorated(1)) == digest(decorated(1)) != digest(decorated(2))


def test_functions_made_by_eval_work() -> None:
    """There is no source to read, as in a REPL."""
    one, same, other = (eval(source) for source in ("lambda x: x + 1", "lambda x: (x+1)", "lambda x: x + 2"))
    assert digest(one) == digest(same) != digest(other)


MODULE = """
import os

LIMIT = 5

class Model:
    size = 3

    def run(self, x):
        return [x + LIMIT for _ in range(self.size)]

def helper(*args, **kwargs):
    with open(args[0]) as file:
        return file.read()
"""

DOCUMENTED = '''"""A module.

With a docstring.
"""

import os  # needed

LIMIT = 5


class Model:
    """A model."""

    size = 3

    def run(self, x):
        """Run it."""
        # slowly
        return [x + LIMIT for _ in range(self.size)]


def helper(*args, **kwargs):
    """Help."""
    with open(args[0]) as file:
        return file.read()
'''


def test_module_tokens_ignore_words() -> None:
    """Docstrings of module, class and functions, comments, blank lines and the file don't count."""
    assert token(DOCUMENTED, "/b.py") == token(MODULE)


@pytest.mark.parametrize(
    "change", [("5", "6"), ("size = 3", "size = 4"), ("x + LIMIT", "x - LIMIT"), ("import os", "import io")]
)
def test_module_tokens_see_changes(change: tuple[str, str]) -> None:
    """Constants, class bodies, methods and imports count."""
    assert token(MODULE.replace(*change)) != token(MODULE)


def test_more_than_256_constants() -> None:
    """A docstring shifts indexes past one byte, which adds operations and moves jumps: it doesn't count still."""
    lines = "\n".join(f"    x.append({i}.5)" for i in range(255))
    loop = "while x:\n            if y:\n                break\n            x.append(1e9)"
    body = f"\n    try:\n        {loop}\n    finally:\n        y()\n"
    plain = f"def f(x, y):\n    pass\n{lines}{body}"
    documented = plain.replace("    pass\n", '    "doc"\n', 1)
    assert digest(made(plain)) == digest(made(documented))
    names = "\n".join(f"n{i} = {i}.5\nif n{i}: m{i} = n{i}" for i in range(300))
    assert token(names) == token('"doc"\n' + names)


def undocumented(source: str) -> str:
    """Return the source in another layout, without comments and docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and ast.get_docstring(
            node
        ):
            node.body = node.body[1:] or ([] if isinstance(node, ast.Module) else [ast.Pass()])
    return ast.unparse(tree)


@pytest.mark.parametrize(
    "name", ["argparse.py", "signal.py", "tracemalloc.py", "json/decoder.py", "textwrap.py", "zipfile.py"]
)
def test_source_tokens_of_real_modules_ignore_words_and_layout(name: str) -> None:
    """Modules of the standard library, rewrapped and without comments and docstrings, keep their tokens."""
    path = Path(os.__file__).parent / name
    if not path.exists():
        path = Path(os.__file__).parent / name.replace(".py", "/__init__.py")
    source = path.read_text()
    assert undocumented(source) != source
    assert source_token(undocumented(source)) == source_token(source, str(path))
    assert source_token(source + "\nx = 1\n") != source_token(source)


def test_code_tokens_of_real_functions_ignore_docstrings_and_places() -> None:
    """In one layout, code with and without docstrings has one token, from any file."""
    source = ast.unparse(ast.parse(Path(json.decoder.__file__).read_text()))
    assert '"""' in source and '"""' not in undocumented(source)
    assert token(undocumented(source), "/b.py") == token(source)


def test_source_tokens_of_what_is_no_python() -> None:
    """The error names the file."""
    with pytest.raises(SyntaxError, match=r"a\.py"):
        source_token("def f(:", "a.py")
