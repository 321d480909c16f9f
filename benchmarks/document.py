"""What the measurements are written down in: Markdown, each suite a section, each target a verdict.

    text = compose([section], {"cores": "2"}, notes="")

Pure text: nothing here measures anything.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Verdict:
    """An upper bound that was set beforehand, and what was measured: None where nothing could be."""

    what: str
    target: float
    measured: float | None
    unit: str = ""
    nearest: str = ""  # what else comes nearest, and its figure

    @property
    def word(self) -> str:
        """Return `met`, or in bold what it is else."""
        if self.measured is None:
            return "**not measured**"
        return "met" if self.measured <= self.target else "**missed**"


@dataclass(frozen=True)
class Section:
    """What a suite found: its text in Markdown, the verdicts on its targets, and every figure, JSON-able."""

    name: str
    title: str
    text: str
    verdicts: Sequence[Verdict] = ()
    figures: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return the section as it stands in the document."""
        return f"## {self.title}\n\n{self.text.strip()}\n"


def compose(sections: Sequence[Section], machine: Mapping[str, str], notes: str = "") -> str:
    """Return the whole document: the machine, the targets, somebody's remarks, the sections."""
    parts = [
        "# Results\n\nWritten by `make bench`; change nothing here. Remarks go to [NOTES.md](NOTES.md), how it is"
        " measured and read is in [README.md](README.md).\n",
        markdown_table(["machine", ""], [[name, cell(value, limit=1000)] for name, value in machine.items()]),
    ]
    found = [verdict for section in sections for verdict in section.verdicts]
    if found:
        parts.append("## Targets\n\n" + verdict_table(found))
    if notes.strip():
        parts.append(notes.strip() + "\n")
    return "\n".join([*parts, *map(str, sections)])


def verdict_table(found: Iterable[Verdict]) -> str:
    """Return the targets and whether each was met."""
    rows = [
        [
            verdict.what,
            f"≤ {verdict.target:g} {verdict.unit}".strip(),
            "" if verdict.measured is None else figure(verdict.measured),
            verdict.word,
            verdict.nearest,
        ]
        for verdict in found
    ]
    return markdown_table(["what", "target", "measured", "", "nearest other tool with a process for each"], rows)


def markdown_table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; a cell's text must be one of `cell` where it may hold anything."""
    lines = [headers, ["---"] * len(headers), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def figure(number: float) -> str:
    """Return a number with as many digits as measurements on a shared machine bear: 0.52, 3.81, 27.4, 415."""
    decimals = 2 if abs(number) < 10 else 1 if abs(number) < 100 else 0
    return f"{number:.{decimals}f}"


def cell(text: str, limit: int = 200) -> str:
    """Return any text as a table's cell: on one line, no longer than is readable, and with no column of its own."""
    line = " ".join(text.split()).replace("|", "\\|")
    return line if len(line) <= limit else line[: limit - 1] + "…"
