"""The rollup's pure core: blocks, batches, derivation and head labels; no sockets, clocks or processes."""
