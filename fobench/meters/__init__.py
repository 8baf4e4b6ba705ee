"""One physical instrument per file; no torch here."""
