# Relaydesk in a container. The same make targets as on a machine; the model is built into the image.
FROM python:3.12-slim-bookworm AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY pyproject.toml constraints.txt Makefile README.md LICENSE ./
COPY domain ./domain
COPY classifiers ./classifiers
COPY storage ./storage
COPY handlers ./handlers
COPY bot ./bot
COPY sandbox ./sandbox
RUN make EXTRAS= model && chmod -R a+rX /app/.cache

FROM python:3.12-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /var/lib/relaydesk --shell /usr/sbin/nologin relaydesk \
    && install -d -o relaydesk -g relaydesk -m 0700 /var/lib/relaydesk
WORKDIR /app
COPY --from=build /app /app
COPY config.yaml slack-manifest.yaml ./
ENV RELAYDESK_CONFIG=/etc/relaydesk/config.yaml \
    RELAYDESK_DATA_DIR=/var/lib/relaydesk \
    RELAYDESK_CLASSIFIER__MODEL_DIR=/app/.cache/model \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
USER relaydesk
VOLUME /var/lib/relaydesk
EXPOSE 8480
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
    CMD ["/app/.venv/bin/python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8480/livez', timeout=4)"]
ENTRYPOINT ["/app/.venv/bin/relaydesk"]
CMD ["run"]
