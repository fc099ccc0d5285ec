"""One injector per sort of fault: how it is done through a runtime's control, measured, undone and verified."""
