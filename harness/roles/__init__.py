"""The roles of the testnet, each written once against the ports and run unchanged in every runtime."""
