// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {SignedMath} from "@openzeppelin/contracts/utils/math/SignedMath.sol";
import {FixedPoint, WAD} from "./FixedPoint.sol";
import {Kind} from "./Series.sol";

/// @notice What one unit of a series' size is worth in its collateral at a price: numerator / denominator, an exact fraction.
/// @dev Of a linear series P / 1e18 quote; of an inverse one −1e18 / P coin. Whoever is long an inverse future owes coin
/// that is worth one quote: less of it as the price rises.
struct Worth {
    int256 numerator;
    uint256 denominator;
}

/// @title The two ways a price makes a size worth something
/// @notice Every formula of a future is said once, of a fraction; inverse futures are the same formulas of another one.
library Worths {
    /// @notice A unit of a series at a price.
    /// @param price 1e18 quote per 1 underlying; of an inverse future > 0, which its coin pool saw to
    function ofUnit(Kind kind, int256 price) internal pure returns (Worth memory) {
        return kind == Kind.Inverse ? Worth(-int256(WAD), uint256(price)) : Worth(price, WAD);
    }

    /// @notice ⌊size·worth⌋, 1e18 of the collateral.
    function floor(Worth memory worth, int256 size) internal pure returns (int256) {
        return FixedPoint.mulDivFloor(size, worth.numerator, worth.denominator);
    }

    /// @notice ⌈|size|·|worth|⌉, 1e36 of the collateral: exact but for an inverse future.
    function notional(Worth memory worth, uint256 size) internal pure returns (uint256) {
        return FixedPoint.mulDivUp(size * SignedMath.abs(worth.numerator), WAD, worth.denominator);
    }

    /// @notice What a unit is worth in quote whatever the collateral, 1e18: |P|, or 1 of an inverse future.
    function inQuote(Kind kind, int256 price) internal pure returns (uint256) {
        return kind == Kind.Inverse ? WAD : SignedMath.abs(price);
    }
}
