#!/bin/sh
# Asks the network's own name server at each request, so that a SuperLink that starts later or elsewhere is found.
set -eu
servers=$(awk '/^nameserver/ { print ($2 ~ /:/) ? "[" $2 "]" : $2 }' /etc/resolv.conf | tr '\n' ' ')
cat > /tmp/superlink.conf <<END
resolver $servers valid=10s;
set \$superlink ${SUPERLINK:-superlink:8000};
END
exec nginx -c /etc/manifold/nginx.conf -g 'daemon off;'
