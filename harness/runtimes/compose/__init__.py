"""The compose runtime: the same roles as containers, on networks with no way round the fault proxy."""
