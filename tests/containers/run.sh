#!/usr/bin/env bash
# A deployment in real containers, from images to world model, and what must be impossible meanwhile.
#
# Needs Docker with its compose plugin, or podman with podman-compose; says so and is skipped where neither answers.
# Settings, by environment variables:
#   BUILD_OPTIONS  further words for `docker build` or `podman build`, such as --build-arg BASE_IMAGE=...
#   BUILD=0        take the images that are there
#   SITES          how many; 2 where it is not said
#   PYTHON         with the project's dependencies; .venv/bin/python where it is not said
set -euo pipefail
cd "$(dirname "$0")/../.."
SITES=${SITES:-2} PYTHON=${PYTHON:-.venv/bin/python} IMAGE=manifold-federation:containers-test
ROUNDS=(prior experts head router)

if docker compose version >/dev/null 2>&1 && docker info >/dev/null 2>&1; then
    ENGINE=docker COMPOSE="docker compose"
elif command -v docker-compose >/dev/null && docker info >/dev/null 2>&1; then
    ENGINE=docker COMPOSE=docker-compose
elif command -v podman-compose >/dev/null && podman info >/dev/null 2>&1; then
    ENGINE=podman COMPOSE=podman-compose
else
    echo "skipped: no container engine that answers; install Docker with its compose plugin, or podman and podman-compose"
    exit 0
fi

WORK=$(mktemp -d) PROJECT=deployment-$$
DEPLOYMENT=$WORK/$PROJECT
trap 'compose down --volumes >/dev/null 2>&1 || true; rm -rf "$WORK"' EXIT

say() { printf '%s  %s\n' "$(date +%T)" "$*"; }
fail() { say "FAILED: $*"; compose logs 2>&1 | tail -n 60; exit 1; }
quiet() { # COMMAND...: shows what it says only if it fails
    "$@" >"$WORK/last.log" 2>&1 || { tail -n 40 "$WORK/last.log"; fail "$*"; }
}
compose() { $COMPOSE --file "$DEPLOYMENT/compose.yaml" "$@"; }
manifold() { "$PYTHON" -m scenarios.commands.cli "$@"; }
container() { # the identifier of a service's container
    $ENGINE ps --quiet --filter "label=com.docker.compose.project=$PROJECT" --filter "label=com.docker.compose.service=$1"
}
inside() { # SERVICE COMMAND...
    local service=$1; shift
    $ENGINE exec "$(container "$service")" "$@"
}
refused() { # WHAT COMMAND...: the command must fail
    local what=$1; shift
    if "$@" >/dev/null 2>&1; then fail "$what"; fi
}
addresses() { $ENGINE inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}' "$(container "$1")"; }
reach() { # SERVICE HOST PORT
    inside "$1" python3 -c 'import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 3)' "$2" "$3"
}
status_of() { # SERVICE PATH: what the gateway answers a request from there
    inside "$1" python3 -c '
import http.client, ssl, sys
to = http.client.HTTPSConnection("gateway", 8443, context=ssl.create_default_context(cafile="/run/secrets/ca.crt"))
to.request("POST" if "/v1/" in sys.argv[1] else "GET", sys.argv[1])
print(to.getresponse().status)' "$2"
}
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

if [ "${BUILD:-1}" != 0 ]; then
    say "build"
    # shellcheck disable=SC2086
    build() { quiet $ENGINE build ${BUILD_OPTIONS:-} --target "$1" --tag "$2" .; }
    build manifold "$IMAGE"
    build gateway "$IMAGE-gateway"
fi

say "init, for $SITES sites"
manifold deploy init --sites "$SITES" --image "$IMAGE" \
    --control-port "$(free_port)" --gateway-port "$(free_port)" "$DEPLOYMENT"
manifold deploy split "$DEPLOYMENT" digits
manifold deploy check "$DEPLOYMENT"

sites=$(seq 0 $((SITES - 1)))
services=(superlink superexec-server gateway)
for n in $sites; do services+=("supernode-site-$n" "superexec-site-$n"); done

say "up, the sites before the server"
for ((i = ${#services[@]} - 1; i >= 0; i--)); do quiet compose up --detach --no-deps "${services[i]}"; done
quiet manifold deploy up "$DEPLOYMENT" --compose "$COMPOSE"
for _ in $(seq 120); do
    if inside superlink python3 /etc/manifold/health.py https://localhost:8000/health 2>/dev/null; then break; fi
    sleep 3
done
manifold deploy register "$DEPLOYMENT"
for n in $sites; do
    for _ in $(seq 120); do
        if inside "superexec-site-$n" python3 /etc/manifold/health.py "http://supernode-site-$n:9094/health" 2>/dev/null; then break; fi
        sleep 3
    done
done

say "containers: user, root, rights"
for service in "${services[@]}"; do
    [ "$(inside "$service" id -u)" != 0 ] || fail "$service runs as root"
    inside "$service" grep -Eq '^[^ ]+ / [^ ]+ ro,' /proc/mounts || fail "$service can write to its root"
    inside "$service" grep -q '^CapEff:[[:space:]]*0*$' /proc/self/status || fail "$service has capabilities"
    inside "$service" grep -q '^NoNewPrivs:[[:space:]]*1$' /proc/self/status || fail "$service may gain rights"
done

say "networks: each site sees the gateway, and nobody else"
for n in $sites; do
    reach "supernode-site-$n" gateway 8443 || fail "site $n does not reach the gateway"
    reach "superexec-site-$n" "supernode-site-$n" 9094 || fail "the clients of site $n do not reach its SuperNode"
    refused "the clients of site $n reach the gateway" reach "superexec-site-$n" gateway 8443
    for own in "supernode-site-$n" "superexec-site-$n"; do
        for address in superlink $(addresses superlink); do
            refused "$own reaches the SuperLink at $address" reach "$own" "$address" 8000
        done
        for m in $sites; do
            if [ "$m" != "$n" ]; then
                for address in "supernode-site-$m" $(addresses "supernode-site-$m"); do
                    refused "$own reaches site $m at $address" reach "$own" "$address" 9094
                done
            fi
        done
    done
done

say "gateway: the Control API is refused"
[ "$(status_of supernode-site-0 /health)" = 200 ] || fail "no health through the gateway"
for path in /v1/control/start-run /v1/control/list-runs /v1/runtime/acquire-task /v1/fleet/../control/start-run; do
    [ "$(status_of supernode-site-0 "$path")" = 404 ] || fail "the gateway lets $path pass"
done

say "files: key and data apart, data read-only"
for n in $sites; do
    refused "the clients of site $n see its key" inside "superexec-site-$n" test -e /run/secrets/key
    refused "the SuperNode of site $n sees its data" inside "supernode-site-$n" test -e /data
    inside "superexec-site-$n" grep -Eq '^[^ ]+ /data [^ ]+ ro,' /proc/mounts || fail "site $n can change its data"
    [ "$(inside "superexec-site-$n" ls /data)" = client.npz ] || fail "site $n has not exactly its own file"
done

say "run: digits, ${#ROUNDS[@]} phases of one round"
settings=(); for phase in "${ROUNDS[@]}"; do settings+=(--set "$phase.rounds=1"); done settings+=(--set charts.min_count=10)
manifold deploy run "$DEPLOYMENT" digits "${settings[@]}" || fail "the run failed"
manifold deploy status "$DEPLOYMENT"

say "fetch, and compare with the simulation"
manifold deploy fetch "$DEPLOYMENT" --out "$WORK/world" --compose "$COMPOSE"
quiet manifold simulate digits "${settings[@]}" --set "partition.clients=$SITES" --workers 0 --out "$WORK/simulated"
"$PYTHON" - "$WORK/world" "$WORK/simulated" <<'END'
import sys
import torch
from federation.world_model import WorldModel
inputs = torch.rand(1000, 64, generator=torch.Generator().manual_seed(0))
deployed, simulated = (WorldModel.load(folder).predict(inputs) for folder in sys.argv[1:])
difference = float((deployed - simulated).abs().max())
print(f"answers of deployment and simulation differ by {difference:.1e} at most")
sys.exit(difference > 1e-5)
END

say "down"
quiet manifold deploy down "$DEPLOYMENT" --compose "$COMPOSE"
[ -z "$($ENGINE ps --quiet --filter "label=com.docker.compose.project=$PROJECT")" ] || fail "containers are left"
say "all good"
