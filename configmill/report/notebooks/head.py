"""The facts at the head of a notebook's page, as text: what the page's template shows, and escapes.

    facts(head)        ->  [("started", "2026-01-31 23:59 UTC"), ("took", "2 min 03 s"), ...]
    config_lines(...)  ->  a line per key of the config, nested, those that vary marked

How it looks is the template's affair: assets/page.html.j2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from configmill.report.durations import duration
from configmill.report.notebooks.encoded_text import encoded_text


@dataclass(frozen=True)
class PageHead:
    """What a page says of the attempt that its notebook is of. Hrefs are relative to the page, and not quoted."""

    title: str
    status: str
    failure_class: str | None
    error: str | None
    where: str | None
    #: The cells that raised: {"cell": 3, "error": "ValueError: bad"}.
    cell_errors: Sequence[Mapping[str, Any]]
    started: str | None
    seconds: float | None
    attempt: int | None
    host: str | None
    #: The git commit of the command that ran it, and whether there were changes beside it.
    commit: str | None
    dirty: bool
    #: The encoded config, as config.json has it, and the dotted keys that vary within the campaign.
    config: Mapping[str, Any]
    varying: Sequence[str]
    index_href: str
    log_href: str | None
    #: plotly.min.js of the report; with None, a page that has figures holds it itself.
    plotly_src: str | None = None


@dataclass(frozen=True)
class ConfigLine:
    """A key of the config at its depth; `value` is None for one that has others below it."""

    depth: int
    key: str
    value: str | None
    varies: bool


def facts(head: PageHead) -> list[tuple[str, str]]:
    """What is known of the attempt, as pairs of a word and its value."""
    commit = None if head.commit is None else head.commit[:12]
    known = (
        ("started", _moment(head.started)),
        ("took", None if head.seconds is None else duration(head.seconds)),
        ("attempt", head.attempt),
        ("host", head.host),
        ("commit", f"{commit} + uncommitted changes" if commit and head.dirty else commit),
    )
    return [(name, str(value)) for name, value in known if value is not None]


def config_lines(config: Mapping[str, Any], varying: Sequence[str]) -> list[ConfigLine]:
    """The config in its own order and nesting."""
    return list(_lines(config, frozenset(varying), "", 0))


def varying_values(config: Mapping[str, Any], varying: Sequence[str]) -> list[tuple[str, str]]:
    """The dotted keys that vary, with this config's values; those that it lacks are left out."""
    values = []
    for key in varying:
        value: Any = config
        for part in key.split("."):
            value = value.get(part, _MISSING) if isinstance(value, Mapping) else _MISSING
        if value is not _MISSING:
            values.append((key, encoded_text(value)))
    return values


_MISSING = object()


def _lines(config: Mapping[str, Any], varying: frozenset[str], prefix: str, depth: int) -> Iterator[ConfigLine]:
    for key, value in config.items():
        dotted = f"{prefix}{key}"
        if isinstance(value, Mapping) and value and "__type__" not in value:
            yield ConfigLine(depth, key, None, False)
            yield from _lines(value, varying, f"{dotted}.", depth + 1)
        else:
            yield ConfigLine(depth, key, encoded_text(value), dotted in varying)


def _moment(text: str | None) -> str | None:
    """`2026-01-31T23:59:59.123Z` as it reads best."""
    if text is None or len(text) < 19 or not text.endswith("Z"):
        return text
    return f"{text[:10]} {text[11:19]} UTC"
