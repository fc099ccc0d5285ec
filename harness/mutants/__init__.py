"""Deliberately broken versions of the venue, and the trial whether the checks notice."""
