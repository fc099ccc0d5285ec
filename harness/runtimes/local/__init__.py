"""The local runtime: one OS process per role, HTTP through the fault proxy, SQLite stores."""
