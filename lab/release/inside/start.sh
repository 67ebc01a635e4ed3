#!/bin/sh
# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
#
# kolla_start: files and command by config.json, if there is one; otherwise kuryr-server with /etc/kuryr as it is mounted.
set -e
command=kuryr-server
if [ -n "$KOLLA_CONFIG" ] || [ -e "${KOLLA_CONFIG_FILE:-/var/lib/kolla/config_files/config.json}" ]; then
    mkdir -p /var/log/kolla/kuryr
    kolla_set_configs
    command=$(cat /run_command)
fi
if [ -d /var/lib/kolla/share/ca-certificates ]; then
    cp -r /var/lib/kolla/share/ca-certificates/. /usr/local/share/ca-certificates/
    update-ca-certificates >/dev/null
fi
echo "running: $command"
# As kolla means it: words, without quotes.
# shellcheck disable=SC2086
exec $command
