# One image for both sides: the daemon (the default command) and a trainer.
FROM python:3.12-slim

RUN apt-get update \
    && apt-get install --yes --no-install-recommends git \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /src
COPY . .
RUN pip install --no-cache-dir '.[all]'

# The daemon writes results as this user; build with the trainers' ids where they share a file system.
ARG UID=1000
ARG GID=1000
RUN groupadd --gid "$GID" lived \
    && useradd --uid "$UID" --gid "$GID" --create-home lived \
    && mkdir -p /var/lib/lived /runs \
    && chown lived:lived /var/lib/lived /runs
USER lived
ENV LIVED_HOME=/var/lib/lived
VOLUME ["/var/lib/lived", "/runs"]
WORKDIR /runs
EXPOSE 7447

CMD ["lived", "serve", "--listen", "tcp://0.0.0.0:7447", "--root", "/runs"]
