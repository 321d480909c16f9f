"""The name that a user most likely meant.

    nearest_name("optimizer.lr", ["optimizer.learning", "model.lr"]) == "model.lr"

It only finds the name; the sentence around it is its caller's.
"""

from __future__ import annotations

from collections.abc import Iterable


def nearest_name(name: str, candidates: Iterable[str]) -> str | None:
    """Return the candidate closest to `name`, None where none is close; an equal last part beats a similar spelling."""
    import difflib  # only a mistake pays for it

    known = list(candidates)
    last_part = name.rpartition(".")[2]
    same_last_part = [candidate for candidate in known if candidate.rpartition(".")[2] == last_part]
    close = difflib.get_close_matches(name, same_last_part or known, n=1, cutoff=0.0 if same_last_part else 0.6)
    if close:
        return close[0]
    by_last_part = {candidate.rpartition(".")[2]: candidate for candidate in known}
    close = difflib.get_close_matches(last_part, by_last_part, n=1)
    return by_last_part[close[0]] if close else None


def nearest_sentence(name: str, candidates: Iterable[str]) -> str:
    """Return the sentence that names the candidate closest to `name`, or else what there is."""
    known = list(candidates)
    close = nearest_name(name, known)
    if close is not None:
        return f'Did you mean "{close}"?'
    if not known:
        return "There are none."
    shown = ", ".join(f'"{candidate}"' for candidate in known[:8])
    return f"There are: {shown}{', ...' if len(known) > 8 else '.'}"
