"""pytest fixtures over a network: `network`, `web3`, `accounts`, `contracts`, `deploy`, `faults`, `wait_for`, `check`.

    @pytest.mark.network(sequencers=4, runtime="sim")
    def test_something(network, faults, web3): ...

Nothing of the harness is imported before a test asks for one of these fixtures. `harness/testing/` does the work.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from harness.checks.results import CheckResult
    from harness.testing.deploying import Deploys
    from harness.testing.faults import FaultsOf
    from harness.testing.network import NetworkUnderTest
    from harness.testing.people import Accounts, ContractsOf
    from harness.testing.pool import Pool

_NETWORK = pytest.StashKey[Any]()
_MARKER = (
    "network(*, runtime='sim', scope='function', sequencers=1, replicas=1, oracles=3, keepers=1, traders=0, market=…, "
    "products=…, project=…, file=…, seed=1, warm=0, set=[…]): the network that the test's fixtures are of"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("harness_contracts", "folder `deploy` takes contracts from: out, artifacts or Solidity sources")
    parser.addini("harness_runs", "where failed tests leave what their network recorded", default="runs/pytest")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture(scope="session")
def _harness_pool() -> Generator[Pool]:
    """The networks of this process."""
    from harness.testing.pool import Pool

    pool = Pool(os.environ.get("PYTEST_XDIST_WORKER", "main"))
    try:
        yield pool
    finally:
        pool.close()


@pytest.fixture
def network(request: pytest.FixtureRequest, _harness_pool: Pool) -> Generator[NetworkUnderTest]:
    """The network that the test's `network` marker describes; a small one in virtual time where there is none."""
    from harness.network.values import NetworkFailure, NetworkMisuse
    from harness.ports import PortError
    from harness.scenario.errors import ScenarioError
    from harness.testing.wanted import wanted_network
    from harness.toolchain.errors import ToolError

    words: dict[str, Any] = {}
    for marker in reversed(list(request.node.iter_markers("network"))):   # the nearest one last: it wins
        if marker.args:
            pytest.fail(f"@pytest.mark.network takes named words only, got {marker.args!r}", pytrace=False)
        words.update(marker.kwargs)
    try:
        wanted = wanted_network(words, folder=request.path.parent)
        found = _harness_pool.take(wanted, module=str(request.path))
    except (ScenarioError, NetworkMisuse, NetworkFailure, ToolError, PortError) as error:
        pytest.fail(f"@pytest.mark.network: {error}", pytrace=False)
    request.node.stash[_NETWORK] = found
    try:
        yield found
    finally:
        del request.node.stash[_NETWORK]
        _harness_pool.give_back(found)


@pytest.fixture
def web3(network: NetworkUnderTest, accounts: Accounts) -> Any:
    """A `web3.Web3` on a node that follows the quorum; the first of `accounts` sends where nobody else is named."""
    w3 = network.web3()
    w3.eth.default_account = accounts[0].address
    return w3


@pytest.fixture
def accounts(network: NetworkUnderTest) -> Accounts:
    """Funded accounts: `accounts[0]`, and by name `accounts["alice"]`, `accounts["keeper-0"]`."""
    from harness.testing.people import Accounts

    return Accounts(network)


@pytest.fixture
def contracts(network: NetworkUnderTest, request: pytest.FixtureRequest) -> ContractsOf:
    """What is deployed, as web3 contracts: `contracts["vault"]`."""
    from harness.testing.people import ContractsOf

    return ContractsOf(network, lambda: request.getfixturevalue("web3"))


@pytest.fixture
def deploy(network: NetworkUnderTest, request: pytest.FixtureRequest) -> Deploys:
    """`deploy("Vault", token, 30)` creates one of your contracts by a real transaction."""
    from harness.testing.deploying import Deploys

    shown = str(request.config.getini("harness_contracts"))
    folder = request.config.rootpath / shown if shown else None
    return Deploys(network, lambda: request.getfixturevalue("web3"), folder, shown)


@pytest.fixture
def faults(network: NetworkUnderTest) -> FaultsOf:
    """Faults that end with their `with`: `with faults.partition(["leader"], ["rest"]):`."""
    from harness.testing.faults import FaultsOf

    return FaultsOf(network)


@pytest.fixture
def wait_for(network: NetworkUnderTest) -> Callable[..., Any]:
    """`wait_for("Liquidated", within=30)` or `wait_for(lambda: …, within=5)`; fails when the time is over."""
    from functools import partial

    from harness.testing.waiting import wait_for as wait

    return partial(wait, network)


@pytest.fixture
def check(network: NetworkUnderTest) -> Callable[..., list[CheckResult]]:
    """`check("C1", "LS1")`: these properties held since genesis, by the model; `check()`: none was violated."""

    def demand_all(*names: str) -> list[CheckResult]:
        __tracebackhide__ = True
        from harness.testing.judging import demand

        return demand(network, names)

    return demand_all


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that failed keeps its network's history, and says how to see it again."""
    report = yield
    network = item.stash.get(_NETWORK, None)
    if network is not None and report.failed and report.when == "call":
        from harness.testing.pool import keep_evidence

        out = Path(item.config.rootpath) / str(item.config.getini("harness_runs"))
        try:
            folder = keep_evidence(network, item.nodeid, out)
        except Exception as error:   # the test failed, and that is what its reader has to hear of first
            what = f"what the network recorded could not be kept: {type(error).__name__}: {error}"
            report.sections.append(("harness", what))
            return report
        lines = [f"recorded  {folder}", f"judge     harness report {folder}"] if network.runtime != "compose" else [
            f"logs      {folder}"
        ]
        lines.append(f"replay    pytest {item.nodeid!r}   (seed {network.plan.seed}, runtime {network.runtime})")
        report.sections.append(("harness", "\n".join(lines)))
    return report
