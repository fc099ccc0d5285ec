// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {ReentrancyGuard} from "solady/src/utils/ReentrancyGuard.sol";
import {BPS} from "./FixedPoint.sol";

/// @title A constant-product pool of the underlying against the collateral token, by the rules of Uniswap v2
/// @notice Nothing of the venue reads its price. What it is for: a market that whoever orders transactions can move under
/// somebody else's swap, so that what protects a swap (its least amount, its deadline) can be seen to. The contract is
/// the ERC-20 of its shares.
/// @dev Reserves are what calls brought in, not balances: tokens sent without a call are in neither, and stay. The guard
/// is for tokens that call back; ours do not.
contract SpotAmm is ERC20, ReentrancyGuard {
    using SafeERC20 for IERC20;

    error DeadlineOver(uint64 deadline, uint64 blockTimestamp);
    error NothingIn();
    error NothingOut();
    error NoLiquidity();
    /// @notice Less than the caller said it accepts.
    error SlippageExceeded(uint256 got, uint256 min);
    error ReserveOverflow(uint256 reserve);

    /// @param buys quote in and underlying out; else the reverse
    /// @param amountIn native units of what came in, fee included
    /// @param minOut the least the caller accepted
    event Swapped(
        address indexed account, bool buys, uint256 amountIn, uint256 amountOut, uint256 minOut, uint64 deadline
    );
    /// @param underlying as taken, in native units; `quote` likewise
    /// @param shares as minted to the account
    event LiquidityAdded(address indexed account, uint256 underlying, uint256 quote, uint256 shares);
    event LiquidityRemoved(address indexed account, uint256 underlying, uint256 quote, uint256 shares);

    /// @notice What a swap leaves to those who hold shares, of what it brings in.
    uint256 public constant feeBps = 30;
    /// @notice Shares of the first liquidity that nobody ever gets, so that a share is never worth a fortune.
    uint256 public constant LOCKED_SHARES = 1000;
    /// @notice Who holds them.
    address public constant LOCKED_BY = 0x000000000000000000000000000000000000dEaD;
    /// @dev Reserves stay below it, so that no product of a swap leaves 256 bits.
    uint256 internal constant RESERVE_END = 1 << 112;

    /// @notice The underlying's name in the price feed.
    bytes32 public immutable asset;
    IERC20 public immutable underlyingToken;
    IERC20 public immutable quoteToken;

    uint256 private _underlying;
    uint256 private _quote;

    modifier before(uint64 deadline) {
        if (block.timestamp > deadline) revert DeadlineOver(deadline, uint64(block.timestamp));
        _;
    }

    constructor(bytes32 asset_, IERC20 underlyingToken_, IERC20 quoteToken_) ERC20("Harness Spot Share", "hLP") {
        asset = asset_;
        underlyingToken = underlyingToken_;
        quoteToken = quoteToken_;
    }

    /// @notice Swaps all of `amountIn`, at least for `minOut`.
    /// @param buys quote in and underlying out; else the reverse
    /// @param deadline last timestamp at which it may happen
    /// @return amountOut native units, rounded down
    function swap(bool buys, uint256 amountIn, uint256 minOut, uint64 deadline)
        external
        nonReentrant
        before(deadline)
        returns (uint256 amountOut)
    {
        if (amountIn == 0) revert NothingIn();
        if (totalSupply() == 0) revert NoLiquidity();
        amountOut = quote(buys, amountIn);
        if (amountOut == 0) revert NothingOut();
        if (amountOut < minOut) revert SlippageExceeded(amountOut, minOut);
        if (buys) {
            _setReserves(_underlying - amountOut, _quote + amountIn);
        } else {
            _setReserves(_underlying + amountIn, _quote - amountOut);
        }
        (IERC20 tokenIn, IERC20 tokenOut) = buys ? (quoteToken, underlyingToken) : (underlyingToken, quoteToken);
        tokenIn.safeTransferFrom(msg.sender, address(this), amountIn);
        tokenOut.safeTransfer(msg.sender, amountOut);
        emit Swapped(msg.sender, buys, amountIn, amountOut, minOut, deadline);
    }

    /// @notice Adds as much of both as their ratio in the pool lets; the first to add sets the ratio.
    /// @param underlying the most it gives, native units
    /// @param quote_ the most it gives, native units
    /// @return shares minted to the caller, rounded down
    function addLiquidity(uint256 underlying, uint256 quote_, uint256 minShares, uint64 deadline)
        external
        nonReentrant
        before(deadline)
        returns (uint256 shares)
    {
        // Bounded first, or the product under the root could leave 256 bits.
        if (underlying >= RESERVE_END) revert ReserveOverflow(underlying);
        if (quote_ >= RESERVE_END) revert ReserveOverflow(quote_);
        uint256 supply = totalSupply();
        if (supply == 0) {
            uint256 root = Math.sqrt(underlying * quote_);
            if (root <= LOCKED_SHARES) revert NothingIn();
            shares = root - LOCKED_SHARES;
            _mint(LOCKED_BY, LOCKED_SHARES);
        } else {
            uint256 matching = Math.mulDiv(underlying, _quote, _underlying);
            if (matching <= quote_) quote_ = matching;
            else underlying = Math.mulDiv(quote_, _underlying, _quote);
            shares = Math.min(
                Math.mulDiv(underlying, supply, _underlying), Math.mulDiv(quote_, supply, _quote)
            );
            if (shares == 0) revert NothingOut();
        }
        if (shares < minShares) revert SlippageExceeded(shares, minShares);
        _setReserves(_underlying + underlying, _quote + quote_);
        _mint(msg.sender, shares);
        underlyingToken.safeTransferFrom(msg.sender, address(this), underlying);
        quoteToken.safeTransferFrom(msg.sender, address(this), quote_);
        emit LiquidityAdded(msg.sender, underlying, quote_, shares);
    }

    /// @notice Gives shares back for their part of both reserves, each rounded down.
    /// @return underlying native units
    /// @return quote_ native units
    function removeLiquidity(uint256 shares, uint256 minUnderlying, uint256 minQuote, uint64 deadline)
        external
        nonReentrant
        before(deadline)
        returns (uint256 underlying, uint256 quote_)
    {
        if (shares == 0) revert NothingIn();
        uint256 supply = totalSupply();
        if (supply == 0) revert NoLiquidity();
        underlying = Math.mulDiv(shares, _underlying, supply);
        quote_ = Math.mulDiv(shares, _quote, supply);
        if (underlying < minUnderlying) revert SlippageExceeded(underlying, minUnderlying);
        if (quote_ < minQuote) revert SlippageExceeded(quote_, minQuote);
        _burn(msg.sender, shares);
        _setReserves(_underlying - underlying, _quote - quote_);
        underlyingToken.safeTransfer(msg.sender, underlying);
        quoteToken.safeTransfer(msg.sender, quote_);
        emit LiquidityRemoved(msg.sender, underlying, quote_, shares);
    }

    /// @notice What is in the pool, native units, and the supply of its shares.
    function reserves() external view returns (uint256 underlying, uint256 quote_, uint256 shares) {
        return (_underlying, _quote, totalSupply());
    }

    /// @notice What a swap would give now, native units, rounded down; 0 where there is nothing to have.
    /// @param buys quote in and underlying out; else the reverse
    function quote(bool buys, uint256 amountIn) public view returns (uint256 amountOut) {
        (uint256 reserveIn, uint256 reserveOut) = buys ? (_quote, _underlying) : (_underlying, _quote);
        if (reserveIn == 0 || amountIn >= RESERVE_END) return 0;
        // Below 2^112 · 10^4, so the sum and the product fit; the fee stays in the pool.
        uint256 worth = amountIn * (BPS - feeBps);
        return Math.mulDiv(worth, reserveOut, reserveIn * BPS + worth);
    }

    function _setReserves(uint256 underlying, uint256 quote_) private {
        if (underlying >= RESERVE_END) revert ReserveOverflow(underlying);
        if (quote_ >= RESERVE_END) revert ReserveOverflow(quote_);
        _underlying = underlying;
        _quote = quote_;
    }
}
