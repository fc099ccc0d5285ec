// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {SignedMath} from "@openzeppelin/contracts/utils/math/SignedMath.sol";
import {BPS, FixedPoint, WAD} from "./FixedPoint.sol";
import {Kind} from "./Series.sol";
import {Worth, Worths} from "./Worth.sol";

/// @dev An account judged at given prices; 1e18 of its collateral.
struct Risk {
    /// E: cash plus what every series adds.
    int256 equity;
    /// E without unrealised profit: cash plus Σ min(0, what each series adds).
    int256 equityWithoutProfit;
    /// E°, what positions may be opened against: profits only up to the cap of their market.
    int256 creditedEquity;
    /// IM, initial margin.
    uint256 initialMargin;
    /// IM⁰, initial margin whatever the open interest: what a liquidation restores, and asks of who takes positions.
    uint256 baseMargin;
    /// MM, maintenance margin.
    uint256 maintenanceMargin;
}

/// @title What one position adds to equity and to the two margins
/// @notice Values are floored and requirements are ceiled: every rounding is against the account.
library Margin {
    using SafeCast for int256;
    using SafeCast for uint256;
    using Worths for Worth;

    /// @notice Unrealised profit of a future: ⌊q·P⌋ − N, or ⌊−q/P⌋ − N of an inverse one.
    /// @param size q
    /// @param notional N, 1e18 of the collateral
    /// @param price what a unit is worth; may be negative
    function futureValue(int256 size, int256 notional, Worth memory price) internal pure returns (int256) {
        return price.floor(size) - notional;
    }

    /// @notice Value of an option at a known price: ⌊q·payoff⌋.
    function optionValue(Kind kind, uint256 strike, int256 size, int256 price) internal pure returns (int256) {
        return FixedPoint.mulDivFloor(size, payoff(kind, strike, price).toInt256(), WAD);
    }

    /// @notice European payoff per unit, 1e18 quote: max(S − K, 0) or max(K − S, 0).
    /// @dev Takes the settlement price as it is: a put pays more than its strike below zero.
    function payoff(Kind kind, uint256 strike, int256 price) internal pure returns (uint256) {
        int256 strike_ = strike.toInt256();
        return SignedMath.max(kind == Kind.Call ? price - strike_ : strike_ - price, 0).toUint256();
    }

    /// @notice A part of a position's notional, ⌈|q|·|P|·bps / 10000⌉, or ⌈|q|/P·bps / 10000⌉ of an inverse future: its margin, or
    /// the fee of trading it.
    function partOfNotional(int256 size, Worth memory price, uint256 bps) internal pure returns (uint256) {
        return FixedPoint.mulDivUp(SignedMath.abs(size), SignedMath.abs(price.numerator) * bps, BPS * price.denominator);
    }

    /// @notice Initial and maintenance margin of an option; 0 for a long one, which is paid for.
    /// @dev Deribit's and Derive's rows of the specification. Everything inside is kept times 10000, so there is one division.
    function optionRequirements(
        Kind kind,
        uint256 strike,
        int256 size,
        int256 price,
        uint256 imBps,
        uint256 minImBps,
        uint256 mmBps
    ) internal pure returns (uint256 initial, uint256 maintenance) {
        if (size >= 0) return (0, 0);
        uint256 index = SignedMath.max(price, 0).toUint256();
        (uint256 intrinsic, uint256 outOfMoney) = kind == Kind.Call
            ? (_excess(index, strike), _excess(strike, index))
            : (_excess(strike, index), _excess(index, strike));

        uint256 initialBps = _max(_excess(imBps * index, BPS * outOfMoney), minImBps * index);
        uint256 maintenanceBps = mmBps * index;
        if (kind == Kind.Put) {
            maintenanceBps = _max(maintenanceBps, mmBps * intrinsic);
            initialBps = _max(initialBps, maintenanceBps);
        }
        uint256 short = SignedMath.abs(size);
        initial = FixedPoint.mulDivUp(short, BPS * intrinsic + initialBps, BPS * WAD);
        maintenance = FixedPoint.mulDivUp(short, BPS * intrinsic + maintenanceBps, BPS * WAD);
    }

    /// @dev max(a − b, 0).
    function _excess(uint256 a, uint256 b) private pure returns (uint256) {
        return a > b ? a - b : 0;
    }

    function _max(uint256 a, uint256 b) private pure returns (uint256) {
        return a > b ? a : b;
    }
}
