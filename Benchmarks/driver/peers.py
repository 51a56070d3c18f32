"""The peers: how each is configured and started, and a proof that it does what its row says."""

import os

from processes import LOAD_CORE, BenchError, Server, http_request
from tokens import ISSUER

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROOT = os.path.dirname(HERE)
VENV = os.path.join(ROOT, ".tools/venv/bin")
BARE = os.path.join(ROOT, ".build-bench/release")
PORTS = {
    "backend": 17001, "nginx": 17011, "haproxy": 17012, "haproxy-jwt": 17013, "envoy": 17014, "envoy-jwt": 17015,
    "envoy-cache": 17016, "traefik": 17017, "bare-nio": 17018, "flask": 17019, "glewlwyd": 17020,
}


def fill(directory, template, output, **values):
    """Writes `template` of peers/ to `output` in `directory`, its @NAMES@ replaced; the path. A value may hold the names common to all."""
    with open(os.path.join(HERE, "peers", template), encoding="utf-8") as file:
        text = file.read()
    for name, value in {**values, "DIR": directory, "BACKEND": PORTS["backend"], "ISSUER": ISSUER}.items():
        text = text.replace(f"@{name}@", str(value))
    path = os.path.join(directory, output)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def backend(directory):
    """The service behind the proxies. It shares the load's core: only the proxy's own CPU is counted."""
    path = fill(directory, "backend.nginx.conf", "backend.conf")
    return Server("backend", ["nginx", "-p", directory, "-c", path], PORTS["backend"], directory, core=LOAD_CORE)


def nginx(directory):
    path = fill(directory, "nginx.conf", "nginx.conf", PORT=PORTS["nginx"])
    return Server("nginx", ["nginx", "-p", directory, "-c", path], PORTS["nginx"], directory)


def haproxy(directory, name="haproxy"):
    path = fill(directory, f"{name}.cfg", f"{name}.cfg", PORT=PORTS[name])
    return Server(name, ["haproxy", "-db", "-f", path], PORTS[name], directory)


def envoy(directory, name="envoy"):
    filters = ""
    if name != "envoy":
        with open(os.path.join(HERE, "peers", "envoy-jwt.yaml"), encoding="utf-8") as file:
            filters = file.read().rstrip("\n")
        cache = "                          jwt_cache_config: { jwt_cache_size: 10000 }" if name == "envoy-cache" else ""
        filters = filters.replace("@CACHE@", cache)
    path = fill(directory, "envoy.yaml", f"{name}.yaml", FILTERS=filters, PORT=PORTS[name])
    command = [f"{VENV}/envoy", "-c", path, "--concurrency", "1", "--log-level", "error", "--disable-hot-restart"]
    return Server(name, command, PORTS[name], directory)


def traefik(directory):
    fill(directory, "traefik-routes.yaml", "traefik-routes.yaml")
    path = fill(directory, "traefik.yaml", "traefik.yaml", PORT=PORTS["traefik"])
    command = [f"{VENV}/traefik", f"--configFile={path}"]
    # It accepts connections before it has read its routes, hence the path.
    return Server("traefik", command, PORTS["traefik"], directory, environment={"GOMAXPROCS": "1"}, ready_path="/orders")


def bare_nio(directory, length=200):
    """`length` bytes of body."""
    return Server("bare-nio", [f"{BARE}/bare-nio", PORTS["bare-nio"], length], PORTS["bare-nio"], directory)


def flask(directory):
    # gthread keeps connections open, which gunicorn's default worker does not; that would charge Flask for TCP.
    command = [f"{VENV}/gunicorn", "--workers", "1", "--worker-class", "gthread", "--threads", "4", "--keep-alive", "75"]
    command += ["--worker-connections", "1000", "--no-control-socket", "--log-level", "warning"]
    command += ["--chdir", os.path.join(HERE, "peers"), "--bind", f"127.0.0.1:{PORTS['flask']}", "flask_validate:app"]
    environment = {"BENCH_JWKS": os.path.join(directory, "jwks.json"), "BENCH_ISSUER": ISSUER}
    return Server("flask", command, PORTS["flask"], directory, environment=environment)


def expect(server, wanted, path="/orders", **request):
    """One request, and the status that it must have: no peer is measured that lets everybody in, or nobody."""
    status, body = http_request(server.port, path, **request)
    if status != wanted:
        raise BenchError(f"{server.name} answered {status} where {wanted} was due: {body[:200]!r}")
    return body


def prove_open(server):
    expect(server, 200)


def prove_guarded(server, token, forged):
    """A good token passes; none, a forged one and a broken one do not."""
    expect(server, 200, headers={"Authorization": f"Bearer {token}"})
    for headers in ({}, {"Authorization": f"Bearer {forged}"}, {"Authorization": "Bearer x.y.z"}):
        expect(server, 401, headers=headers)


def prove_validates(server, token, forged):
    """`/validate` says true of a good token and false of a forged one."""
    for candidate, wanted in ((token, True), (forged, False)):
        body = validate_body(candidate)
        answer = expect(server, 200, path="/validate", method="POST", body=body, headers={"Content-Type": "application/json"})
        if (b'"valid":true' in answer.replace(b" ", b"")) != wanted:
            raise BenchError(f"{server.name} judged a {'good' if wanted else 'forged'} token wrongly: {answer[:200]!r}")


def validate_body(token):
    return '{"token":"' + token + '"}'
