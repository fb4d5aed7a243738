# syntax=docker/dockerfile:1
#
#   docker build --tag wsgateway .
#   docker run --rm --read-only --tmpfs /tmp --publish 127.0.0.1:8080:8080 \
#     --volume ./routes.yaml:/etc/wsgateway/routes.yaml:ro wsgateway
#
# Both stages have the same Python at the same place, so that what is installed in one runs in the other.
ARG PYTHON=3.13-slim-trixie

FROM python:${PYTHON} AS build
# What is installed beside the gateway: for local Lambda functions, traces, and pages of APIs.
ARG EXTRAS=docs,functions,otlp
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY pyproject.toml requirements.lock README.md LICENSE ./
COPY wsgateway wsgateway
# Wheels alone: nothing is compiled, and every version is that of requirements.lock.
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m pip wheel --quiet --no-deps --wheel-dir /wheels . \
 && python -m venv --without-pip /opt/wsgateway \
 && python -m pip --python /opt/wsgateway install --quiet --only-binary :all: --constraint requirements.lock \
    "$(echo /wheels/wsgateway-*.whl)${EXTRAS:+[$EXTRAS]}"

FROM python:${PYTHON}
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="wsgateway" \
      org.opencontainers.image.description="A self-hosted, WebSocket-first realtime messaging gateway" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/wsgateway /opt/wsgateway
# The internal listener stays on loopback unless WSGATEWAY_INTERNAL_HOST says otherwise.
ENV PATH=/opt/wsgateway/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    WSGATEWAY_FILE=/etc/wsgateway/routes.yaml \
    WSGATEWAY_HOST=0.0.0.0
WORKDIR /etc/wsgateway
USER 65532:65532
EXPOSE 8080 9090
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["python", "-c", "import http.client, os; c = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('WSGATEWAY_INTERNAL_PORT', '9090')), timeout=4); c.request('GET', '/readyz'); exit(c.getresponse().status != 200)"]
ENTRYPOINT ["wsgateway"]
CMD ["serve"]
