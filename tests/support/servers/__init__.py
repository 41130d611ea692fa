"""PostgreSQL servers for tests: containers or embedded, and what can stand between them and a client."""
