// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {BPS} from "./FixedPoint.sol";

/// @notice The margin factors that may change, in 1/10 000; one storage slot.
struct Factors {
    /// Initial margin of a future, of its notional.
    uint16 imBps;
    /// Maintenance margin of a future, of its notional.
    uint16 mmBps;
    /// Initial margin of a short option before its out-of-the-money relief, of the index.
    uint16 optionImBps;
    /// Least initial margin of a short option on top of intrinsic value, of the index.
    uint16 optionMinImBps;
    /// Maintenance margin of a short option on top of intrinsic value, of the index.
    uint16 optionMmBps;
}

/// @title Which margin factors make sense
library FactorRules {
    /// @notice Needs penalty ≤ mm ≤ im ≤ 10 000, mm > 0, and 0 < optionMm ≤ optionMinIm ≤ optionIm ≤ 10 000.
    error FactorsOutOfRange(Factors factors);

    /// @notice Reverts unless an account may be held to these.
    /// @param penaltyBps what a liquidation takes of the notional: no more than was asked for to stay above it
    function check(Factors memory factors, uint256 penaltyBps) internal pure {
        bool isFuture = factors.mmBps > 0 && penaltyBps <= factors.mmBps && factors.mmBps <= factors.imBps
            && factors.imBps <= BPS;
        bool isOption = factors.optionMmBps > 0 && factors.optionMmBps <= factors.optionMinImBps
            && factors.optionMinImBps <= factors.optionImBps && factors.optionImBps <= BPS;
        if (!isFuture || !isOption) revert FactorsOutOfRange(factors);
    }
}
