"""What the cluster has room for: nodes, the book, headroom, the ledger. Pure; time is an argument."""
