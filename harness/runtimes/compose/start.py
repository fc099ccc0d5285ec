"""The first thing a container runs, `python -m harness.runtimes.compose.start ROLE`: it imports the rest, and quickly.

A boot has thirty such starts, and importing is most of each.
"""

import gc
import os
import sys

from harness.runtimes.lean_imports import lean_imports


def main() -> None:
    with lean_imports(with_user_code=False):
        import harness.roles.registry  # noqa: F401  what the roles are made of
        from harness.runtimes.compose.inside import run

        gc.freeze()
    code = run(sys.argv[1])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # what is left are threads of a node that has ended


if __name__ == "__main__":
    main()
