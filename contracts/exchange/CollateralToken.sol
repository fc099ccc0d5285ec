// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title The test dollar: an ERC-20 with 6 decimals that its owner mints, and on L2 the bridge
contract CollateralToken is ERC20, Ownable {
    /// @notice Somebody other than the bridge called.
    error NotBridge(address caller);

    /// @notice Who creates here what is locked on L1; nobody there.
    address public immutable bridge;

    /// @param owner_ who may mint
    /// @param bridge_ who mints what was bridged
    constructor(address owner_, address bridge_) ERC20("Harness Dollar", "hUSD") Ownable(owner_) {
        bridge = bridge_;
    }

    /// @notice Creates tokens.
    /// @param to who receives them
    /// @param amount in native units, 1e6 a dollar
    function mint(address to, uint256 amount) external onlyOwner {
        _mint(to, amount);
    }

    /// @notice Creates tokens for what is locked on L1; the bridge only.
    /// @param to who receives them
    /// @param amount in native units
    function bridgeMint(address to, uint256 amount) external {
        if (msg.sender != bridge) revert NotBridge(msg.sender);
        _mint(to, amount);
    }

    /// @notice 6, as the dollars people know.
    function decimals() public pure override returns (uint8) {
        return 6;
    }
}
