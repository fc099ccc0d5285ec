"""What was recorded in a run, and how it is read back."""
