"""The Containerfile and the compose file of a distribution.

They are no copies of those in deploy/, which build the server from its sources for any distribution and run workers of
their own; these install a lock and wheels for one. What a container may do is the same, and tests hold both to it.
"""

from __future__ import annotations

from collections.abc import Collection

from llama_stack.cli.building.lock import python_version

UID = 10001

_CONTAINERFILE = """\
# The distribution {name}. In its directory: podman build -t {name} .   (or docker build -f Containerfile -t {name} .)
# requirements.lock is for Python {python} on Linux; build for the processor on which the distribution was built.
ARG PYTHON_IMAGE=docker.io/library/python:{python}-slim

FROM ${{PYTHON_IMAGE}} AS build
WORKDIR /build
COPY requirements.lock ./
COPY wheels/ wheels/
# Every file is checked against its hash; pip itself stays behind. What imports need is compiled here, since the
# running container writes nothing.
RUN python -m venv --without-pip /opt/llama-stack \\
 && python -m pip --python /opt/llama-stack/bin/python install --no-cache-dir --no-compile --no-deps \\
    --require-hashes -r requirements.lock \\
 && python -m pip --python /opt/llama-stack/bin/python install --no-cache-dir --no-compile --no-deps wheels/*.whl \\
 && python -m compileall -q /opt/llama-stack/lib

FROM ${{PYTHON_IMAGE}}
RUN groupadd --gid {uid} llama-stack \\
 && useradd --uid {uid} --gid {uid} --home-dir /var/lib/llama-stack --no-create-home \\
    --shell /usr/sbin/nologin llama-stack \\
 && install --directory --owner={uid} --group={uid} --mode=0700 /var/lib/llama-stack
COPY --from=build /opt/llama-stack /opt/llama-stack
COPY config.yaml /etc/llama-stack/config.yaml
ENV PATH=/opt/llama-stack/bin:/usr/local/bin:/usr/bin:/bin \\
    PYTHONDONTWRITEBYTECODE=1 \\
    HOME=/var/lib/llama-stack \\
    LLAMA_STACK_CONFIG_DIR=/var/lib/llama-stack \\
    LLAMA_STACK_PORT=8321 \\
    PYTHONUNBUFFERED=1
USER {uid}:{uid}
VOLUME /var/lib/llama-stack
EXPOSE 8321
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \\
    CMD ["python", "-P", "-m", "llama_stack.cli.healthcheck"]
ENTRYPOINT ["llama", "stack", "run", "/etc/llama-stack/config.yaml"]
# Beyond its own loopback the server wants API keys: set up server.auth, or say --allow-unauthenticated.
CMD ["--host", "0.0.0.0"]
"""

_COMPOSE = """\
# The distribution {name}. Fill in `env`, then: docker compose --env-file env up --build
services:
  llama-stack:
    build:
      context: .
      dockerfile: Containerfile
    env_file: env
    environment:
      LLAMA_STACK_PORT: 8321
{environment}    # Only this machine reaches the port, so nobody is asked for a key. Without it, set up server.auth.
    command: ["--host", "0.0.0.0", "--allow-unauthenticated"]
    ports: ["127.0.0.1:8321:8321"]
    # What runs on this machine is `host.docker.internal` in there, not localhost.
    extra_hosts: ["host.docker.internal:host-gateway"]
    read_only: true
    tmpfs: ["/tmp"]
    cap_drop: ["ALL"]
    security_opt: ["no-new-privileges:true"]
    volumes: ["state:/var/lib/llama-stack"]
    # Longer than server.shutdown_grace_s (30), so that requests and runs end before the process is killed.
    stop_grace_period: 45s
{depends}    restart: unless-stopped
{services}volumes:
  state: {{}}
{volumes}"""

_POSTGRES = """\
  postgres:
    image: docker.io/library/postgres:17
    # Of `env` it gets this alone: the keys of providers are not its business.
    environment:
      POSTGRES_DB: llamastack
      POSTGRES_USER: llamastack
      POSTGRES_PASSWORD: ${POSTGRES_PASSWORD:?fill it in in env, and say --env-file env}
    volumes: ["postgres:/var/lib/postgresql/data"]
    healthcheck:
      test: ["CMD", "pg_isready", "-U", "llamastack", "-d", "llamastack"]
      interval: 5s
      retries: 20
    restart: unless-stopped
"""
_REDIS = """\
  redis:
    image: docker.io/library/redis:8
    command: ["redis-server", "--appendonly", "yes"]
    volumes: ["redis:/data"]
    healthcheck:
      test: ["CMD", "redis-cli", "ping"]
      interval: 5s
      retries: 20
    restart: unless-stopped
"""
_SERVICES = {"postgres": _POSTGRES, "redis": _REDIS}
_ADDRESSES = {
    "postgres": {"POSTGRES_HOST": "postgres", "POSTGRES_DB": "llamastack", "POSTGRES_USER": "llamastack"},
    "redis": {"REDIS_URL": "redis://redis:6379/0"},
}


def services_of(backend_types: Collection[str]) -> tuple[str, ...]:
    """The databases that a config keeps state in, beside files."""
    found = {"postgres" if "postgres" in type_ else "redis" for type_ in backend_types if not type_.endswith("_sqlite")}
    return tuple(sorted(found & _SERVICES.keys()))


def containerfile(name: str) -> str:
    return _CONTAINERFILE.format(name=name, python=python_version(), uid=UID)


def compose(name: str, services: Collection[str]) -> str:
    addresses = {key: value for service in services for key, value in _ADDRESSES[service].items()}
    environment = [f"      {key}: {value}\n" for key, value in addresses.items()]
    depends = [f"      {service}: {{condition: service_healthy}}\n" for service in services]
    return _COMPOSE.format(
        name=name,
        environment="".join(environment),
        depends="".join(["    depends_on:\n", *depends]) if depends else "",
        services="".join(_SERVICES[service] for service in services),
        volumes="".join(f"  {service}: {{}}\n" for service in services),
    )
