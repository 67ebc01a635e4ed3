// SPDX-FileCopyrightText: The kuryr-libnetwork authors
// SPDX-License-Identifier: Apache-2.0
// What of the wiring is shown, and in which words. Pure functions: no document, no network.

export const LOOSE = "";
const MANY = 60; // wires on the board; up to so many are all shown
const FEW = 4; // wires that are well and shown of a network, if there are more in all
const NEWS = 3; // changes that are told one by one
const SHORT = 12; // characters of Docker's ids
const SYMBOLS = { down: "▼", suspect: "◆", quarantine: "■", passing: "◌" };

export const symbol = (mark) => SYMBOLS[mark.kind] ?? "◌";
export const short = (id) => (id.length > 24 && !id.includes("-") ? id.slice(0, SHORT) : id.slice(0, 8));
export const isTrouble = (thing) => thing.marks.some((mark) => mark.kind !== "passing");
export const networkName = (network) => network.name || (network.docker_id ? short(network.docker_id) : "On no network");

export function wireName(wire) {
  return wire.container || (wire.endpoint_id ? `endpoint ${short(wire.endpoint_id)}` : "no container");
}

export function interfaceName(wire) {
  return wire.device || wire.interface || "no interface";
}

export function plural(count, word) {
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}

// The text of an item for those who hear the page.
export function spoken(wire, uplinks) {
  const uplink = uplinks.get(wire.uplink);
  const words = [wireName(wire), ...wire.addresses];
  if (wire.port_id) words.push(`port ${short(wire.port_id)}${wire.port_status === "ACTIVE" ? " ACTIVE" : ""}`);
  words.push(wire.device ? `device ${wire.device}` : `interface ${interfaceName(wire)}`);
  if (uplink) words.push(`to ${uplinkKind(uplink)} ${uplink.name}`);
  for (const mark of wire.marks) words.push(mark.why ? `${mark.text}: ${mark.why}` : mark.text);
  return words.join(", ");
}

export function spokenNetwork(network, count) {
  const marks = network.marks.map((mark) => mark.text);
  return [`Network ${networkName(network)}`, ...network.cidrs, plural(count, "wire"), ...marks].join(", ");
}

export function uplinkKind(uplink) {
  return { bridge: "bridge", pf: "PF", interface: "interface" }[uplink.kind] ?? "";
}

function text(wire, network, uplink) {
  const marks = wire.marks.flatMap((mark) => [mark.text, mark.why]);
  const of = [wire.container, wire.endpoint_id, wire.port_id, wire.port_status, wire.mac_address, ...wire.addresses];
  const on = [network.name, network.docker_id, network.network_id, network.physical_network, ...network.cidrs];
  const at = [wire.interface, wire.device, wire.device_state, uplink ? uplink.name : "", uplink ? uplink.address : ""];
  return [...of, ...on, ...at, ...marks].join("\n").toLowerCase();
}

// The networks with their wires, as they are to be drawn. `unfolded`: keys of networks of which all is shown;
// `closed`: of which nothing is.
export function sections(wiring, { query = "", onlyTroubles = false, unfolded = new Set(), closed = new Set() } = {}) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const uplinks = uplinkMap(wiring);
  const narrowed = words.length > 0 || onlyTroubles;
  const byNetwork = new Map(wiring.networks.map((network) => [network.docker_id, { network, all: [] }]));
  for (const wire of wiring.wires) {
    if (!byNetwork.has(wire.network)) byNetwork.set(wire.network, { network: unknownNetwork(wire.network), all: [] });
    byNetwork.get(wire.network).all.push(wire);
  }
  const found = [];
  for (const { network, all } of byNetwork.values()) {
    const fits = (wire) => {
      const where = text(wire, network, uplinks.get(wire.uplink));
      return words.every((word) => where.includes(word)) && (!onlyTroubles || isTrouble(wire));
    };
    const wires = narrowed ? all.filter(fits) : all;
    const named = words.length > 0 && !onlyTroubles && words.every((word) => networkText(network).includes(word));
    if (narrowed && !wires.length && !named && !(onlyTroubles && !words.length && isTrouble(network))) continue;
    const folds = !narrowed && wiring.wires.length > MANY && !unfolded.has(network.docker_id);
    const isClosed = !narrowed && closed.has(network.docker_id);
    const shown = isClosed ? [] : folds ? folded(wires) : wires;
    const hidden = isClosed ? [] : wires.filter((wire) => !shown.includes(wire));
    const mayFold = !narrowed && !isClosed && wiring.wires.length > MANY && folded(wires).length < wires.length;
    found.push({ network, count: all.length, wires: shown, hidden, isClosed, mayFold });
  }
  return found;
}

const networkText = (network) => [network.name, network.docker_id, network.network_id].join("\n").toLowerCase();

function folded(wires) {
  const well = wires.filter((wire) => !wire.marks.length);
  if (well.length <= FEW + 1) return wires;
  const first = new Set(well.slice(0, FEW));
  return wires.filter((wire) => wire.marks.length || first.has(wire));
}

function unknownNetwork(id) {
  return { docker_id: id, name: "", network_id: "", cidrs: [], mtu: 0, physical_network: "", marks: [], commands: [] };
}

export function uplinkMap(wiring) {
  return new Map(wiring.uplinks.map((uplink) => [uplink.key, uplink]));
}

// What has changed, in a few words for those who do not see the board.
export function news(before, after) {
  const old = new Map(before.wires.map((wire) => [wire.key, wire]));
  const now = new Map(after.wires.map((wire) => [wire.key, wire]));
  const found = [];
  for (const [key, wire] of now) if (!old.has(key)) found.push(`${wireName(wire)} is new`);
  for (const [key, wire] of old) if (!now.has(key)) found.push(`${wireName(wire)} is gone`);
  for (const [key, wire] of now) {
    const was = old.get(key);
    if (was && words(was) !== words(wire)) found.push(`${wireName(wire)}: ${words(wire) || "well again"}`);
  }
  return found.length > NEWS ? `${found.slice(0, NEWS).join("; ")}; and ${found.length - NEWS} more` : found.join("; ");
}

const words = (wire) => wire.marks.map((mark) => mark.text).join(", ");
