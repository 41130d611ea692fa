"""Real DuckDB engines of every generation, in environments of their own, and the programs that run in them."""
