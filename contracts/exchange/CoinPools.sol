// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {Pools} from "./Pools.sol";
import {Kind} from "./Series.sol";

/// @notice What a coin pool holds instead of dollars.
struct Coin {
    /// 18 decimals: one native unit is one of cash.
    IERC20Metadata token;
    /// Name in the price feed of what the token is.
    bytes32 asset;
}

/// @title Pools whose collateral is a coin
/// @notice All that such a pool holds, owes and earns is in that coin, so that an account of it is of one currency, as any
/// account is. Only inverse futures of the coin are in it.
abstract contract CoinPools is Pools {
    /// @notice Coin pools are opened by the owner of the clearing house.
    error NotOwner(address caller);
    /// @notice The pool is there already, with collateral that stays what it is.
    error PoolInUse(uint32 pool);
    /// @notice What is divided by a price needs one above zero: its least answer must be 0 or more.
    error PriceMayBeNegative(bytes32 asset, int256 minAnswer);
    /// @notice The token is the dollar, or backs another pool.
    error CoinInUse(address token);
    /// @notice A coin has 18 decimals; 0 where there is no contract at all.
    error CoinDecimals(address token, uint8 decimals);
    /// @notice Inverse futures are in a coin pool of their asset, and nothing else is.
    error CollateralMismatch(uint32 pool, uint8 kind, bytes32 asset);
    /// @notice The pool holds dollars, or is not there.
    error NotCoinPool(uint32 pool);
    /// @notice Dollars do not move into or out of a coin pool.
    error HoldsCoin(uint32 pool);

    event CoinPoolOpened(uint32 indexed pool, bytes32 indexed asset, address token);
    /// @notice `account` is the owner's account of the pool, `amount` native units of the coin.
    event CoinDeposited(address indexed account, uint32 indexed pool, uint256 amount);
    /// @notice `account` is the owner's account of the pool, `amount` native units of the coin.
    event CoinWithdrawn(address indexed account, uint32 indexed pool, uint256 amount);

    uint8 private constant DECIMALS = 18;

    mapping(uint32 pool => Coin) private _coins;
    mapping(address token => bool) private _isCoin;

    /// @notice What a pool holds instead of dollars; zeros where it holds dollars or is not there.
    function coinOf(uint32 pool) public view returns (Coin memory) {
        return _coins[pool];
    }

    /// @dev Takes the next pool into use for a coin. The caller has looked at the asset's prices.
    /// @param dollar what the other pools hold
    function _openCoinPool(uint32 pool, address token, bytes32 asset, address dollar) internal {
        if (token == dollar || _isCoin[token]) revert CoinInUse(token);
        // An address without code would end the call without a word.
        uint8 decimals = token.code.length == 0 ? 0 : IERC20Metadata(token).decimals();
        if (decimals != DECIMALS) revert CoinDecimals(token, decimals);
        _admit(pool);
        _coins[pool] = Coin(IERC20Metadata(token), asset);
        _isCoin[token] = true;
        emit CoinPoolOpened(pool, asset, token);
    }

    function _requireNext(uint32 pool) internal view {
        if (pool <= poolCount) revert PoolInUse(pool);
        if (pool > poolCount + 1) revert UnknownPool(pool, poolCount);
    }

    /// @dev Reverts unless a series may be listed in a pool that is there.
    function _requireCollateral(uint32 pool, Kind kind, bytes32 asset) internal view {
        bool isCoin = _isCoinPool(pool);
        if (isCoin != (kind == Kind.Inverse) || (isCoin && _coins[pool].asset != asset)) {
            revert CollateralMismatch(pool, uint8(kind), asset);
        }
    }

    function _requireDollars(uint32 pool) internal view {
        if (_isCoinPool(pool)) revert HoldsCoin(pool);
    }

    function _isCoinPool(uint32 pool) internal view returns (bool) {
        return address(_coins[pool].token) != address(0);
    }
}
