"""Long-lived dev networks: started, asked, broken by hand, saved and ended, from a terminal or from Python."""
