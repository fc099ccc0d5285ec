"""Judges of a recorded run: each check reads a history and says holds, violated or unknown."""
