"""The server's memory in large pages, so that a fork copies hundreds of entries of its page table and not 50,000.

gather_in_large_pages()

Copying the page table is most of what forking a process with torch costs, and dropping it most of its end: with
190 MB in small pages a fork of a fork took three times as long. A fork that writes to a large page gets a small one of
its own. Where the system has no large pages, all stays as it is.
"""

from __future__ import annotations

import ctypes

TYPE_CHECKING = False  # what the server imports for itself makes each fork dearer
if TYPE_CHECKING:
    from collections.abc import Iterator

_LARGE = 1 << 21
#: <linux/mman.h>, from Linux 6.1 on; madvise(2).
_MADV_COLLAPSE = 25
#: For less it is not worth the time, 1 ms for each MB.
_WORTH_IT = 16 * _LARGE


def gather_in_large_pages() -> None:
    """Have the kernel put what this process has allocated into large pages, where there are such."""
    regions = [(start, end) for start, end in _allocated() if end - start >= _LARGE]
    if sum(end - start for start, end in regions) < _WORTH_IT:
        return
    madvise = ctypes.CDLL(None).madvise
    for start, end in regions:
        # What can't be done for one region is left undone: it is about speed alone.
        madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _MADV_COLLAPSE)


def _allocated() -> Iterator[tuple[int, int]]:
    """Start and end of what was allocated, cut down to whole large pages: the heap and what is mapped from no file."""
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
        for line in file:
            addresses, rights, _, _, inode, *name = line.split(maxsplit=5)
            if not rights.startswith("rw") or inode != "0" or name not in ([], ["[heap]\n"]):
                continue
            start, end = (int(address, 16) for address in addresses.split("-"))
            yield (start + _LARGE - 1) // _LARGE * _LARGE, end // _LARGE * _LARGE
