// SPDX-FileCopyrightText: The kuryr-libnetwork authors
// SPDX-License-Identifier: Apache-2.0
// Draws the board. A network is a rail on the left, a bridge or PF a rail on the right, and each wire a row between
// them: the drawing and the tree that is read aloud are the same elements.

import { arrange, make, set } from "./dom.js";
import * as model from "./model.js";

// How far rails are apart, in pixels. Where there is no room for names that lie, they stand.
const WIDEST = 136;
const LYING = 96;
const STANDING = 30;
const DENSE = 24; // from here on names alone
const LEAST = 12;
const CELLS = 22 + 120 + 170 + 142 + 30; // what the other columns need, and the margins

export class Board {
  constructor(tree, uplinks, rails, board) {
    this.tree = tree;
    this.uplinks = uplinks;
    this.rails = rails;
    this.board = board;
    this.items = new Map(); // by key: the element, and what it was made of
    this.places = new Map(); // by the key of an uplink: where its rail is
  }

  draw(wiring, sections, selected) {
    const focused = this.tree.contains(document.activeElement) ? document.activeElement : null;
    const before = this.visible();
    this.drawUplinks(wiring);
    const uplinks = model.uplinkMap(wiring);
    const used = new Set();
    const networks = sections.map((section, place) => {
      const item = this.network(section, place, sections.length);
      used.add(item.dataset.key);
      const rows = section.wires.map((wire) => this.wire(wire, uplinks));
      if (section.mayFold) rows.push(this.more(section));
      rows.forEach((row, index) => {
        used.add(row.dataset.key);
        set(row, { "aria-setsize": rows.length, "aria-posinset": index + 1 });
      });
      arrange(item.lastElementChild, rows);
      return item;
    });
    arrange(this.tree, networks);
    for (const key of [...this.items.keys()]) if (!used.has(key)) this.items.delete(key);
    this.select(selected);
    this.keepFocus(focused, before);
  }

  // -- rails on the right ---------------------------------------------------------------------------------------------

  drawUplinks(wiring) {
    const count = Math.max(wiring.uplinks.length, 1);
    const room = Math.min(WIDEST, Math.floor((this.board.clientWidth - CELLS) / count));
    const step = room >= LYING ? room : Math.max(LEAST, Math.min(STANDING, room));
    this.board.dataset.rails = step >= LYING ? "lying" : step >= DENSE ? "standing" : "dense";
    this.board.style.setProperty("--rails", `${count * step}px`);
    this.board.style.setProperty("--step", `${step}px`);
    this.places = new Map(wiring.uplinks.map((uplink, place) => [uplink.key, place * step + step / 2]));
    const counts = new Map();
    for (const wire of wiring.wires) counts.set(wire.uplink, (counts.get(wire.uplink) ?? 0) + 1);
    const told = JSON.stringify([wiring.uplinks, [...counts], step]);
    if (told === this.told) return;
    this.told = told;
    this.uplinks.replaceChildren(...wiring.uplinks.map((uplink) => uplinkLabel(uplink, counts.get(uplink.key) ?? 0)));
    this.rails.replaceChildren(
      ...wiring.uplinks.map((uplink) => {
        const rail = make("i", "rail");
        rail.dataset.key = uplink.key;
        rail.style.setProperty("--x", `${this.places.get(uplink.key)}px`);
        return rail;
      }),
    );
  }

  // -- items ----------------------------------------------------------------------------------------------------------

  item(key, told, fill) {
    const text = JSON.stringify(told);
    let known = this.items.get(key);
    if (!known) {
      const element = set(make("li"), { role: "treeitem", tabindex: -1, "data-key": key });
      known = { element, text: null };
      this.items.set(key, known);
      if (this.tree.children.length) element.classList.add("is-new");
    }
    if (known.text !== text) {
      known.text = text;
      fill(known.element);
    }
    return known.element;
  }

  network({ network, count, isClosed }, place, size) {
    const item = this.item(`network:${network.docker_id}`, [network, count, isClosed], (element) => {
      element.classList.add("network");
      const name = make("span", "net-name", model.networkName(network));
      const facts = [...network.cidrs, network.mtu ? `MTU ${network.mtu}` : "", network.physical_network];
      if (network.ready) facts.push(`${model.plural(network.ready, "port")} ready`);
      const line = make(
        "div",
        "line net",
        make("span", "twist"),
        name,
        ...network.marks.map(badge),
        make("span", "net-facts", facts.filter(Boolean).join(" · ")),
        make("span", "net-count", String(count)),
      );
      // The list below stays where it is: what has the focus in it would lose it.
      if (element.firstChild) element.firstChild.replaceWith(line);
      else element.append(line, set(make("ul"), { role: "group" }));
    });
    const label = model.spokenNetwork(network, count);
    set(item, { "aria-level": 1, "aria-label": label, "aria-setsize": size, "aria-posinset": place + 1 });
    return set(item, { "aria-expanded": String(!isClosed) });
  }

  wire(wire, uplinks) {
    const uplink = uplinks.get(wire.uplink);
    const x = this.places.get(wire.uplink);
    const item = this.item(wire.key, [wire, uplink, x], (element) => {
      element.classList.add("wire");
      const worst = ["down", "quarantine", "suspect", "passing"].find((kind) =>
        wire.marks.some((mark) => mark.kind === kind),
      );
      set(element, { "data-mark": worst ?? null, "data-container": wire.container || null });
      const line = make("div", "line", make("span", "tap"), portCell(wire), containerCell(wire), interfaceCell(wire));
      line.append(endCell(uplink ? [x] : [], uplink ? uplink.name : ""));
      element.replaceChildren(line);
    });
    return set(item, { "aria-level": 2, "aria-label": model.spoken(wire, uplinks), "aria-selected": "false" });
  }

  more({ network, hidden }) {
    const key = `more:${network.docker_id}`;
    const xs = [...new Set(hidden.map((wire) => this.places.get(wire.uplink)))].filter((x) => x !== undefined);
    const text = hidden.length ? `${hidden.length} more, all well` : "Show fewer";
    const item = this.item(key, [text, xs], (element) => {
      element.classList.add("more");
      const words = make("span", "more-text", text, lead());
      element.replaceChildren(make("div", "line", make("span", "tap"), words, endCell(xs, "")));
    });
    const label = hidden.length ? `${text} on ${model.networkName(network)}: show them` : text;
    return set(item, { "aria-level": 2, "aria-label": label });
  }

  // -- focus and selection --------------------------------------------------------------------------------------------

  visible() {
    return [...this.tree.querySelectorAll("[role=treeitem]")];
  }

  select(key) {
    for (const element of this.visible()) {
      set(element, { "aria-selected": String(element.dataset.key === key) });
    }
    const wire = this.items.get(key)?.element;
    const container = wire?.dataset.container;
    for (const element of this.tree.querySelectorAll(".wire")) {
      element.classList.toggle("is-kin", Boolean(container) && element.dataset.container === container);
    }
  }

  // What has the focus keeps it; if it has gone, its neighbour gets it.
  keepFocus(focused, before) {
    const now = this.visible();
    if (focused && !focused.isConnected) {
      const gone = before.indexOf(focused);
      const next = [...before.slice(gone), ...before.slice(0, gone).reverse()].find((each) => each.isConnected);
      this.focus(next ?? now[0] ?? this.tree);
    }
    if (!now.some((each) => each.tabIndex === 0) && now.length) now[0].tabIndex = 0;
  }

  focus(item) {
    for (const each of this.visible()) each.tabIndex = each === item ? 0 : -1;
    item.focus();
  }
}

function uplinkLabel(uplink, count) {
  const address = uplink.address === uplink.name ? "" : uplink.address;
  const under = [model.uplinkKind(uplink), address].filter(Boolean).join(" ");
  const last = [...uplink.networks, model.plural(count, "wire")].join(" · ");
  const item = make("li", `uplink uplink-${uplink.kind}`, make("b", "", uplink.name || "not known"));
  item.append(make("small", "", under), make("small", "uplink-count", last));
  item.title = [uplink.name, under, last].join(", ");
  return item;
}

function badge(mark) {
  const element = make("span", `badge badge-${mark.kind}`, `${model.symbol(mark)} ${mark.text}`);
  element.title = mark.why;
  return element;
}

const lead = () => make("i", "lead");

function portCell(wire) {
  const address = wire.addresses[0] ?? "";
  const more = wire.addresses.length > 1 ? `+${wire.addresses.length - 1}` : "";
  const chip = make("span", "chip port", make("b", "", address || "no address"), more && make("small", "", more));
  if (wire.port_id) chip.append(make("small", "id", model.short(wire.port_id)));
  if (wire.adopted) chip.append(make("small", "tag", "adopted"));
  return make("span", "cell cell-port", chip, lead());
}

function containerCell(wire) {
  const name = make("span", wire.container ? "" : "nobody", model.wireName(wire));
  return make("span", "cell cell-container", make("span", "chip", name), ...wire.marks.map(badge), lead());
}

function interfaceCell(wire) {
  const chip = make("span", `chip ${wire.device ? "device" : "interface"}`);
  if (wire.device) chip.append(make("small", "tag", wire.device === wire.uplink.slice(3) ? "PF" : "VF"));
  chip.append(make("span", "mono", model.interfaceName(wire)));
  return make("span", "cell cell-interface", chip, lead());
}

// The last piece of a wire: up to its rail, or its rails, with a dot at each.
function endCell(xs, name) {
  const cell = make("span", "ends");
  if (xs.length) {
    const last = make("i", "lead");
    last.style.setProperty("--x", `${Math.max(...xs)}px`);
    cell.append(last);
  }
  for (const x of xs) {
    const dot = make("i", "joint");
    dot.style.setProperty("--x", `${x}px`);
    cell.append(dot);
  }
  if (name) cell.append(make("span", "ends-name", name));
  return cell;
}
