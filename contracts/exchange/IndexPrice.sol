// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {SignedMath} from "@openzeppelin/contracts/utils/math/SignedMath.sol";
import {LibSort} from "solady/src/utils/LibSort.sol";
import {BPS, FixedPoint} from "./FixedPoint.sol";

/// @title One price of what several sources say
/// @notice Each price is clamped to a band around the median and the mean is taken: the median alone would let one source
/// choose between two honest ones, the mean alone would let one source move it without limit.
library IndexPrice {
    /// @notice Σ clamp(price, median ± w) / n, with w = ⌊|median|·bps⌋, floored toward −∞.
    /// @dev Sorts `prices` in place. Needs at least one price, all of them within int128, so that no sum overflows.
    /// @param prices 1e18 quote per 1 underlying, in any order
    /// @param bps half the width of the band, of the median
    function indexOf(int256[] memory prices, uint256 bps) internal pure returns (int256) {
        LibSort.insertionSort(prices);
        int256 median_ = median(prices);
        int256 width = int256(SignedMath.abs(median_) * bps / BPS);
        int256 sum;
        for (uint256 i; i < prices.length; ++i) {
            sum += SignedMath.max(median_ - width, SignedMath.min(median_ + width, prices[i]));
        }
        return FixedPoint.divFloor(sum, prices.length);
    }

    /// @notice The middle price; of an even number the two middle ones' mean, floored toward −∞.
    /// @param sorted at least one price, ascending
    function median(int256[] memory sorted) internal pure returns (int256) {
        uint256 middle = sorted.length / 2;
        if (sorted.length % 2 == 1) return sorted[middle];
        return FixedPoint.divFloor(sorted[middle - 1] + sorted[middle], 2);
    }
}
