// SPDX-License-Identifier: MIT
pragma solidity ^0.8.20;

import {Token} from "./Token.sol";

/// @notice Keeps tokens for depositors against shares; fees on withdrawal stay in the vault and belong to all shares.
contract Vault {
    error ZeroShares();
    error InsufficientShares(address account, uint256 held, uint256 asked);

    event Deposited(address indexed account, uint256 amount, uint256 shares);
    event Withdrawn(address indexed account, uint256 shares, uint256 amount, uint256 fee);

    uint256 public constant BPS = 10_000;

    Token public immutable token;
    uint256 public immutable feeBps;
    uint256 public totalShares;
    uint256 public totalAssets;
    mapping(address account => uint256) public sharesOf;

    constructor(Token token_, uint256 feeBps_) {
        token = token_;
        feeBps = feeBps_;
    }

    /// @notice Pays in `amount` tokens; shares are rounded down, in favour of who is in already.
    function deposit(uint256 amount) external returns (uint256 shares) {
        shares = totalShares == 0 ? amount : (amount * totalShares) / totalAssets;
        if (shares == 0) revert ZeroShares();
        totalShares += shares;
        totalAssets += amount;
        sharesOf[msg.sender] += shares;
        token.transferFrom(msg.sender, address(this), amount);
        emit Deposited(msg.sender, amount, shares);
    }

    /// @notice Redeems shares; the amount is rounded down and the fee up, in favour of who stays.
    function withdraw(uint256 shares) external returns (uint256 amount) {
        uint256 held = sharesOf[msg.sender];
        if (shares > held) revert InsufficientShares(msg.sender, held, shares);
        uint256 worth = (shares * totalAssets) / totalShares;
        uint256 fee = shares == totalShares ? 0 : (worth * feeBps + BPS - 1) / BPS;
        amount = worth - fee;
        sharesOf[msg.sender] = held - shares;
        totalShares -= shares;
        totalAssets -= amount;
        token.transfer(msg.sender, amount);
        emit Withdrawn(msg.sender, shares, amount, fee);
    }
}
