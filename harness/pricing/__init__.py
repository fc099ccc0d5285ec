"""What derivatives are worth, in exact decimal arithmetic: the same number on every machine, so that runs repeat."""
