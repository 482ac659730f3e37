"""The shared ledger: its text, its committer, its protocol as a model, and real racing replicas."""
