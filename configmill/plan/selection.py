"""Which configs of the list to work on: `--index`, `--indices 0,3,5-9`, `--start_from_index`."""

from __future__ import annotations

from configmill.errors import UsageError
from configmill.protocol.request import Selection


def parse_indices(text: str) -> tuple[tuple[int, int], ...]:
    """`"0,3,5-9"` as ranges (first, last). Raises UsageError that quotes the part that is none."""
    found = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise UsageError(f"--indices {text!r} has {part.strip()!r}, which is no index. Write it like 0,3,5-9.")
        low, high = int(first), int(last) if dash else int(first)
        if high < low:
            raise UsageError(f"--indices {text!r} has {part.strip()!r}, which runs backwards. Write {high}-{low}.")
        found.append((low, high))
    return tuple(found)


def select(selection: Selection, total: int) -> list[int]:
    """The indices that `selection` names in a list of `total` configs. Raises UsageError for one outside of it."""
    if selection.ranges is not None:
        for low, high in selection.ranges:
            if not 0 <= low <= high < total:
                raise _out_of_range(selection.text, high if 0 <= low < total else low, total)
        return sorted({index for low, high in selection.ranges for index in range(low, high + 1)})
    if selection.start is not None:
        if not 0 <= selection.start < total:
            raise _out_of_range(selection.text, selection.start, total)
        return list(range(selection.start, total))
    return list(range(total))


def _out_of_range(text: str, index: int, total: int) -> UsageError:
    return UsageError(
        f"{text}: there is no config {index}; the builder makes {total}. Give an index from 0 to {total - 1}."
    )
