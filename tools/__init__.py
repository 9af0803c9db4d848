"""Programs that keep the repository true."""
