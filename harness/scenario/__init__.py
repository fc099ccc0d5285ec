"""Scenario files: their format, how they become a plan, and the run itself."""
