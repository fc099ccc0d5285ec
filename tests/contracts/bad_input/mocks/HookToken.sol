// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title A token that tells both sides of a transfer of it, in the middle of it, as ERC-777 does
/// @notice Its code takes the place of one of the venue's tokens, whose storage it reads as that did.
contract HookToken is ERC20, Ownable {
    constructor() ERC20("", "") Ownable(msg.sender) {}

    /// @notice As the token it stands for.
    function mint(address to, uint256 amount) external onlyOwner {
        _mint(to, amount);
    }

    /// @notice As the dollar, for the bridge; who may call it is another test's business.
    function bridgeMint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function _update(address from, address to, uint256 value) internal override {
        _tell(from);
        super._update(from, to, value);
        _tell(to);
    }

    function _tell(address side) private {
        (bool heard,) = side.call(abi.encodeCall(Hooked.onTransfer, ()));
        heard; // who does not listen is not told
    }
}

interface Hooked {
    function onTransfer() external;
}
