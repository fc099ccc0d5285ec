"""`python -m harness.solidity compile` fills the cache; `abi` writes the ABI file that is kept in the repository."""

from __future__ import annotations

import sys

from harness.solidity.abi_file import compact_abi
from harness.solidity.artifacts import write_atomically
from harness.solidity.compile import CompilationFailed, compile_contracts
from harness.toolchain import ToolError
from harness.venue.deployment import ABI_FILE

_USAGE = "usage: python -m harness.solidity compile | abi"


def main(arguments: list[str]) -> int:
    """Exit code 0 done, 1 the contracts do not compile, 2 bad usage, 4 a tool failed, 130 interrupted."""
    if arguments not in (["compile"], ["abi"]):
        print(_USAGE, file=sys.stderr)
        return 2
    try:
        artifacts = compile_contracts()
        for warning in artifacts.warnings:
            print(warning, file=sys.stderr)
        if arguments == ["abi"]:
            write_atomically(ABI_FILE, compact_abi(artifacts))
        for name, artifact in sorted(artifacts.contracts.items()):
            if artifact.runtime:
                print(f"{name:<16} {len(artifact.runtime):>6} bytes  {artifact.source}")
    except CompilationFailed as error:
        print(error, file=sys.stderr)
        return 1
    except ToolError as error:
        print(error, file=sys.stderr)
        return 4
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
