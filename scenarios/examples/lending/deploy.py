"""What block 0 holds: two tokens, the pool on the harness's price feed, cash to lend, and money in every pocket."""

from __future__ import annotations

from harness.project import Deployer


def deploy(chain: Deployer) -> None:
    chain.deploy("Token", "100_000_000 ether", name="cash")
    chain.deploy("Token", "1_000_000 ether", name="weth")
    chain.deploy("LendingPool", "$cash", "$weth", "$price_feed", "ETH", name="pool")
    chain.send("cash", "approve", "$pool", 2**256 - 1)
    chain.send("pool", "supply", "1_000_000 ether")
    for name in chain.accounts:
        if name.startswith("borrower-"):
            chain.send("weth", "transfer", f"${name}", "100 ether")
        elif name.startswith("liquidator-"):
            chain.send("cash", "transfer", f"${name}", "1_000_000 ether")
