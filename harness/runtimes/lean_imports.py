"""What the libraries under the roles import, and no role has a use for: left out where a start is to be quick."""

from __future__ import annotations

import contextlib
import gc
import ssl
import sys
import types
from collections.abc import Iterator


@contextlib.contextmanager
def lean_imports(*, with_user_code: bool) -> Iterator[None]:
    """While roles are imported, in a process that will be nothing but roles.

    aiohttp reads the machine's certificates when it is imported, and a network speaks TLS with nobody. eth_utils
    exports a base class of pydantic's, a fifth of all there would be to import; a user's own code might derive from
    it. And collecting garbage finds none.
    """
    gc.disable()
    make = ssl.create_default_context
    ssl.create_default_context = lambda *_, **__: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Its second context, which verifies nothing, reads them all the same: 70 ms, in each of thirty containers.
    ssl.SSLContext.set_default_verify_paths = lambda _: None  # type: ignore[assignment]
    if not with_user_code:
        unused = types.ModuleType("eth_utils.pydantic")
        unused.CamelModel = type("CamelModel", (), {})  # type: ignore[attr-defined]
        sys.modules.setdefault(unused.__name__, unused)
    try:
        yield
    finally:
        ssl.create_default_context = make
        del ssl.SSLContext.set_default_verify_paths   # the inherited one is back
        gc.enable()
