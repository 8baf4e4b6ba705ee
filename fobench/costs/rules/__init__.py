"""One rule, or one family of rules, per file."""
