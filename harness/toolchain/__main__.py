"""`python -m harness.toolchain install` installs the pinned tools; `where` prints what is used."""

from __future__ import annotations

import sys

from harness.toolchain import ToolError, anvil_binary, install, node_modules

_USAGE = "usage: python -m harness.toolchain install | where"


def main(arguments: list[str]) -> int:
    """Exit code 0 done, 2 bad usage, 4 a tool failed, 130 interrupted."""
    try:
        match arguments:
            case ["install"]:
                print(install(lambda line: print(line, file=sys.stderr, flush=True)))
            case ["where"]:
                print(f"anvil         {anvil_binary()}\nnode_modules  {node_modules()}")
            case _:
                print(_USAGE, file=sys.stderr)
                return 2
    except ToolError as error:
        print(error, file=sys.stderr)
        return 4
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
