// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {SignedMath} from "@openzeppelin/contracts/utils/math/SignedMath.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {BPS, FixedPoint, WAD} from "./FixedPoint.sol";
import {Worth, Worths} from "./Worth.sol";

/// @notice What a series was listed with, for ever; one storage slot. Amounts are in whole quote, 0 for none.
struct Terms {
    /// How a short option is margined; the numbers of `OptionMargin`.
    uint8 optionMargin;
    /// Whose collateral backs it; 0 is the cross pool.
    uint32 pool;
    /// Open interest from which initial margin grows.
    uint64 oiLower;
    /// Open interest at which initial margin is the whole notional, and beyond which nobody opens.
    uint64 oiCap;
    /// The most of an unrealised profit that an account may open positions against.
    uint64 profitCap;
}

/// @title Limits by which one market cannot endanger the others
/// @notice Open interest is measured at the index. All of it bounds opening only: maintenance margin, and so who is
/// liquidated, never depends on what others hold.
library TermRules {
    using SafeCast for uint256;
    using Worths for Worth;

    /// @notice No way to margin an option has this number, or the series is no option.
    error UnknownOptionMargin(uint8 optionMargin);
    /// @notice Needs oiLower ≤ oiCap, and each at most `LIMIT_MAX`; whole quote.
    error LimitsOutOfRange(uint64 oiLower, uint64 oiCap, uint64 profitCap);
    /// @notice The trade would leave more open than the market takes; both 1e18 quote.
    error OpenInterestCapped(uint256 id, uint256 notional, uint256 cap);

    /// @notice Largest limit, in whole quote, so that the products of `scaledRequirement` fit.
    uint64 internal constant LIMIT_MAX = 1e15;

    /// @notice Reverts unless a series may be listed on these terms.
    /// @param optionMarginMax largest number of an option margin; 0 for what is no option
    function check(Terms memory terms, uint8 optionMarginMax) internal pure {
        if (terms.optionMargin > optionMarginMax) revert UnknownOptionMargin(terms.optionMargin);
        if (terms.oiLower > terms.oiCap || terms.oiCap > LIMIT_MAX || terms.profitCap > LIMIT_MAX) {
            revert LimitsOutOfRange(terms.oiLower, terms.oiCap, terms.profitCap);
        }
    }

    /// @notice Whether there is anything to remember.
    function isDefault(Terms memory terms) internal pure returns (bool) {
        return terms.optionMargin == 0 && terms.pool == 0 && terms.oiCap == 0 && terms.profitCap == 0;
    }

    /// @notice Reverts when a trade raised open interest and left it above the cap.
    /// @param before Σ max(q, 0) before the trade, 1e18 underlying
    /// @param after_ the same after it
    /// @param inQuote what a unit of it is worth, 1e18 quote
    function requireWithinCap(Terms memory terms, uint256 id, uint256 before, uint256 after_, uint256 inQuote)
        internal
        pure
    {
        if (terms.oiCap == 0 || after_ <= before) return;
        uint256 open = notional(after_, inQuote);
        uint256 cap = terms.oiCap * WAD;
        if (open > cap) revert OpenInterestCapped(id, open, cap);
    }

    /// @notice O = ⌊OI·|P|⌋, 1e18 quote; of an inverse future OI.
    function notional(uint256 openInterest, uint256 inQuote) internal pure returns (uint256) {
        return Math.mulDiv(openInterest, inQuote, WAD);
    }

    /// @notice Initial margin of a future whose factor grows from `bps` at oiLower to 1 at oiCap, ceiled.
    /// @dev With D the distance of the bounds and x how far open interest is into it: ⌈|q|·|P|·(bps·D + (10000 − bps)·x) /
    /// (10000·D)⌉, divided once.
    /// @param price what a unit is worth
    /// @param open O, 1e18 quote
    function scaledRequirement(Terms memory terms, int256 size, Worth memory price, uint256 bps, uint256 open)
        internal
        pure
        returns (uint256)
    {
        uint256 distance = (terms.oiCap - terms.oiLower) * WAD;
        uint256 into = open;
        uint256 lower = terms.oiLower * WAD;
        into = into > lower ? Math.min(into - lower, distance) : 0;
        return FixedPoint.mulDivUp(
            SignedMath.abs(size) * SignedMath.abs(price.numerator),
            bps * distance + (BPS - bps) * into,
            BPS * price.denominator * distance
        );
    }

    /// @notice What of a value counts when an account opens a position: a profit only up to the cap.
    /// @param value 1e18 of the collateral
    /// @param price what a unit is worth; an inverse future's turns the cap into coin
    function credited(Terms memory terms, int256 value, Worth memory price, bool isInverse)
        internal
        pure
        returns (int256)
    {
        if (terms.profitCap == 0) return value;
        uint256 cap = terms.profitCap * WAD;
        if (isInverse) cap = Math.mulDiv(cap, WAD, price.denominator);
        return SignedMath.min(value, cap.toInt256());
    }
}
