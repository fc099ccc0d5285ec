// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {SignedMath} from "@openzeppelin/contracts/utils/math/SignedMath.sol";
import {BPS, FixedPoint, WAD} from "./FixedPoint.sol";
import {Risk} from "./Margin.sol";
import {Worth} from "./Worth.sol";

/// @dev One position of an account in liquidation.
struct Holding {
    uint256 id;
    /// q, 1e18 underlying.
    int256 size;
    /// What it changes hands at: the index, or an option's intrinsic value; 1e18 quote.
    int256 price;
    /// What a unit is worth at the index.
    Worth worth;
    /// The maintenance margin it would need alone, 1e18 of the collateral, as all amounts are.
    uint256 maintenance;
    bool isFuture;
}

/// @dev An account in liquidation, before anything moves.
struct Estate {
    Risk risk;
    /// Who takes positions, in the account's pool.
    address keeper;
    /// The pool that bears a loss.
    uint32 pool;
    /// Ascending ids.
    Holding[] holdings;
    /// Σ |q|·|P|, 1e36, and what it is in quote where the collateral is a coin.
    uint256 notional;
    uint256 notionalInQuote;
    /// Σ of its positions' maintenance margins alone, by which a loss is shared; 1e18 quote.
    uint256 maintenance;
    /// V: what its options add to cash when they are closed, 1e18 quote.
    int256 optionValue;
    /// F: the penalty of closing everything, 1e18 quote.
    uint256 penalty;
    /// R: what closing everything leaves before the penalty, 1e18 quote.
    int256 value;
}

/// @title How much of each position a liquidation takes
library Ladder {
    using SafeCast for int256;
    using SafeCast for uint256;

    /// @notice Sizes that bring the account back to its initial margin after the penalty: x = (IM − E) / (IM + V − F) of
    /// each position, up to a lot; everything when that is all, or when the account is small. Needs R ≥ F.
    /// @param lot 1e18 underlying
    /// @param smallNotional in whole quote
    /// @return sizes to take, 1e18 underlying, unsigned, one a holding
    function partialSizes(Estate memory estate, uint256 lot, uint256 smallNotional)
        internal
        pure
        returns (uint256[] memory sizes)
    {
        int256 part = estate.risk.baseMargin.toInt256() - estate.risk.equity;
        int256 whole = estate.risk.baseMargin.toInt256() + estate.optionValue - estate.penalty.toInt256();
        // part ≤ whole since R ≥ F, and part > 0 since E < MM ≤ IM⁰.
        bool takesAll = part >= whole || estate.notionalInQuote <= smallNotional * WAD * WAD;
        sizes = new uint256[](estate.holdings.length);
        for (uint256 i; i < sizes.length; ++i) {
            uint256 held = SignedMath.abs(estate.holdings[i].size);
            sizes[i] = takesAll ? held : _upToLot(held, part.toUint256(), whole.toUint256(), lot);
        }
    }

    /// @notice Penalty of closing a notional: ⌈notional·bps⌉.
    /// @param notional 1e36
    function penalty(uint256 notional, uint256 bps) internal pure returns (uint256) {
        return FixedPoint.mulDivUp(notional, bps, BPS * WAD);
    }

    /// @dev ⌈held·part/whole⌉ up to a multiple of `lot`; all of it rather than leave less than a lot.
    function _upToLot(uint256 held, uint256 part, uint256 whole, uint256 lot) private pure returns (uint256) {
        uint256 size = Math.ceilDiv(FixedPoint.mulDivUp(held, part, whole), lot) * lot;
        return size + lot > held ? held : size;
    }
}
