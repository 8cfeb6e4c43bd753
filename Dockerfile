# One image for both sides: the daemon (the default command) and a trainer. Its root file system may be read-only.
FROM python:3.12-slim AS build
WORKDIR /src
COPY . .
RUN python -m venv /opt/lived && /opt/lived/bin/pip install --no-cache-dir '.[all]'

FROM python:3.12-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/lived /opt/lived

# The daemon writes results as this user; build with the trainers' ids where they share a file system.
ARG UID=1000
ARG GID=1000
RUN groupadd --gid "$GID" lived \
    && useradd --uid "$UID" --gid "$GID" --create-home lived \
    && mkdir -p /var/lib/lived /runs /keys/daemon /keys/trainer \
    && chown -R lived:lived /var/lib/lived /runs /keys
USER lived
ENV PATH=/opt/lived/bin:/usr/local/bin:/usr/bin:/bin
ENV PYTHONUNBUFFERED=1
# Caches of libraries go where something may be written.
ENV XDG_CACHE_HOME=/tmp/cache
ENV MPLCONFIGDIR=/tmp/cache
ENV LIVED_HOME=/var/lib/lived
ENV LIVED_LISTEN=tcp://0.0.0.0:7447
ENV LIVED_ROOT=/runs
ENV LIVED_METRICS_LISTEN=0.0.0.0:9747
VOLUME ["/var/lib/lived", "/runs"]
WORKDIR /runs
EXPOSE 7447 9747

HEALTHCHECK --interval=10s --timeout=10s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9747/healthz', timeout=5)"]
CMD ["lived", "serve"]
