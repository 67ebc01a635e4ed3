// SPDX-FileCopyrightText: The kuryr-libnetwork authors
// SPDX-License-Identifier: Apache-2.0
// The panel beside the board: all that is known of one wire or network, and the commands that show the same.

import { make, set } from "./dom.js";
import * as model from "./model.js";

export class Details {
  constructor(panel, { close, go }) {
    this.panel = panel;
    this.close = close;
    this.go = go;
    this.told = "";
  }

  hide() {
    this.panel.hidden = true;
    this.told = "";
    this.panel.replaceChildren();
  }

  // `thing`: a wire or network of the wiring; null: it has gone, and what was shown of it stays.
  show(thing, wiring) {
    if (!thing) {
      if (!this.panel.querySelector(".gone")) this.panel.querySelector("h2")?.after(make("p", "gone", "It is gone."));
      this.told = "";
      return;
    }
    const others = thing.container ? wiring.wires.filter((wire) => wire.container === thing.container) : [];
    const told = JSON.stringify([thing, others, wiring.uplinks]);
    if (told === this.told) return;
    this.told = told;
    const isWire = "key" in thing;
    const title = isWire ? model.wireName(thing) : model.networkName(thing);
    const close = set(make("button", "close", "Close"), { type: "button", "aria-label": "Close details" });
    close.addEventListener("click", () => this.close());
    const kept = this.panel.contains(document.activeElement) ? document.activeElement.dataset.words : undefined;
    this.panel.replaceChildren(
      make("div", "details-head", set(make("h2", "", title), { id: "details-title", tabindex: -1 }), close),
      ...thing.marks.map(explained),
      facts(isWire ? wireFacts(thing, wiring) : networkFacts(thing)),
      ...this.kin(thing, others, wiring),
      make("h3", "", "Commands that show the same"),
      make("ul", "commands", ...thing.commands.map(command)),
    );
    this.panel.hidden = false;
    if (kept !== undefined) {
      const again = [...this.panel.querySelectorAll("button")].find((button) => button.dataset.words === kept);
      (again ?? close).focus();
    }
  }

  focus() {
    this.panel.querySelector("h2")?.focus();
  }

  kin(thing, others, wiring) {
    const rest = others.filter((wire) => wire.key !== thing.key);
    if (!rest.length) return [];
    const names = new Map(wiring.networks.map((network) => [network.docker_id, model.networkName(network)]));
    const list = rest.map((wire) => {
      const text = `${names.get(wire.network) ?? "no network"}: ${wire.addresses.join(", ") || "no address"}`;
      const button = set(make("button", "go", text), { type: "button", "data-words": wire.key });
      button.addEventListener("click", () => this.go(wire.key));
      return make("li", "", button);
    });
    return [make("h3", "", "The same container on other networks"), make("ul", "kin", ...list)];
  }
}

function explained(mark) {
  const badge = make("span", `badge badge-${mark.kind}`, `${model.symbol(mark)} ${mark.text}`);
  return make("p", "explained", badge, " ", mark.why);
}

function facts(rows) {
  const list = make("dl");
  for (const [name, value] of rows) {
    if (value === "" || value === undefined) continue;
    list.append(make("dt", "", name), make("dd", "", value));
  }
  return list;
}

function wireFacts(wire, wiring) {
  const network = wiring.networks.find((each) => each.docker_id === wire.network);
  const uplink = model.uplinkMap(wiring).get(wire.uplink);
  return [
    ["Network", network ? model.networkName(network) : ""],
    ["Addresses", wire.addresses.join(", ")],
    ["MAC", wire.mac_address],
    ["Port", wire.port_id],
    ["Status in Neutron", wire.port_id ? status(wire) : ""],
    ["Created by", wire.port_id && wire.endpoint_id ? (wire.adopted ? "the user (adopted)" : "kuryr") : ""],
    ["Kind of port", wire.vnic_type],
    ["Interface", wire.interface],
    ["Device", wire.device],
    ["State of the device", wire.device_state],
    ["Ends at", uplink ? `${model.uplinkKind(uplink)} ${uplink.name}` : ""],
    ["Address of the PF", uplink && uplink.address !== uplink.name ? uplink.address : ""],
    ["Physical network", uplink ? uplink.networks.join(", ") : ""],
    ["Endpoint", wire.endpoint_id],
    ["Sandbox", wire.sandbox],
  ];
}

function status(wire) {
  if (!wire.port_status) return "not asked yet";
  const isMarked = wire.marks.some((mark) => mark.kind === "down");
  const isUsual = wire.port_status !== "ACTIVE" && wire.endpoint_id && !isMarked;
  return isUsual ? `${wire.port_status}, as always for a port of this kind` : wire.port_status;
}

function networkFacts(network) {
  return [
    ["Subnets", network.cidrs.join(", ")],
    ["MTU", network.mtu ? String(network.mtu) : ""],
    ["Physical network", network.physical_network],
    ["Kind of port", network.vnic_type],
    ["Ports kept ready", network.ready ? String(network.ready) : ""],
    ["Internal", network.internal ? "yes" : ""],
    ["Created by", network.network_id ? (network.made ? "kuryr" : "the user") : ""],
    ["Docker network", network.docker_id],
    ["Neutron network", network.network_id],
  ];
}

function command({ purpose, words }) {
  const copy = set(make("button", "copy", "Copy"), { type: "button", "data-words": words });
  copy.setAttribute("aria-label", `Copy the command: ${purpose}`);
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(words);
      copy.textContent = "Copied";
    } catch {
      copy.textContent = "Not copied";
    }
  });
  return make("li", "", make("span", "purpose", purpose), make("code", "", words), copy);
}
