// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title The underlying itself: an ERC-20 with 18 decimals that its owner mints
contract SpotToken is ERC20, Ownable {
    /// @param owner_ who may mint
    constructor(address owner_) ERC20("Harness Underlying", "hSPOT") Ownable(owner_) {}

    /// @notice Creates tokens.
    /// @param to who receives them
    /// @param amount in native units, 1e18 an underlying
    function mint(address to, uint256 amount) external onlyOwner {
        _mint(to, amount);
    }
}
