"""The cluster as this process sees and writes it; the only importer of kubernetes."""
