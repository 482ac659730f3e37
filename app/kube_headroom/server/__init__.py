"""The webhook process; the only importer of fastapi, uvicorn and prometheus_client."""
