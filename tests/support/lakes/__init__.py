"""Real lakes, built once by real engines and copied for each test."""
