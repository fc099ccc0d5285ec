"""The command line: verbs, one file per group; they parse, call and print, and decide nothing."""
