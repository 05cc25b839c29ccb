#!/bin/sh
# Runs the command, a SuperExec, beside the process whose forks its ClientApps are.
rm -f /tmp/clientapps.sock
python -P /etc/manifold/host.py /tmp/clientapps.sock &
exec "$@"
