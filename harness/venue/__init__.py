"""The deployed venue as values: where its contracts are, calldata for every call, and what comes back; pure."""
