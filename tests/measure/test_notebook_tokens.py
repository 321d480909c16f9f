"""The token of a notebook: the code of its cells, in order, and nothing else of it."""

from __future__ import annotations

import json
import random
import textwrap
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from configmill.measure.notebook_source import notebook_token, read_notebook

CELLS = (
    "import configmill\n%matplotlib inline\nconfig = configmill.get_config_from_env() or {'x': 1}",
    "from helpers import fit\nmodel = fit(config['x'])  # the model",
    "%%time\nfor step in range(3):\n    model.train(step)",
    "files = !ls *.csv\n!echo {files[0]}\nlen(files)",
    'text = """\n# no comment\n"""\nmodel.plot(text);',
)


def code(source: str | list[str], **fields: Any) -> dict[str, Any]:
    """A code cell."""
    made = {"cell_type": "code", "metadata": {}, "execution_count": None, "outputs": [], "source": source}
    return {**made, **fields}


def notebook(*cells: str | dict[str, Any], **fields: Any) -> str:
    """A notebook's JSON; a cell is its code, or a dict."""
    made = [code(textwrap.dedent(cell)) if isinstance(cell, str) else cell for cell in cells]
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": made, **fields})


def token(*cells: str | dict[str, Any]) -> str:
    """The token of a notebook of these cells."""
    return notebook_token(notebook(*cells))


def one_of(*kinds: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """Up to three of the kinds."""
    return st.lists(st.one_of(*kinds), max_size=3)


metadata = st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2)
outputs = one_of(
    st.builds(lambda text: {"output_type": "stream", "name": "stdout", "text": text}, st.text()),
    st.builds(lambda data: {"output_type": "display_data", "data": {"text/html": data}, "metadata": {}}, st.text()),
)
others = one_of(
    st.builds(lambda source, kind: {"cell_type": kind, "metadata": {}, "source": source}, st.text(),
              st.sampled_from(["markdown", "raw"])),
    st.builds(code, st.sampled_from(["", "\n \n", "# a comment", "\n\n   # one\n# two\n", []])),
)  # fmt: skip


@settings(deadline=None)
@given(st.data())
def test_only_code_counts(data: st.DataObject) -> None:
    """Outputs, counts, ids, metadata, markdown, raw, empty and comment cells leave the token."""
    cells: list[dict[str, Any]] = []
    for number, source in enumerate(CELLS):
        cells += data.draw(others)
        kept = data.draw(st.sampled_from([source, source.splitlines(keepends=True), source.replace("\n", "\r\n")]))
        more = {"id": f"c{data.draw(st.integers(0, 9))}{number}", "metadata": data.draw(metadata)}
        cells.append(code(kept, execution_count=data.draw(st.integers(1, 99)), outputs=data.draw(outputs), **more))
    cells += data.draw(others)
    written = json.dumps(
        {"cells": cells, "metadata": data.draw(metadata), "nbformat_minor": 2, "nbformat": 4}, indent=data.draw(
            st.sampled_from([None, 1, 4])
        )
    )  # fmt: skip
    assert notebook_token(written) == notebook_token(written.encode()) == token(*CELLS)


@given(st.sampled_from(range(len(CELLS))), st.integers(0, 2**32))
def test_comments_and_layout_do_not_count(number: int, seed: int) -> None:
    """Comments and blank lines between the statements of a cell, magics among them, leave the token."""
    chance = random.Random(seed)
    lines = CELLS[number].split("\n")
    has_text = '"""' in CELLS[number]
    at = len(lines) if has_text else chance.randrange(CELLS[number].startswith("%%"), len(lines) + 1)
    changed = [*lines[:at], chance.choice(["", "   ", "# why", "        # how?"]), *lines[at:]]
    assert token(*CELLS[:number], "\n".join(changed), *CELLS[number + 1 :]) == token(*CELLS)
    spaced = "\n".join(line if has_text else f"{line}  " for line in lines)
    assert token(*CELLS[:number], spaced, *CELLS[number + 1 :]) == token(*CELLS)


@pytest.mark.filterwarnings("ignore:invalid")  # of the number that a changed letter may make
@given(st.sampled_from(range(len(CELLS))), st.integers(0, 2**32))
def test_every_change_of_code_counts(number: int, seed: int) -> None:
    """A letter or digit that is changed anywhere outside of a comment changes the token, in magics as well."""
    source = CELLS[number]
    end = source.find("  # ") if "  # " in source else len(source)
    places = [place for place in range(end) if source[place].isalnum()]
    place = random.Random(seed).choice(places)
    changed = source[:place] + ("7" if source[place] != "7" else "8") + source[place + 1 :]
    assert token(*CELLS[:number], changed, *CELLS[number + 1 :]) != token(*CELLS)


def test_the_order_of_the_cells_counts() -> None:
    """Cells that change places, a cell less, and a cell twice are changes."""
    tokens = {token(*cells) for cells in (CELLS, CELLS[::-1], CELLS[1:], (*CELLS, CELLS[-1]), ())}
    assert len(tokens) == 5


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("%time  fit(1)   ", "%time  fit(1)"),
        ("if a:\n    !ls\n", "if a:\n  !ls  \n\n"),
        ("x = %sql select 1", "x=%sql select 1"),
        ("%%time\nf( 1 )  # slow", "%%time\nf(1)"),
        ("%%capture out\n%%time\nf(1)", "%%capture out\n%%time\n\nf(1)"),
        ("!echo a \\\n  b", "!echo a   b"),
        ("model.fit?\nx = 1", "model.fit?\nx=1  # one?"),
        ("%%bash\n# list\nls  \n", "%%bash\nls"),
        ("f(1);", "f(1)"),
        ("await f( )", "await f()"),
        ("y <- fit(x) # R\n# more", "y <- fit(x) # R"),
        ("%%html\n<b id='a'>\n#x {}  \n</b>", "%%html\n<b id='a'>\n#x {}\n</b>"),
    ],
)
def test_magics_and_other_languages(one: str, other: str) -> None:
    """What isn't Python is compared line by line, what is Python beside or below it by what it does."""
    assert token(one) == token(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("%%bash\nls", "%%bash\nls -l"),
        ("%%bash\nls", "%%sh\nls"),
        ("%%html\n#x {}", "%%html\n"),
        ("%%writefile a.py\n# kept", "%%writefile a.py\n# other"),
        ("%%timeit -n 1\nf(1)", "%%timeit -n 2\nf(1)"),
        ("%load_ext a", "%load_ext b"),
        ("%time fit(1)", "%time fit(2)"),
        ("!ls", "%ls"),
        ("x = !ls", "y = !ls"),
        ("x = !ls", "x = %ls"),
        ("y <- 1", "y <- 2"),
        ("'shown'", "'displayed'"),
        ("if __name__ == '__main__':\n    f(1)", "if __name__ == '__main__':\n    f(2)"),
        ("a % b", "a\n%b"),
    ],
)
def test_what_means_something_else_differs(one: str, other: str) -> None:
    """A change of a magic, of its arguments, of what is below it, of a text that is shown, of the main part: all do."""
    assert token(one) != token(other)


def test_imports_of_cells_are_found() -> None:
    """Imports count wherever they stand, in cells with magics as well."""
    cells = (*CELLS, "%%time\nif x:\n    from . import near", "!ls\nimport deep.er")
    assert read_notebook(notebook(*cells)).imports == [
        (0, "configmill", ()), (0, "helpers", ("fit",)), (1, "", ("near",)), (0, "deep.er", ()),
    ]  # fmt: skip


def test_a_notebook_of_the_older_format() -> None:
    """A notebook of format 3, which keeps its cells in a worksheet, has the token of the same code in format 4."""
    cells = [{"cell_type": "code", "input": source.splitlines(keepends=True), "outputs": []} for source in CELLS]
    old = {"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": [{"cells": cells, "metadata": {}}]}
    assert notebook_token(json.dumps(old)) == token(*CELLS)


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "{}", '{"cells": 1}', '{"cells": [1]}', b"\xff", "[" * 100_000, '{"worksheets": []}'],
    ids=["empty", "cut off", "list", "no cells", "number", "numbers", "binary", "deep", "no sheet"],
)
def test_what_is_no_notebook_is_refused(content: str | bytes) -> None:
    """Anything but a notebook is a ValueError."""
    with pytest.raises(ValueError):
        notebook_token(content)
