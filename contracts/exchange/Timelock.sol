// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {TimelockController} from "@openzeppelin/contracts/governance/TimelockController.sol";
import {Params} from "./Params.sol";

/// @dev Only the timelock may do this.
error NotTimelock(address caller);

/// @title Who changes what could hurt a healthy account, and never sooner than everybody could see it coming
/// @notice OpenZeppelin's controller: what is scheduled stands in an event for at least `timelockDelay` before it can be
/// executed. It alone sets margin factors, appoints guardians and reporters, and switches the liquidator's implementation.
contract Timelock is TimelockController {
    /// @param operators who schedule, cancel and execute; nobody administers it but itself
    constructor(Params memory params, address[] memory operators)
        TimelockController(params.timelockDelay, operators, operators, address(0))
    {}
}
