#!/bin/bash
# SPDX-FileCopyrightText: The kuryr-libnetwork authors
# SPDX-License-Identifier: Apache-2.0
#
# DevStack's plugin. Docker comes from devstack-plugin-container, or is there already.

function install_kuryr {
    python3 -m venv "$KURYR_VENV"
    "$KURYR_VENV/bin/pip" install --constraint "$KURYR_HOME/constraints.txt" "$KURYR_HOME"
    local name
    for name in kuryr kuryr-server kuryr-status; do
        sudo ln -sf "$KURYR_VENV/bin/$name" "/usr/local/bin/$name"
    done
    sudo install -m 644 "$KURYR_HOME"/etc/systemd/kuryr-libnetwork.* /etc/systemd/system/
    sudo systemctl daemon-reload
}

function create_kuryr_account {
    # create_service_user gives the role service; the other one is for what belongs to a project.
    create_service_user kuryr member
}

function configure_kuryr {
    sudo install -d -m 755 -o "$STACK_USER" "$KURYR_CONFIG_DIR"
    install -m 600 /dev/null "$KURYR_CONFIG"
    iniset "$KURYR_CONFIG" DEFAULT host "$(hostname)"
    iniset "$KURYR_CONFIG" DEFAULT debug "$ENABLE_DEBUG_LOG_LEVEL"
    iniset "$KURYR_CONFIG" DEFAULT capability_scope "$KURYR_CAPABILITY_SCOPE"
    iniset "$KURYR_CONFIG" DEFAULT process_external_connectivity "$KURYR_PROCESS_EXTERNAL_CONNECTIVITY"
    iniset "$KURYR_CONFIG" neutron auth_type password
    iniset "$KURYR_CONFIG" neutron auth_url "$KEYSTONE_SERVICE_URI"
    iniset "$KURYR_CONFIG" neutron username kuryr
    iniset "$KURYR_CONFIG" neutron password "$SERVICE_PASSWORD"
    iniset "$KURYR_CONFIG" neutron project_name "$SERVICE_PROJECT_NAME"
    iniset "$KURYR_CONFIG" neutron user_domain_name "$SERVICE_DOMAIN_NAME"
    iniset "$KURYR_CONFIG" neutron project_domain_name "$SERVICE_DOMAIN_NAME"
    iniset "$KURYR_CONFIG" neutron region_name "$REGION_NAME"
    if is_service_enabled tls-proxy; then
        iniset "$KURYR_CONFIG" neutron cafile "$SSL_BUNDLE_FILE"
    fi
    # It is the service's password: not for the user who runs DevStack any more.
    sudo chown root:root "$KURYR_CONFIG_DIR" "$KURYR_CONFIG"
}

function start_kuryr {
    sudo systemctl enable --now kuryr-libnetwork.socket
    sudo systemctl restart kuryr-libnetwork.service
    openstack --os-cloud devstack-admin subnet pool show kuryr >/dev/null 2>&1 ||
        openstack --os-cloud devstack-admin subnet pool create --share \
            --default-prefix-length "$KURYR_POOL_PREFIX_LEN" --pool-prefix "$KURYR_POOL_PREFIX" kuryr
}

function stop_kuryr {
    sudo systemctl disable --now kuryr-libnetwork.socket kuryr-libnetwork.service || true
}

function cleanup_kuryr {
    stop_kuryr
    sudo rm -f /etc/systemd/system/kuryr-libnetwork.service /etc/systemd/system/kuryr-libnetwork.socket
    sudo rm -f /usr/local/bin/kuryr /usr/local/bin/kuryr-server /usr/local/bin/kuryr-status
    sudo rm -rf "$KURYR_VENV" "$KURYR_CONFIG_DIR" /var/lib/kuryr
    sudo systemctl daemon-reload
}

if is_service_enabled kuryr-libnetwork; then
    case "$1 ${2:-}" in
        "stack install") install_kuryr ;;
        "stack post-config")
            create_kuryr_account
            configure_kuryr
            ;;
        "stack extra") start_kuryr ;; # Neutron answers by now
        "unstack ") stop_kuryr ;;
        "clean ") cleanup_kuryr ;;
    esac
fi
