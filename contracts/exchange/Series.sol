// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @dev What a series pays, at expiry or as it goes. The numbers are those of `listSeries` and of the `SeriesListed` event.
enum Kind {
    Future,
    Call,
    Put,
    Perpetual,
    Inverse
}

/// @dev Whether it is entered at a notional and not paid for: a future, be it dated, perpetual or inverse.
function isFuture(Kind kind) pure returns (bool) {
    return kind != Kind.Call && kind != Kind.Put;
}

/// @notice One listed instrument.
struct Series {
    /// Name of the underlying in the price feed.
    bytes32 asset;
    /// Strike, 1e18 quote per 1 underlying; 0 for futures.
    uint256 strike;
    /// S_T, 1e18 quote per 1 underlying; 0 until `isFinal`.
    int256 settlementPrice;
    /// First second of the settled side; `NEVER` for perpetuals.
    uint64 expiry;
    Kind kind;
    /// Whether S_T is known; never undone.
    bool isFinal;
    /// Accounts with a size other than 0.
    uint32 openPositions;
    /// Σ max(size, 0) over accounts, 1e18 underlying; of an inverse future 1e18 quote.
    uint128 openInterest;
}

/// @notice What an account holds of one series; one storage slot.
struct Position {
    /// 1e18 underlying, long > 0; of an inverse future 1e18 quote.
    int128 size;
    /// Entry notional N = Σ sizeᵢ·priceᵢ of a future or perpetual, 1e18 quote; of an inverse future Σ −sizeᵢ/priceᵢ, 1e18 coin;
    /// always 0 for options, which are paid up front.
    int128 notional;
}

/// @dev Expiry of a series that has none.
uint64 constant NEVER = type(uint64).max;

/// @dev No series has this id.
error UnknownSeries(uint256 id);

/// @dev The series is on its settled side: `t >= expiry`.
error SeriesExpired(uint256 id, uint64 expiry);

/// @dev The series still trades: `t < expiry`.
error NotExpired(uint256 id, uint64 expiry);

/// @dev The account's equity, or what of it may be counted on, is below what is required; both 1e18 quote.
error InsufficientMargin(int256 equity, uint256 required);
