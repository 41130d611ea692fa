"""The tables of every DuckLake spec version as readable SQL, and the JSON schema of the manifest."""
