"""A storm laboratory for on-chain derivatives on a rollup of real Anvil nodes."""
