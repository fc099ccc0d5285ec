"""Many runs at once: processes that take one after the other, and what a set of them comes to."""
