"""One data set per file; only `fetch` touches the network."""
