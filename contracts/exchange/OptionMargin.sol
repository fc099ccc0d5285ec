// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {SignedMath} from "@openzeppelin/contracts/utils/math/SignedMath.sol";
import {BPS, FixedPoint, WAD} from "./FixedPoint.sol";
import {Margin} from "./Margin.sol";
import {Kind, Series} from "./Series.sol";

/// @dev One option of an account's relief groups.
struct ReliefLeg {
    bytes32 asset;
    uint64 expiry;
    bool isCall;
    int256 strike;
    int256 size;
    /// Index of the underlying, at least 0.
    uint256 price;
    /// What it would need alone, 1e18 quote.
    uint256 initial;
    uint256 maintenance;
}

/// @dev The options of an account that relieve each other, ascending strikes; `count` of the legs are in use.
struct ReliefBook {
    ReliefLeg[] legs;
    uint256 count;
}

/// @title The two other ways to margin a short option
/// @notice *Relief* asks for the better of the sum of its options alone and of the worst payoff of all that expire together
/// (Derive's standard manager). *Naked* bounds the option's value by the time it has left and a shock of the price (Opyn).
library OptionMargin {
    using SafeCast for int256;
    using SafeCast for uint256;

    uint8 internal constant STANDARD = 0;
    uint8 internal constant RELIEF = 1;
    uint8 internal constant NAKED = 2;

    /// @dev Of the index: initial margin before and after its out-of-the-money relief, maintenance margin.
    uint256 internal constant RELIEF_IM_BPS = 1_500;
    uint256 internal constant RELIEF_MIN_IM_BPS = 1_300;
    uint256 internal constant RELIEF_MM_BPS = 900;
    /// @dev Of the index, for each short call that no long one pays for.
    uint256 internal constant UNPAIRED_IM_BPS = 12_000;
    uint256 internal constant UNPAIRED_MM_BPS = 11_000;
    /// @dev The price a naked option is valued at, of the index; for a call the strike falls instead.
    uint256 internal constant SHOCK_BPS = 7_500;

    /// @notice What a naked short option needs, initial and maintenance margin alike; ceiled, 1e18 quote.
    /// @param step seconds of a row of the table of upper bounds
    function naked(Series memory series, int256 size, int256 price, uint64 step) internal view returns (uint256) {
        if (size >= 0) return 0;
        uint256 left = series.expiry > block.timestamp ? series.expiry - block.timestamp : 0;
        uint256 index = SignedMath.max(price, 0).toUint256();
        (uint256 whole, uint256 shocked) = series.kind == Kind.Put
            ? (series.strike * BPS, index * SHOCK_BPS)
            : (index * BPS, series.strike * SHOCK_BPS);
        uint256 bounded = boundBps(left, step) * Math.min(whole, shocked);
        uint256 certain = whole > shocked ? BPS * (whole - shocked) : 0;
        return FixedPoint.mulDivUp(SignedMath.abs(size), bounded + certain, BPS * BPS * WAD);
    }

    /// @notice An upper bound of an at-the-money option's value by the time it has left, of its strike.
    /// @param left seconds to expiry
    function boundBps(uint256 left, uint256 step) internal pure returns (uint256) {
        if (left <= step) return 1_678;
        if (left <= 2 * step) return 2_370;
        if (left <= 4 * step) return 3_326;
        if (left <= 6 * step) return 4_032;
        if (left <= 8 * step) return 4_603;
        return BPS;
    }

    /// @notice Puts an option where its strike belongs. Room for `max` legs is made with the first.
    function add(
        ReliefBook memory book,
        uint256 max,
        Series memory series,
        int256 size,
        int256 price,
        uint256 initial,
        uint256 maintenance
    ) internal pure {
        if (book.legs.length == 0) book.legs = new ReliefLeg[](max);
        int256 strike = series.strike.toInt256();
        uint256 place = book.count++;
        for (; place > 0 && book.legs[place - 1].strike > strike; --place) book.legs[place] = book.legs[place - 1];
        book.legs[place] = ReliefLeg({
            asset: series.asset,
            expiry: series.expiry,
            isCall: series.kind == Kind.Call,
            strike: strike,
            size: size,
            price: SignedMath.max(price, 0).toUint256(),
            initial: initial,
            maintenance: maintenance
        });
    }

    /// @notice By how much the groups need less than their options alone, 1e18 quote.
    function relief(ReliefBook memory book) internal pure returns (uint256 initial, uint256 maintenance) {
        for (uint256 i; i < book.count; ++i) {
            if (book.legs[i].asset == 0) continue; // of a group that was taken before
            (uint256 lessInitial, uint256 lessMaintenance) = _takeGroup(book, i);
            initial += lessInitial;
            maintenance += lessMaintenance;
        }
    }

    /// @dev Sums the group of the leg at `first`, its lowest strike, and takes it out. Value and slope are those of the
    /// group's payoff: from price 0 upwards the slope grows by the size of each option as its strike is passed, whether
    /// call or put, so the least value over all strikes is found in one walk.
    function _takeGroup(ReliefBook memory book, uint256 first)
        private
        pure
        returns (uint256 lessInitial, uint256 lessMaintenance)
    {
        ReliefLeg memory head = book.legs[first];
        (bytes32 asset, uint64 expiry) = (head.asset, head.expiry);
        (int256 value, int256 slope, int256 calls) = _atZero(book, first);
        (int256 least, int256 reached) = (value, 0);
        for (uint256 i = first; i < book.count; ++i) {
            ReliefLeg memory leg = book.legs[i];
            if (leg.asset != asset || leg.expiry != expiry) continue;
            value += slope * (leg.strike - reached);
            reached = leg.strike;
            least = SignedMath.min(least, value);
            slope += leg.size;
            lessInitial += leg.initial;
            lessMaintenance += leg.maintenance;
            leg.asset = 0;
        }
        uint256 loss = least < 0 ? uint256(-least) * BPS : 0;
        uint256 unpaired = calls < 0 ? uint256(-calls) * head.price : 0;
        lessInitial -= Math.min(lessInitial, Math.ceilDiv(loss + unpaired * UNPAIRED_IM_BPS, BPS * WAD));
        lessMaintenance -= Math.min(lessMaintenance, Math.ceilDiv(loss + unpaired * UNPAIRED_MM_BPS, BPS * WAD));
    }

    /// @return value of the group at price 0, 1e36: what its puts pay
    /// @return slope there, 1e18
    /// @return calls net size of its calls, 1e18
    function _atZero(ReliefBook memory book, uint256 first)
        private
        pure
        returns (int256 value, int256 slope, int256 calls)
    {
        ReliefLeg memory head = book.legs[first];
        for (uint256 i = first; i < book.count; ++i) {
            ReliefLeg memory leg = book.legs[i];
            if (leg.asset != head.asset || leg.expiry != head.expiry) continue;
            if (leg.isCall) {
                calls += leg.size;
            } else {
                value += leg.size * leg.strike;
                slope -= leg.size;
            }
        }
    }
}
