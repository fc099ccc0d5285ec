"""One process, virtual time, one seed: a run is a pure function of its plan."""
