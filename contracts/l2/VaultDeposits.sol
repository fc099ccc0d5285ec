// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Vault} from "../exchange/Vault.sol";
import {MessageReceiver} from "./MessageReceiver.sol";

/// @title Puts what comes over the bridge straight into its sender's account on the venue
/// @dev Only ever for the message's own sender: an account whose address nobody has a key to cannot be deposited for.
contract VaultDeposits is MessageReceiver {
    /// @notice Somebody other than the bridge called.
    error NotBridge(address caller);

    address public immutable inbox;
    Vault public immutable vault;

    constructor(address inbox_, IERC20 token, Vault vault_) {
        inbox = inbox_;
        vault = vault_;
        token.approve(address(vault_), type(uint256).max);
    }

    /// @inheritdoc MessageReceiver
    function onMessage(bytes32, address sender, uint256 value, bytes calldata) external {
        if (msg.sender != inbox) revert NotBridge(msg.sender);
        vault.depositFor(sender, value);
    }
}
