// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title The test dollar: an ERC-20 with 6 decimals that its owner mints
contract CollateralToken is ERC20, Ownable {
    /// @param owner_ who may mint
    constructor(address owner_) ERC20("Harness Dollar", "hUSD") Ownable(owner_) {}

    /// @notice Creates tokens.
    /// @param to who receives them
    /// @param amount in native units, 1e6 a dollar
    function mint(address to, uint256 amount) external onlyOwner {
        _mint(to, amount);
    }

    /// @notice 6, as the dollars people know.
    function decimals() public pure override returns (uint8) {
        return 6;
    }
}
