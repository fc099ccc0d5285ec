"""The TCP fault proxy: one process, one listening socket per directed link, and its control API."""
