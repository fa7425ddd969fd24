# syntax=docker/dockerfile:1
# One container with the tool server and the scheduler (`claude-trader up`). Its home is a volume at /data.
#
#   docker build -t claude-trader .                              with the Claude agent (380 MB more)
#   docker build -t claude-trader --build-arg EXTRAS= .          rules only
#   docker run -v trader:/data -p 8000:8000 -e TRADER_TOKEN=… -e ANTHROPIC_API_KEY=… claude-trader

ARG PYTHON=3.12

FROM python:${PYTHON}-slim-bookworm AS build
ARG EXTRAS=[claude]
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /app
WORKDIR /src
# Dependencies change rarely, so they get a layer of their own, built from pyproject.toml and empty packages.
COPY pyproject.toml README.md LICENSE ./
RUN mkdir mcp_server runner strategies \
 && touch mcp_server/__init__.py runner/__init__.py \
 && /app/bin/pip install ".${EXTRAS}" \
 && /app/bin/pip uninstall --yes claude-trader
COPY mcp_server mcp_server
COPY runner runner
COPY strategies strategies
RUN /app/bin/pip install --no-deps .

FROM python:${PYTHON}-slim-bookworm
# tini passes signals on and collects processes that agents leave behind.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends tini \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --create-home --home-dir /data trader
COPY --from=build /app /app
ENV PATH=/app/bin:$PATH TRADER_HOME=/data PYTHONUNBUFFERED=1
WORKDIR /data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
STOPSIGNAL SIGTERM
# Platforms mount volumes as root's. So the container starts as root, gives the volume to `trader`, and then runs as that user.
ENTRYPOINT ["tini", "--", "python", "-P", "-m", "runner.container"]
