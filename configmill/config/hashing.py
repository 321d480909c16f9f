"""SHA-256 of text, without loading OpenSSL.

It doesn't decide what is hashed: that is `encoding` (configs) and `functions` (code).

    sha256_hex("abc")[:8] == "ba7816bf"
"""

from __future__ import annotations

# hashlib loads OpenSSL, 2 ms of every experiment's cold start; the interpreter's own C module is there at once.
try:
    from _sha2 import sha256  # type: ignore[import-not-found,unused-ignore]  # Python 3.12+
except ImportError:
    try:
        from _sha256 import sha256  # type: ignore[import-not-found,unused-ignore]  # Python 3.11
    except ImportError:
        from hashlib import sha256


def sha256_hex(text: str) -> str:
    """Return the 64 hex digits of the SHA-256 of `text` (UTF-8; lone surrogates pass)."""
    return str(sha256(text.encode("utf-8", "surrogatepass")).hexdigest())
