"""The public JSON-RPC interface of a node: what wallets and libraries ask, answered by our chain and our heads."""
