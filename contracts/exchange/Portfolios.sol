// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {LibBit} from "solady/src/utils/LibBit.sol";
import {Factors} from "./Factors.sol";
import {Leg, Legs} from "./Legs.sol";
import {Margin, Risk} from "./Margin.sol";
import {OptionMargin, ReliefBook} from "./OptionMargin.sol";
import {Params} from "./Params.sol";
import {Perpetuals} from "./Perpetuals.sol";
import {PriceFeed} from "./PriceFeed.sol";
import {isFuture, Kind, Position, Series, UnknownSeries} from "./Series.sol";
import {TermRules, Terms} from "./Terms.sol";
import {Vault} from "./Vault.sol";
import {Worth, Worths} from "./Worth.sol";

/// @title Who holds what of which series, and what that is worth and requires
/// @notice One account per owner and pool, cross margin over every series it holds.
abstract contract Portfolios {
    using SafeCast for int256;
    using SafeCast for uint256;

    /// @notice The account would hold more series than can be liquidated within a quarter of a block.
    error TooManyPositions(address account, uint256 max);

    /// @notice Series an account may hold at once.
    uint256 public constant POSITIONS_MAX = 32;

    /// @notice Series that can be listed, in ids 1 to 255: an account's holdings are one bitmap, one slot.
    uint256 public constant SERIES_MAX = 255;

    Vault public immutable vault;
    PriceFeed public immutable feed;
    Perpetuals public immutable perpetuals;
    uint64 public immutable nakedStep;

    /// @notice Number of series listed; their ids are 1 to this.
    uint256 public seriesCount;

    Factors internal _factors;
    mapping(uint256 id => Series) internal _series;
    mapping(uint256 id => Terms) internal _terms;
    mapping(address account => mapping(uint256 id => Position)) internal _positions;
    /// @dev Bit i is set while the account's size in series i is not 0.
    mapping(address account => uint256 bits) internal _holdings;

    constructor(Params memory params, Vault vault_, PriceFeed feed_, Perpetuals perpetuals_) {
        vault = vault_;
        feed = feed_;
        perpetuals = perpetuals_;
        _factors = Factors(
            params.imBps.toUint16(),
            params.mmBps.toUint16(),
            params.optionImBps.toUint16(),
            params.optionMinImBps.toUint16(),
            params.optionMmBps.toUint16()
        );
        nakedStep = params.nakedStep;
    }

    /// @notice One listed series.
    function series(uint256 id) external view returns (Series memory) {
        return _knownSeries(id);
    }

    /// @notice What a series was listed with; zeros when with nothing, or when there is no such series.
    function terms(uint256 id) external view returns (Terms memory) {
        return _terms[id];
    }

    /// @notice The margin factors in force.
    function factors() external view returns (Factors memory) {
        return _factors;
    }

    /// @notice What an account holds of a series.
    function position(address account, uint256 id) external view returns (Position memory) {
        return _positions[account][id];
    }

    /// @notice Ids of the series an account holds, ascending.
    function holdings(address account) external view returns (uint256[] memory ids) {
        ids = new uint256[](SERIES_MAX);
        uint256 count;
        uint256 bits = _holdings[account];
        for (uint256 id; bits != 0; (bits >>= 1, ++id)) if (bits & 1 == 1) ids[count++] = id;
        // Shortens the array in place; count ≤ SERIES_MAX, its allocated length.
        assembly ("memory-safe") {
            mstore(ids, count)
        }
    }

    /// @notice Whether an account holds nothing at all.
    function isFlat(address account) external view returns (bool) {
        return _holdings[account] == 0;
    }

    /// @notice Equity and margins at fresh prices; reverts with `StalePrice` when one of an asset it holds is not.
    function risk(address account) public view returns (Risk memory) {
        return _risk(account, true);
    }

    /// @notice What one position adds to its account's equity and, were it alone, to its margins, at a fresh price.
    function positionRisk(address account, uint256 id) external view returns (Risk memory result) {
        ReliefBook memory alone;
        _addPosition(result, alone, account, id, true);
    }

    /// @notice Equity and margins at the newest prices whatever their age, 0 for an asset without one. For display.
    function riskAtStoredPrices(address account) external view returns (Risk memory) {
        return _risk(account, false);
    }

    /// @dev Both legs of a trade at a price: `buyer` takes `delta`, `seller` gives it. The market's funding, if it has
    /// any, is brought up to now first. What rounding leaves over is booked as dust.
    function _exchange(address buyer, address seller, uint256 id, int256 delta, int256 price) internal {
        Kind kind = _series[id].kind;
        if (kind == Kind.Perpetual) perpetuals.accrue(id);
        Worth memory worth = Worths.ofUnit(kind, price);
        int256 received = _trade(kind, buyer, id, delta, worth);
        received += _trade(kind, seller, id, -delta, worth);
        int256 left = kind == Kind.Perpetual && _series[id].openPositions == 0
            ? perpetuals.takeClearing(id) - received
            : -received;
        if (left != 0) vault.addDust(_terms[id].pool, left);
    }

    /// @dev Adds the leg to the account's position, the open interest and the account's cash; a perpetual's position is
    /// settled for its funding first, since that is of the size before.
    /// @return received Σ n of the leg, whose negation is dust
    function _trade(Kind kind, address account, uint256 id, int256 delta, Worth memory price)
        private
        returns (int256 received)
    {
        Position memory old = _positions[account][id];
        Leg memory leg = isFuture(kind)
            ? Legs.future(old.size, old.notional, delta, price)
            : Legs.option(old.size, delta, price);
        if (kind == Kind.Perpetual) leg.cashDelta += perpetuals.settle(account, id, old.size);
        _setPosition(account, id, old.size, Position(leg.size.toInt128(), leg.notional.toInt128()));
        if (leg.cashDelta != 0) vault.addCash(account, leg.cashDelta);
        return leg.received;
    }

    function _setPosition(address account, uint256 id, int256 oldSize, Position memory next) internal {
        _positions[account][id] = next;
        Series storage series_ = _series[id];
        if (oldSize == 0 && next.size != 0) {
            uint256 held = _holdings[account];
            if (held == 0) vault.register(account);
            if (LibBit.popCount(held) >= POSITIONS_MAX) revert TooManyPositions(account, POSITIONS_MAX);
            _holdings[account] = held | 1 << id;
            series_.openPositions += 1;
        } else if (oldSize != 0 && next.size == 0) {
            _holdings[account] &= ~(1 << id);
            series_.openPositions -= 1;
        }
        uint256 longBefore = oldSize > 0 ? uint256(oldSize) : 0;
        uint256 longAfter = next.size > 0 ? uint256(int256(next.size)) : 0;
        series_.openInterest = (series_.openInterest + longAfter - longBefore).toUint128();
    }

    function _knownSeries(uint256 id) internal view returns (Series memory) {
        if (id == 0 || id > seriesCount) revert UnknownSeries(id);
        return _series[id];
    }

    function _risk(address account, bool mustBeFresh) internal view returns (Risk memory result) {
        int256 cash = vault.cash(account);
        result.equity = cash;
        result.equityWithoutProfit = cash;
        result.creditedEquity = cash;
        ReliefBook memory book;
        uint256 bits = _holdings[account];
        for (uint256 id; bits != 0; (bits >>= 1, ++id)) {
            if (bits & 1 == 1) _addPosition(result, book, account, id, mustBeFresh);
        }
        if (book.count == 0) return result;
        (uint256 initial, uint256 maintenance) = OptionMargin.relief(book);
        result.initialMargin -= initial;
        result.baseMargin -= initial;
        result.maintenanceMargin -= maintenance;
    }

    /// @dev Margins are those of the position alone; the book collects what may relieve them.
    function _addPosition(
        Risk memory result,
        ReliefBook memory book,
        address account,
        uint256 id,
        bool mustBeFresh
    ) private view {
        Position memory held = _positions[account][id];
        Series memory series_ = _series[id];
        Terms memory terms_ = _terms[id];
        int256 price;
        // Freshness is asked of every asset held, final series included: one rule, whatever the series' state.
        if (mustBeFresh) (price,) = feed.freshPrice(series_.asset);
        else (,, price) = feed.latest(series_.asset);

        int256 value;
        int256 creditable;
        if (series_.isFinal) {
            value = isFuture(series_.kind)
                ? Margin.futureValue(held.size, held.notional, Worths.ofUnit(series_.kind, series_.settlementPrice))
                : Margin.optionValue(series_.kind, series_.strike, held.size, series_.settlementPrice);
            creditable = value;
        } else if (isFuture(series_.kind)) {
            Worth memory worth = Worths.ofUnit(series_.kind, price);
            value = Margin.futureValue(held.size, held.notional, worth);
            if (series_.kind == Kind.Perpetual) value += perpetuals.pending(account, id, held.size);
            creditable = TermRules.credited(terms_, value, worth, series_.kind == Kind.Inverse);
            _addFutureMargins(result, series_, terms_, held.size, price, worth);
        } else {
            _addOptionMargins(result, book, series_, terms_.optionMargin, held.size, price);
        }
        result.equity += value;
        result.creditedEquity += creditable;
        if (value < 0) result.equityWithoutProfit += value;
    }

    function _addFutureMargins(
        Risk memory result,
        Series memory series_,
        Terms memory terms_,
        int256 size,
        int256 price,
        Worth memory worth
    ) private view {
        Factors memory factors_ = _factors;
        uint256 base = Margin.partOfNotional(size, worth, factors_.imBps);
        result.baseMargin += base;
        if (terms_.oiLower < terms_.oiCap) {
            uint256 open = TermRules.notional(series_.openInterest, Worths.inQuote(series_.kind, price));
            result.initialMargin += TermRules.scaledRequirement(terms_, size, worth, factors_.imBps, open);
        } else {
            result.initialMargin += base;
        }
        result.maintenanceMargin += Margin.partOfNotional(size, worth, factors_.mmBps);
    }

    function _addOptionMargins(
        Risk memory result,
        ReliefBook memory book,
        Series memory series_,
        uint8 optionMargin,
        int256 size,
        int256 price
    ) private view {
        uint256 initial;
        uint256 maintenance;
        if (optionMargin == OptionMargin.NAKED) {
            initial = maintenance = OptionMargin.naked(series_, size, price, nakedStep);
        } else if (optionMargin == OptionMargin.RELIEF) {
            (initial, maintenance) = Margin.optionRequirements(
                series_.kind,
                series_.strike,
                size,
                price,
                OptionMargin.RELIEF_IM_BPS,
                OptionMargin.RELIEF_MIN_IM_BPS,
                OptionMargin.RELIEF_MM_BPS
            );
            OptionMargin.add(book, POSITIONS_MAX, series_, size, price, initial, maintenance);
        } else {
            Factors memory factors_ = _factors;
            (initial, maintenance) = Margin.optionRequirements(
                series_.kind,
                series_.strike,
                size,
                price,
                factors_.optionImBps,
                factors_.optionMinImBps,
                factors_.optionMmBps
            );
        }
        result.initialMargin += initial;
        result.baseMargin += initial;
        result.maintenanceMargin += maintenance;
    }
}
