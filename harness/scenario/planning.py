"""A scenario, a seed and overrides to a plan: every name resolved, every random choice drawn, nothing left open."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from harness.plan import (
    ANSWER_MAX_WAD,
    COIN_MORE_DECIMALS,
    NEVER_S,
    OPTION_MARGINS,
    AssetTerms,
    Bounds,
    KeeperGas,
    Knot,
    Plan,
    Product,
    RoleKind,
    Terms,
)
from harness.rollup.profile import from_name
from harness.runtimes.random import KeyedRandom
from harness.scenario import schema, units
from harness.scenario.board import board_products
from harness.scenario.bridging import bridge_plan, with_bridge
from harness.scenario.errors import ScenarioError, did_you_mean, dotted
from harness.scenario.fault_plan import interval_of, plan_faults
from harness.scenario.governance_words import GovernanceProblem, last_ns, plan_governance
from harness.scenario.loading import Document, Location, plain_scalar, read_document
from harness.scenario.market import path_of
from harness.scenario.pools import coin_pool, pool_numbers
from harness.scenario.regions import base_latencies
from harness.scenario.selectors import GROUP_WORDS
from harness.scenario.styles import styles_of, with_styles
from harness.scenario.swaps import merged, spot_pool, swap_operations
from harness.scenario.topology import RegionProblem, build_roles
from harness.scenario.venue import VenueProblem, venue_parameters
from harness.scenario.workload import TooMuchWork, trader_operations

if TYPE_CHECKING:
    from harness.project.reading import ProjectFile

DEFAULT_STORM_NS = 30 * units.NS_PER_SECOND    # where nothing says how long
STORM_MARGIN_NS = 3 * units.NS_PER_SECOND      # after the last thing of the storm, so that it is seen to settle
LIVENESS_MARGIN_NS = 10 * units.NS_PER_SECOND  # beyond the time to recover, for the progress that is asked for
DEFAULT_BASE_FEE_WEI = 10**9
SET_MAX = 100
PRODUCTS_MAX = 32

_STEP = re.compile(r"([A-Za-z0-9_*-]+)((?:\[\d{1,4}\])*)")


def plan_from_file(path: Path, *, seed: int | None = None, overrides: Iterable[str] = ()) -> Plan:
    """Read, check and plan one scenario file; `overrides` are `key=value`. Raises ScenarioError."""
    document = read_document(path)
    apply_overrides(document, overrides)
    return make_plan(document, schema.parse(document), seed=seed)


def apply_overrides(document: Document, overrides: Iterable[str]) -> None:
    """Set `a.b[0].c=value` in the document, values read as YAML scalars or flow lists. Raises ScenarioError."""
    assignments = list(overrides)
    if len(assignments) > SET_MAX:
        raise ScenarioError.at("", f"more than {SET_MAX} overrides", file="--set")
    document.data = copy.deepcopy(document.data)   # aliases share values; an override changes one place
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        steps = _steps(key)
        if not equals or not steps:
            raise ScenarioError.at("", f"{assignment!r} is not key=value, as in network.l2.sequencers=7", file="--set")
        _assign(document, steps, _override_value(text), assignment)


def _steps(key: str) -> list[str | int]:
    steps: list[str | int] = []
    for part in key.strip().split("."):
        match = _STEP.fullmatch(part)
        if match is None:
            return []
        steps.append(match[1])
        steps += [int(index) for index in re.findall(r"\d+", match[2])]
    return steps


def _override_value(text: str) -> object:
    text = text.strip()
    if text.startswith("[") and text.endswith("]"):
        return [plain_scalar(part.strip()) for part in text[1:-1].split(",") if part.strip()]
    return plain_scalar(text)


def _assign(document: Document, steps: Sequence[str | int], value: object, assignment: str) -> None:
    place = document.data
    for depth, step in enumerate(steps[:-1]):
        if isinstance(place, dict) and isinstance(step, str):
            place = place.setdefault(step, {})
        elif isinstance(place, list) and isinstance(step, int) and step < len(place):
            place = place[step]
        else:
            raise ScenarioError.at("", f"{assignment}: nothing at {dotted(steps[: depth + 1])}", file="--set")
    last = steps[-1]
    match place, last:
        case dict(), str():
            place[last] = value
        case list(), int() if last < len(place):
            place[last] = value
        case _:
            raise ScenarioError.at("", f"{assignment}: nothing there to set", file="--set")


def make_plan(document: Document, scenario: schema.Scenario, *, seed: int | None = None) -> Plan:
    """Everything drawn and resolved. Equal (scenario, seed) give equal plans. Raises ScenarioError."""
    seed = scenario.seed if seed is None else seed
    if not 0 <= seed <= schema.SEED_MAX:
        raise document.error(("seed",), f"{seed} is not in 0…{schema.SEED_MAX}")
    random = KeyedRandom(seed)
    profile = from_name(scenario.network.profile)
    project = _project(document, scenario)
    try:
        roles = build_roles(scenario, random, () if project is None else project.seats)
    except RegionProblem as problem:
        raise document.error(("network", *problem.location), str(problem)) from None
    try:
        venue = venue_parameters(profile, scenario.venue, reporters=scenario.network.oracles)
    except VenueProblem as problem:
        raise document.error(("venue", problem.key), str(problem)) from None
    markets = tuple(
        (asset, path_of(document, ("market", asset), path, units.signed_price_wad if path.signed else units.price_wad))
        for asset, path in sorted(scenario.market.items())
    )
    base_fee: tuple[Knot, ...] = (Knot(0, DEFAULT_BASE_FEE_WEI),)
    if scenario.l1_base_fee is not None:
        base_fee = path_of(document, ("l1_base_fee",), scenario.l1_base_fee, units.gwei)
    products = (*_products(document, scenario), *board_products(document, scenario))
    if len(products) > PRODUCTS_MAX:
        raise document.error(("board", "strikes"), f"{len(products)} products in all; at most {PRODUCTS_MAX}")
    coin = coin_pool(document, scenario)
    checks = _checks(document, scenario, project)
    try:
        governance = plan_governance(scenario.governance, venue, oracles=scenario.network.oracles)
    except GovernanceProblem as problem:
        raise document.error(("governance", *problem.location), str(problem)) from None
    governed_ns = last_ns(scenario.governance, venue.timelock_delay_s)
    storm_ns = _storm_ns(scenario, [knots for _, knots in markets] + [base_fee], products, governed_ns)
    liveness_ns = _liveness_ns(document, scenario, storm_ns, products)
    stop_ns = min(scenario.workload.stop or storm_ns, storm_ns)
    weights = [*(entry.weight for entry in scenario.products), *[1] * (len(products) - len(scenario.products))]
    try:
        operations = () if not products else trader_operations(
            scenario.workload,
            [(product, weight) for product, weight in zip(products, weights, strict=True)],
            im_bps=venue.im_bps, stop_ns=stop_ns, random=random, coin=coin,
        )  # fmt: skip
        styles = styles_of(scenario.workload)
        operations = with_styles(operations, styles)
        operations = with_bridge(operations, scenario.bridge, stop_ns=stop_ns, random=random)
        spot = spot_pool(document, scenario)
        if spot is not None and scenario.spot is not None:
            swaps = swap_operations(scenario.spot, scenario.workload, stop_ns=stop_ns, random=random)
            operations = merged(operations, swaps)
    except TooMuchWork as problem:
        raise document.error(problem.location, str(problem)) from None
    plan = Plan(
        scenario=scenario.name,
        about=scenario.about,
        seed=seed,
        profile=profile,
        roles=roles,
        latencies=base_latencies(roles),
        markets=markets,
        l1_base_fee=base_fee,
        products=products,
        venue=venue,
        insurance_native=scenario.venue.insurance,
        assets=_asset_terms(scenario),
        operations=operations,
        faults=plan_faults(document, scenario, roles, storm_ns=storm_ns, random=random),
        storm_ns=storm_ns,
        liveness_ns=liveness_ns,
        checks=checks,
        bounds=Bounds(
            recover_s=scenario.within.recover / units.NS_PER_SECOND, liquidate_blocks=scenario.within.liquidate
        ),
        has_venue=bool(scenario.market),
        spot=spot,
        bridge=bridge_plan(document, scenario),
        keeper_gas=None if scenario.keepers is None else KeeperGas(
            tuple(scenario.keepers.tip), tuple(scenario.keepers.bankroll)
        ),
        styles=styles if products else (),
        trading=scenario.venue.trading,
        governance=governance,
        pool_insurance_native=tuple(
            scenario.pools[name].insurance * (10**COIN_MORE_DECIMALS if scenario.pools[name].coin else 1)
            for name in pool_numbers(document, scenario)
        ),
        coin=coin,
        force_after_ns=scenario.workload.force_after or 0,
    )
    if project is None:
        return plan
    from harness.project.planning import plan_project  # brings the chain stack, which other plans can do without

    return replace(plan, project=plan_project(project, plan))


def _project(document: Document, scenario: schema.Scenario) -> ProjectFile | None:
    """The user's own contracts, actors and checks, read and checked, not deployed yet."""
    if scenario.project is None:
        return None
    from harness.project.reading import read_project

    project = read_project(document, scenario)
    if project is not None:
        for number, actor in enumerate(project.project.actors):
            if actor.name in (*get_args(RoleKind), "l1", *GROUP_WORDS):
                what = f"{actor.name} already means something among roles; choose another name"
                raise project.error(("actors", number, "name"), what)
    return project


def _checks(document: Document, scenario: schema.Scenario, project: ProjectFile | None) -> tuple[str, ...]:
    """The checks to run, as `select` reads them; `-LS2` takes one out, where a storm never meets what it guards."""
    if scenario.checks == ["all"]:
        return ("all",)
    # Imported late: the checks bring the model and the history, and a plan that takes all of them needs no names.
    from harness.checks.registry import Chosen, UnknownCheck, select
    from harness.project.judging import our_checks

    ours = our_checks(has_venue=bool(scenario.market), has_products=bool(scenario.products))
    available = (*ours, *(project.checks if project is not None else ()))
    wanted: dict[str, Chosen] = {}
    for number, word in enumerate(scenario.checks):
        try:
            found = select([word.removeprefix("-")], available)
        except UnknownCheck as problem:
            raise document.error(("checks", number), str(problem)) from None
        for chosen in found:
            id_ = chosen.check.id
            if not word.startswith("-"):
                wanted[id_] = chosen if id_ not in wanted or chosen.demanded else wanted[id_]
            elif wanted.pop(id_, None) is None:
                raise document.error(("checks", number), f"takes out {id_}, which is not among the checks before it")
    if not wanted:
        raise document.error(("checks",), "no check is left")
    words = tuple(str(chosen) for chosen in wanted.values())
    return ("all",) if words == tuple(str(chosen) for chosen in select(["all"], available)) else words


def _asset_terms(scenario: schema.Scenario) -> tuple[AssetTerms, ...]:
    """Terms of the markets that are not on the usual ones."""
    found = []
    for asset, market in sorted(scenario.market.items()):
        low, high = market.bounds or (-ANSWER_MAX_WAD if market.signed else 0, ANSWER_MAX_WAD)
        terms = AssetTerms(asset, market.signed, low, high)
        if terms != AssetTerms(asset):
            found.append(terms)
    return tuple(found)


def _products(document: Document, scenario: schema.Scenario) -> tuple[Product, ...]:
    seen: set[str] = set()
    products = []
    pools = pool_numbers(document, scenario)
    for number, entry in enumerate(scenario.products):
        location: Location = ("products", number)
        if entry.id in seen:
            raise document.error((*location, "id"), f"{entry.id} is already a product")
        if entry.underlying not in scenario.market:
            hint = did_you_mean(entry.underlying, scenario.market) or f"; there is {', '.join(scenario.market)}"
            raise document.error((*location, "underlying"), f'no market "{entry.underlying}"{hint}')
        seen.add(entry.id)
        expires_s = NEVER_S if entry.expires is None else entry.expires // units.NS_PER_SECOND
        terms = _terms(entry, pool=0 if entry.pool is None else pools[entry.pool])
        products.append(Product(entry.id, entry.kind, entry.underlying, entry.strike or 0, expires_s, terms))
    return tuple(products)


def _terms(entry: schema.Product, pool: int) -> Terms:
    bounds = entry.open_interest
    return Terms(
        option_margin=OPTION_MARGINS[entry.margin or "standard"],
        pool=pool,
        oi_lower=bounds.lower if bounds else 0,
        oi_cap=bounds.cap if bounds else 0,
        profit_cap=entry.profit_credit or 0,
    )


def _storm_ns(
    scenario: schema.Scenario, paths: Iterable[Sequence[Knot]], products: Iterable[Product], governed_ns: int
) -> int:
    if scenario.storm is not None:
        return scenario.storm
    ends = [product.expires_s * units.NS_PER_SECOND for product in products if product.expires_s != NEVER_S]
    ends += [governed_ns, *(knots[-1].at_ns for knots in paths)]
    for fault in scenario.faults:
        interval = interval_of(fault)
        if interval is not None:
            ends.append(interval.start_ns if interval.end_ns is None else interval.end_ns)
    return (max(ends) or DEFAULT_STORM_NS) + STORM_MARGIN_NS


def _liveness_ns(document: Document, scenario: schema.Scenario, storm_ns: int, products: Sequence[Product]) -> int:
    recover = scenario.within.recover
    liveness = scenario.liveness or recover + LIVENESS_MARGIN_NS
    if liveness < recover:
        raise document.error(
            ("liveness",), f"{units.duration_text(liveness)} ends before within.recover, {units.duration_text(recover)}"
        )
    for number, product in enumerate(products):
        if product.expires_s != NEVER_S and product.expires_s * units.NS_PER_SECOND >= storm_ns + liveness:
            end = units.duration_text(storm_ns + liveness)
            raise document.error(("products", number, "expires"), f"the run ends at {end}, before it expires")
    return liveness
