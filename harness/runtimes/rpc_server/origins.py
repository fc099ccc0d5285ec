"""Which web pages may speak to a node: those of this machine, and browser extensions such as wallets."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

_LOCAL: Final = ("localhost", "127.0.0.1", "::1")
_EXTENSIONS: Final = ("chrome-extension", "moz-extension", "safari-web-extension")


def is_welcome(origin: bytes | None) -> bool:
    """Whether a request with this `Origin` header is answered; programs send none."""
    if origin is None or origin == b"null":  # a page opened from a file
        return True
    try:
        parts = urlsplit(origin.decode("ascii"))
        host = parts.hostname or ""
    except ValueError:
        return False
    return parts.scheme in _EXTENSIONS or host in _LOCAL or host.endswith(".localhost")


def cross_origin_headers(origin: bytes | None) -> bytes:
    """What lets the page's browser hand it the reply."""
    if origin is None:
        return b""
    return b"Access-Control-Allow-Origin: %b\r\nVary: Origin\r\n" % origin


PREFLIGHT: Final = (
    b"Access-Control-Allow-Methods: POST, GET, OPTIONS\r\nAccess-Control-Allow-Headers: *\r\n"
    b"Access-Control-Allow-Private-Network: true\r\nAccess-Control-Max-Age: 600\r\n"
)
