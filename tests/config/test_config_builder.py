"""Builder strings: parsed with ast, called in a real module; every mistake is quoted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from configmill.config import Config, ConfigList
from configmill.config.builder import build, parse_call, parse_dotted_name
from configmill.errors import UsageError

Write = Callable[[str, str], Path]

BUILDERS = """
    from configmill.config import grid

    DEFAULT = 7
    _hidden = 1

    def build(n=1, *args, **kwargs):
        return [{"n": n, "args": list(args), **kwargs, "i": i} for i in range(2)]

    def lazy(n):
        return grid({"n": n}, {"i": range(3)})

    def numbers():
        for i in range(3):
            yield {"i": i}

    class Family:
        class Inner:
            @staticmethod
            def build():
                return [{"inner": True}]

    def fails(x=0):
        return inner(x)

    def inner(x):
        raise ValueError(f"bad x:\\n  {x}")

    def fails_while_yielding():
        yield {"a": 1}
        raise KeyError("late")

    def leaves():
        raise SystemExit(3)

    def interrupted():
        raise KeyboardInterrupt

    def from_library():
        import json
        return json.loads("{")

    def wrong_axis():
        return grid({}, {"a": []})

    def one(): return {"a": 1}
    def none(): return None
    def empty(): return []
    def bad_entry(): return [{"a": 1}, 2]
    def quiet(): raise RuntimeError
"""


@pytest.fixture
def builders(project: Write) -> Path:
    """Write the user's builders as my_pkg.sub.mod and return the file."""
    project("my_pkg/__init__.py", "TOP = 1\ndef build(): return [{'top': 1}]\n")
    project("my_pkg/sub/__init__.py", "")
    return project("my_pkg/sub/mod.py", BUILDERS)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", {"n": 1, "args": []}),
        ("5", {"n": 5, "args": []}),
        ("'it\\'s', \"a; echo ) (\", k=\"'\"", {"n": "it's", "args": ["a; echo ) ("], "k": "'"}),
        ("n=DEFAULT * 2 + _hidden", {"n": 15, "args": []}),
        ("*[1, 2], **{'k': {'m': (3,)}}", {"n": 1, "args": [2], "k": {"m": (3,)}}),
        ("n=[x for x in range(DEFAULT)][-1]", {"n": 6, "args": []}),
        ("sum(one()['a'] for _ in range(3))", {"n": 3, "args": []}),
        ("n=-1.5e3", {"n": -1500.0, "args": []}),
        ("\n  n=None,\n", {"n": None, "args": []}),
    ],
)
def test_arguments_are_evaluated_in_the_builders_module(builders: Path, arguments: str, expected: dict) -> None:
    """Literals and expressions; quotes, brackets and line breaks are Python's business."""
    configs = build(f" my_pkg.sub.mod.build({arguments}) ")
    assert type(configs) is ConfigList and configs[1] == {**expected, "i": 1}


def test_lambdas_as_arguments(builders: Path) -> None:
    """They see the builder's module, and have the same digest in every build."""
    one, same, other = (build(f"my_pkg.sub.mod.build(n=lambda x: x * DEFAULT + {k})")[0] for k in (1, 1, 2))
    assert one.n(2) == 15 and one == same and one.digest() == same.digest() != other.digest()


def test_evaluation_leaves_the_module_as_it_was(builders: Path) -> None:
    """Nothing is added to the user's namespace."""
    build("my_pkg.sub.mod.build()")
    import my_pkg.sub.mod as mod

    before = set(vars(mod))
    build("my_pkg.sub.mod.build(n=3)")
    assert set(vars(mod)) == before and not [name for name in before if "configmill" in name]


def test_what_builders_may_be(builders: Path) -> None:
    """Lazy lists stay lazy; generators; nested attributes; functions of packages."""
    assert build("my_pkg.sub.mod.lazy(4)")[2] == {"n": 4, "i": 2}
    assert len(build("my_pkg.sub.mod.numbers()")) == 3
    assert build("my_pkg.sub.mod.Family.Inner.build()")[0] == {"inner": True}
    assert build("my_pkg.build()")[0] == {"top": 1}


def test_a_submodule_that_a_name_hides(project: Write) -> None:
    """The submodule wins; what it lacks is looked up in what the package calls by that name."""
    project("shop/__init__.py", "from shop.cart import cart\n")
    project(
        "shop/cart.py",
        """
        class cart:
            @staticmethod
            def only_here(): return [{"from": "class"}]
        def build(): return [{"from": "module"}]
        """,
    )
    assert build("shop.cart.build()")[0] == {"from": "module"}
    assert build("shop.cart.only_here()")[0] == {"from": "class"}


def test_namespace_packages(project: Write) -> None:
    """A folder without __init__.py is found too."""
    project("plain_folder/mod.py", "def build(): return [{'a': 1}]")
    assert build("plain_folder.mod.build()")[0] == Config({"a": 1})


@pytest.mark.parametrize(
    ("string", "message"),
    [
        ("a.b(", "isn't a Python expression: .*never closed"),
        ("a.b())", "isn't a Python expression"),
        ("a.b.build", r'names a function but doesn\'t call it. Add "\(\)": a.b.build\(\)'),
        ("build", r'doesn\'t call it. Add "\(\)": build\(\)'),
        ("build(3)", r"names no module. .*my_module.build\(3\)"),
        ("a.b()()", "more than one call"),
        ("a.b()[0]", "more than one call"),
        ("a.b().c()", "more than one call"),
        ("a.b() + a.c()", "more than one call"),
        ("a[0].b()", "more than one call"),
        ("[a.b()]", "more than one call"),
        ("'a.b()'", "more than one call"),
        ("lambda: a.b()", "more than one call"),
        ("a.b(); a.c()", "isn't a Python expression"),
        ("x = a.b()", "isn't a Python expression"),
        ("import os", "isn't a Python expression"),
        ("a.b(x=1, x=2)", "isn't a Python expression: keyword argument repeated"),
        ("a.b(\0)", "isn't a Python expression"),
        ("", "is no dotted name"),
        ("   ", "is no dotted name"),
        (None, "None is no dotted name"),
    ],
)
def test_what_is_no_builder_string(string: object, message: str) -> None:
    """Each is a usage error that quotes the string and says what to do."""
    with pytest.raises(UsageError, match=message) as caught:
        parse_call(string)
    assert str(string).strip() in str(caught.value)


def test_a_parsed_call() -> None:
    """Text and dotted name are there without importing anything."""
    call = parse_call("  no_such.module.build(x=1) ")
    assert (call.text, call.dotted_name) == ("no_such.module.build(x=1)", "no_such.module.build")
    assert repr(call) == "BuilderCall('no_such.module.build(x=1)')"


@pytest.mark.parametrize(
    ("string", "message"),
    [
        ("my_pkgg.sub.mod.build()", 'module that isn\'t there: "my_pkgg". Did you mean "my_pkg"?'),
        ("my_pkg.subb.mod.build()", 'module that isn\'t there: "my_pkg.subb". Did you mean "my_pkg.sub"?'),
        ("my_pkg.sub.mode.build()", 'module that isn\'t there: "my_pkg.sub.mode". Did you mean "my_pkg.sub.mod"?'),
        ("my_pkg.sub.mod.biuld()", '"my_pkg.sub.mod" has no "biuld". Did you mean "build"?'),
        ("my_pkg.sub.mod.Family.Iner.build()", '"Family" has no "Iner". Did you mean "Inner"?'),
        ("my_pkg.sub.mod.DEFAULT()", '"my_pkg.sub.mod.DEFAULT", which is a int and no function'),
        ("my_pkg.sub()", 'calls "my_pkg.sub", which is a module. Name a function of it'),
        ("qqqqqq.zzzzzz()", 'isn\'t there: "qqqqqq". Start from'),
        ("my_pkg.sub.mod.qqqqqq()", 'has no "qqqqqq". Define it in "my_pkg.sub.mod"'),
        ("my_pkg.sub.mod.one()", r"returned one config \(a dict\)"),
        ("my_pkg.sub.mod.none()", "returned None, not a list"),
        ("my_pkg.sub.mod.empty()", "returned an empty list"),
        ("my_pkg.sub.mod.bad_entry()", "returned a list whose entry 1 is 2"),
        ("my_pkg.sub.mod.build(await_)", "raised NameError: name 'await_' is not defined .*<config builder>"),
        ("my_pkg.sub.mod.build((yield))", "isn't a Python expression: 'yield' outside function"),
    ],
)
def test_mistakes_are_quoted_with_the_nearest_name(builders: Path, string: str, message: str) -> None:
    """The string is quoted; what is missing is named, with the nearest thing that exists."""
    with pytest.raises(UsageError, match=message.replace('"?', '"\\?')) as caught:
        build(string)
    assert f'config builder "{string}"' in str(caught.value)


def line_of(file: Path, text: str) -> int:
    """Return the number of the first line that holds the text."""
    return next(number for number, line in enumerate(file.read_text().splitlines(), 1) if text in line)


@pytest.mark.parametrize(
    ("call", "shown", "place", "function"),
    [
        ("fails(4)", "ValueError: bad x: 4", "raise ValueError", "inner"),
        ("fails_while_yielding()", "KeyError: 'late'", 'raise KeyError("late")', "fails_while_yielding"),
        ("leaves()", "SystemExit: 3", "raise SystemExit", "leaves"),
        ("from_library()", "JSONDecodeError: Expecting property name", "json.loads", "from_library"),
        ("wrong_axis()", 'UsageError: The axis "a" has no values', '{"a": []}', "wrong_axis"),
        ("quiet()", "raised RuntimeError ", "raise RuntimeError", "quiet"),
    ],
)
def test_a_builder_that_raises(builders: Path, call: str, shown: str, place: str, function: str) -> None:
    """One sentence: the string, the exception, the last frame in user code; the traceback is kept for who asks."""
    string = f"my_pkg.sub.mod.{call}"
    with pytest.raises(UsageError) as caught:
        build(string)
    message = str(caught.value)
    assert f'The config builder "{string}" raised ' in message and shown in message and "\n" not in message
    assert f"({builders}:{line_of(builders, place)} in {function})" in message
    traceback = caught.value.user_traceback
    assert traceback.startswith("Traceback") and place in traceback and "configmill/config/builder.py" not in traceback


def test_an_interrupt_passes(builders: Path) -> None:
    """Ctrl-C in a builder is Ctrl-C."""
    with pytest.raises(KeyboardInterrupt):
        build("my_pkg.sub.mod.interrupted()")


@pytest.mark.parametrize(
    ("source", "shown", "place"),
    [
        (
            "import nonexistent_dependency",
            "ModuleNotFoundError: No module named 'nonexistent_dependency'",
            ":1 in <module>",
        ),
        ("x = 1\nfrom json import nope", "ImportError: cannot import name 'nope'", ":2 in <module>"),
        ("import broken.more", "ModuleNotFoundError: No module named 'broken.more'", ":1 in <module>"),
        ("\n1 / 0", "ZeroDivisionError", ":2 in <module>"),
        ("def f(:\n", "SyntaxError: invalid syntax", ":1"),
        ("raise SystemExit('enough')", "SystemExit: enough", ":1 in <module>"),
    ],
)
def test_a_module_that_cannot_be_imported(project: Write, source: str, shown: str, place: str) -> None:
    """A fault inside the user's module is told from a module that isn't there, with its place."""
    file = project("broken.py", source)
    with pytest.raises(UsageError, match=r"can't be imported: ") as caught:
        build("broken.build()")
    assert shown in str(caught.value) and f"({file}{place})" in str(caught.value)
    assert caught.value.user_traceback and "importlib" not in caught.value.user_traceback


def test_the_dotted_name_of_an_experiment() -> None:
    """Named without a call; nothing is imported."""
    assert parse_dotted_name(" no_such.forecasting.run ") == "no_such.forecasting.run"


@pytest.mark.parametrize(
    ("string", "message"),
    [
        ("a.b.run()", 'The experiment "a.b.run()" is a call. Drop the parentheses: a.b.run'),
        ("a.b.run(x=1)", "Drop the parentheses: a.b.run"),
        ("run", 'The experiment "run" isn\'t the dotted name of a function. Name its module too'),
        ("a.b:run", "isn't a Python expression"),
        ("a.b[0]", "isn't the dotted name"),
        ("a.b()()", "isn't the dotted name"),
        ("a b", "isn't a Python expression"),
        ("", "is no dotted name"),
    ],
)
def test_what_is_no_experiment(string: str, message: str) -> None:
    """A call shows the right spelling; everything else is quoted."""
    with pytest.raises(UsageError) as caught:
        parse_dotted_name(string)
    assert message in str(caught.value) and string in str(caught.value)
