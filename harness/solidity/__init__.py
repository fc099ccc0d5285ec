"""The contracts as Python sees them: compile, deploy into a genesis, call, decode, and sign."""
