"""What the tests stand on: real servers, real engines, real lakes."""
