# The image the chart runs: one Python, one virtual environment, nothing else of ours.
#
# The digest is the one docker-library/repo-info records for python:3.14-slim on 2026-08-05
# (Python 3.14.7, all platforms). Refresh it together with the tag.
ARG BASE_IMAGE=docker.io/library/python:3.14-slim@sha256:e11c17f46f87983eb946b121694dedba6290ee2b0dd5294d137d82943502d179

FROM ${BASE_IMAGE} AS builder
# Only for machines whose TLS goes through an authority of their own: a path mounted at build time.
ARG SSL_CERT_FILE
ENV UV_PYTHON=python3 \
    UV_PYTHON_DOWNLOADS=never \
    UV_PROJECT_ENVIRONMENT=/opt/kube-headroom \
    UV_LINK_MODE=copy \
    UV_COMPILE_BYTECODE=1 \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /build
# uv comes by the hash in uv.lock, as on a developer's machine; the base image needs no pip for it.
COPY pyproject.toml uv.lock ./
COPY scripts/get_uv.py scripts/
RUN python3 scripts/get_uv.py /usr/local/bin/uv \
    && uv sync --locked --no-dev --no-install-project
# The project last, so that a change in it does not fetch the dependencies anew.
COPY README.md LICENSE ./
COPY app app
# uv's lock file can be written by anyone, and nobody needs it any more.
RUN uv sync --locked --no-dev --no-editable && rm -f /opt/kube-headroom/.lock

FROM ${BASE_IMAGE}
ARG VERSION=unknown
LABEL org.opencontainers.image.title="kube-headroom" \
      org.opencontainers.image.description="A Kubernetes admission webhook that refuses workloads without requests and limits, or without room in the cluster" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
COPY --from=builder /opt/kube-headroom /opt/kube-headroom
# Bytecode is compiled above; at run time nothing is written, so any uid and a read-only root will do.
ENV PATH=/opt/kube-headroom/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# Numbers, because runAsNonRoot cannot verify a name.
USER 65532:65532
EXPOSE 8443 8080
ENTRYPOINT ["kube-headroom"]
CMD ["serve"]
