"""Simplex consensus as a pure state machine: no clock, no socket, no randomness."""
