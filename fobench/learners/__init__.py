"""One learning rule per file."""
