"""Networks for tests: in virtual time inside the test's own process, or processes of their own; restored in between."""
