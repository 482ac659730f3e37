"""Certificates: issue, rotate, serve; the only importer of cryptography."""
