"""The first thing a container runs, `python -m harness.runtimes.compose.start ROLE`: it imports the rest, and quickly.

A boot has thirty such starts, and importing is most of each. Collecting garbage finds none meanwhile; and eth_utils
exports a base class of pydantic's, a fifth of all there would be to import, for which no role has a use.
"""

import gc
import os
import sys
import types


def main() -> None:
    gc.disable()
    unused = types.ModuleType("eth_utils.pydantic")
    unused.CamelModel = object  # type: ignore[attr-defined]
    sys.modules[unused.__name__] = unused
    import harness.roles.registry  # noqa: F401  what the roles are made of
    from harness.runtimes.compose.inside import run

    gc.freeze()
    gc.enable()
    code = run(sys.argv[1])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # what is left are threads of a node that has ended


if __name__ == "__main__":
    main()
