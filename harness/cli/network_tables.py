"""How a network, its faults and its snapshots look on a terminal."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from harness.cli.exits import print_json
from harness.network.claim import Found
from harness.network.values import YOU, Description, HandFault, NetworkStatus, Snapshot
from harness.report.console import make_console

_STATE = {"running": "green", "ready": "green", "paused": "yellow", "booting": "yellow", "dead": "red", "failed": "red"}
FELT_LINES_MAX = 6
_NOT_A_LETTER = re.compile(r"[^A-Za-z0-9]+")


def ready(description: Description, *, took_s: float, json: bool, detached: bool) -> None:
    """What is shown when a network is up."""
    if json:
        print_json({**description.to_json(), "ready_s": round(took_s, 3)})
        return
    console = make_console(sys.stdout)
    endpoints(console, description)
    console.print()
    end = f"harness down {description.name}" if detached else "Ctrl-C"
    console.print(Text.assemble((f"{description.name} is up", "bold green"), f" after {took_s:.1f} s; {end} ends it"))
    sys.stdout.flush()


def endpoints(console: Console, description: Description) -> None:
    nodes = _Table("chain", "id", "node", "JSON-RPC", "WebSocket")
    for item in description.endpoints:
        nodes.add_row(item.chain.upper(), str(item.chain_id), item.role, item.http, item.ws)
    if description.endpoints:
        nodes.print(console)
        console.print()
    accounts = _Table("account", "address", "private key", "whose")
    for account in sorted(description.accounts, key=lambda each: (each.owner != YOU, each.index)):
        accounts.add_row(str(account.index), account.address, account.key, account.owner)
    accounts.print(console)
    console.print()
    contracts = _Table("contract", "address", "chain")
    for contract in description.contracts:
        contracts.add_row(contract.name, contract.address, contract.chain.upper())
    contracts.print(console)
    console.print()
    if description.fault_api is not None:
        console.print(Text(f"fault proxy's API  {description.fault_api}"))
    console.print(Text(f"files  {description.folder} (deployments.json, abi/, nodes/*.log)"))


def environment(description: Description) -> None:
    """Shell variables on stdout."""
    found = {"HARNESS_NETWORK": description.name, "HARNESS_FOLDER": description.folder}
    for chain in ("l1", "l2"):
        urls = [item for item in description.endpoints if item.chain == chain]
        if urls:
            found[f"HARNESS_{chain.upper()}_RPC_URL"] = urls[0].http
            found[f"HARNESS_{chain.upper()}_WS_URL"] = urls[0].ws
        found |= {f"HARNESS_RPC_{item.role.upper().replace('-', '_')}": item.http for item in urls}
    if "HARNESS_L2_RPC_URL" in found:
        found["ETH_RPC_URL"] = found["HARNESS_L2_RPC_URL"]   # what cast and others read
    yours = [account for account in description.accounts if account.owner == YOU]
    for number, account in enumerate(yours):
        found[f"HARNESS_ADDRESS_{number}"] = account.address
        found[f"HARNESS_KEY_{number}"] = account.key
    for contract in description.contracts:
        found[f"HARNESS_{_NOT_A_LETTER.sub('_', contract.key).upper()}"] = contract.address
    if description.fault_api is not None:
        found["HARNESS_FAULT_API"] = description.fault_api
    for key, value in found.items():
        print(f"export {key}={shlex.quote(value)}")


def several(networks: Sequence[Found], *, json: bool) -> None:
    """One line for each network."""
    if json:
        print_json({
            "networks": [{"name": each.name, "state": _state_of(each), **each.note} for each in networks]
        })
        return
    console = make_console(sys.stdout)
    if not networks:
        console.print("no network is up; harness up starts one")
        return
    table = _Table("network", "state", "runtime", "since", "owner")
    for each in networks:
        table.add_row(
            each.name, _state_of(each), str(each.note.get("runtime", "")), str(each.note.get("began", "")),
            f"process {each.note.get('pid', 'unknown')}",
        )  # fmt: skip
    table.print(console)
    for each in networks:
        if not each.is_live:
            console.print(Text(f"{each.name}: harness down {each.name} removes what it left"))


def _state_of(network: Found) -> str:
    if network.is_live:
        return "up"
    return f"dead: {network.note['ended']}" if "ended" in network.note else "dead: its owner was killed"


def status(status: NetworkStatus, *, json: bool) -> None:
    if json:
        print_json(status.to_json())
        return
    console = make_console(sys.stdout)
    console.print(Text.assemble(
        (status.name, "bold"), "  ", (status.state, _STATE.get(status.state, "")),
        f"  {status.runtime}, clock {_seconds(status.clock_s)}, L1 block {status.l1_block}, "
        f"L2 block {status.l2_block}, leader {status.leader or 'unknown'}, process {status.pid}",
    ))  # fmt: skip
    by_state: dict[str, list[str]] = {}
    for role in status.roles:
        by_state.setdefault(role.state, []).append(role.name)
    for state, names in by_state.items():
        console.print(Text.assemble((f"{state:>9}", _STATE[state]), f"  {', '.join(names)}"))
    for each in status.faults:
        fault(console, each)
    for problem in status.problems:
        console.print(Text.assemble(("  problem", "red"), f"  {problem}"))
    console.print(Text(f"   folder  {status.folder}"))


def fault(console: Console, fault: HandFault) -> None:
    """One fault with what was felt of it."""
    phase = {"on": "on", "healing": "healing", "healed": "healed", "not-healed": "NOT HEALED"}[fault.phase]
    until = "" if fault.until_s is None else f", for {fault.until_s - fault.began_s:g} s"
    stay = f"; harness heal {fault.id}" if fault.phase == "on" and fault.until_s is None else ""
    bit = "" if fault.bit is None else ", it bit" if fault.bit else ", it did not bite"
    console.print(Text.assemble((f"{fault.id:>9}", "bold"), f"  {phase}  {fault.text}{until}{bit}{stay}"))
    for felt in fault.felt[:FELT_LINES_MAX]:
        steps = [_ms(felt[key]) for key in ("before_ms", "during_ms", "after_ms") if key in felt]
        console.print(Text(f"           {felt['what']}  {' → '.join(steps)}"))
    if error := fault.evidence.get("error"):
        console.print(Text(f"           {error}"))


def faults(console: Console, found: Sequence[HandFault]) -> None:
    if not found:
        console.print("no fault")
    for each in found:
        fault(console, each)


def snapshots(console: Console, found: Sequence[Snapshot]) -> None:
    if not found:
        console.print("no snapshot is saved; harness snapshot save NAME saves one")
        return
    table = _Table("snapshot", "network", "taken", "clock", "L1 block", "L2 block", "MB")
    for each in found:
        table.add_row(
            each.name, each.network, each.taken, _seconds(each.clock_s), str(each.l1_block), str(each.l2_block),
            f"{each.bytes / 1e6:.1f}",
        )  # fmt: skip
    table.print(console)


class _Table:
    """Columns as wide as what is in them, whatever the terminal is: a key that is cut off is of no use."""

    def __init__(self, *columns: str) -> None:
        self._rows = [columns]

    def add_row(self, *cells: str) -> None:
        self._rows.append(cells)

    def print(self, console: Console) -> None:
        widths = [max(len(cell) for cell in column) for column in zip(*self._rows, strict=True)]
        for number, row in enumerate(self._rows):
            line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            console.print(Text(line, style="bold" if number == 0 else ""))


def _ms(value: float | None) -> str:
    return "no answer" if value is None else f"{value:.1f} ms"


def _seconds(value: float) -> str:
    minutes, seconds = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
