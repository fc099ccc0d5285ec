"""What a fault does, as data and arithmetic; no sockets, clocks or processes."""
