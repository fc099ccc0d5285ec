"""Ethereum's encodings without a node: ABI words, accounts, signatures and transactions; pure functions."""
