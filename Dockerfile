# The two images of a deployment. `manifold` runs SuperLink, SuperNodes and SuperExecs: it carries all dependencies, and
# the code of a run comes with the run. `gateway` stands before the SuperLink.
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS requirements
WORKDIR /build
COPY pyproject.toml ./
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
    > requirements.txt

FROM ${BASE_IMAGE} AS dependencies
# Wheels of torch without CUDA; for a GPU name another of its indexes, such as .../whl/cu128.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
WORKDIR /build
COPY constraints.txt ./
COPY --from=requirements /build/requirements.txt ./
RUN python -m venv /opt/manifold \
    && /opt/manifold/bin/pip install --no-cache-dir --constraint constraints.txt --requirement requirements.txt \
        ${TORCH_INDEX:+--extra-index-url "${TORCH_INDEX}"}

FROM ${BASE_IMAGE} AS gateway
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends nginx-light \
    && rm -rf /var/lib/apt/lists/*
COPY scenarios/deployment/image/gateway.sh scenarios/deployment/image/nginx.conf scenarios/deployment/image/health.py \
    /etc/manifold/
USER 49999:49999
CMD ["/etc/manifold/gateway.sh"]

FROM ${BASE_IMAGE} AS manifold
# Whoever belongs to the group may write to the volumes, so that a container may run as the owner of its key files.
RUN groupadd --gid 49999 manifold \
    && useradd --uid 49999 --gid manifold --home-dir /app --no-create-home --shell /usr/sbin/nologin manifold \
    && install --directory --owner manifold --group manifold --mode 2770 /app /state /results
COPY --from=dependencies /opt/manifold /opt/manifold
COPY scenarios/deployment/image/clients.sh scenarios/deployment/image/health.py scenarios/deployment/warm/*.py \
    /etc/manifold/
COPY scenarios/deployment/image/flwr-clientapp /etc/manifold/bin/
ENV PATH=/etc/manifold/bin:/opt/manifold/bin:$PATH \
    HOME=/app \
    FLWR_HOME=/tmp/flwr \
    FLWR_TELEMETRY_ENABLED=0 \
    FLWR_DISABLE_UPDATE_CHECK=1 \
    FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION=1 \
    FLWR_SUPEREXEC_TASK_POLL_INTERVAL=0.2 \
    MANIFOLD_DATA=/data \
    MPLCONFIGDIR=/tmp/matplotlib \
    OMP_WAIT_POLICY=PASSIVE \
    PYTHONUNBUFFERED=1
USER 49999:49999
WORKDIR /app
