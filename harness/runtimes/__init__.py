"""Where roles run: the simulator, local processes and containers, behind the same ports."""
