// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ClearingHouse} from "./ClearingHouse.sol";
import {Disputes} from "./Disputes.sol";
import {Margin} from "./Margin.sol";
import {Params} from "./Params.sol";
import {PriceFeed} from "./PriceFeed.sol";
import {isFuture, Position, Series} from "./Series.sol";
import {Vault} from "./Vault.sol";
import {Worths} from "./Worth.sol";

/// @title Settlement at expiry: one price per series, each position settled once
/// @notice Permissionless and never paused; needs no fresh price, only a settlement price.
contract Settlement is Disputes {
    error NotFinal(uint256 id);
    error NothingToSettle(address account, uint256 id);

    /// @notice `cashDelta` is what the account's cash changed by, 1e18 quote.
    event Settled(
        address indexed account, uint256 indexed seriesId, int256 size, int256 price, int256 cashDelta
    );
    /// @notice An account that holds nothing any more owed cash; what the insurance paid and what became deficit, 1e18
    /// quote.
    event BadDebt(address indexed account, uint256 covered, uint256 remaining);

    Vault public immutable vault;

    /// @notice Minus what the series' settlements paid so far, 1e18 quote; ≥ 0, and moved to dust, at the last one.
    mapping(uint256 id => int256) public clearing;

    constructor(Params memory params, address owner_, ClearingHouse clearingHouse_, Vault vault_, PriceFeed feed_)
        Disputes(params, owner_, clearingHouse_, feed_)
    {
        vault = vault_;
    }

    /// @notice Settles one account's position in a final series; anyone may, for anyone.
    function settle(address account, uint256 seriesId) external {
        Series memory series = clearingHouse.series(seriesId);
        if (!series.isFinal) revert NotFinal(seriesId);
        if (clearingHouse.position(account, seriesId).size == 0) revert NothingToSettle(account, seriesId);

        // Calls only the venue's own contracts, which call nothing back.
        (Position memory held, bool isLast) = clearingHouse.clearPosition(account, seriesId);
        int256 cashDelta = isFuture(series.kind)
            ? Margin.futureValue(held.size, held.notional, Worths.ofUnit(series.kind, series.settlementPrice))
            : Margin.optionValue(series.kind, series.strike, held.size, series.settlementPrice);
        // Without the entry notional: what this settlement took from, or left to, the others of the series.
        int256 left = clearing[seriesId] - (cashDelta + held.notional);
        vault.addCash(account, cashDelta);
        if (isLast) {
            vault.addDust(clearingHouse.terms(seriesId).pool, left);
            left = 0;
        }
        clearing[seriesId] = left;
        emit Settled(account, seriesId, held.size, series.settlementPrice, cashDelta);

        // Only when nothing is held any more is negative cash a loss: before, other positions' profit may back it.
        if (clearingHouse.isFlat(account) && vault.cash(account) < 0) {
            uint256 covered = vault.coverLoss(account);
            emit BadDebt(account, covered, vault.bookBadDebt(account));
        }
    }
}
