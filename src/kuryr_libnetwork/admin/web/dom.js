// SPDX-FileCopyrightText: The kuryr-libnetwork authors
// SPDX-License-Identifier: Apache-2.0
// Elements are made here alone. Whatever others may have written becomes text, never markup.

export function make(tag, name = "", ...children) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  element.append(...children.filter((child) => child !== null && child !== ""));
  return element;
}

export function unseen(text) {
  return make("span", "unseen", text);
}

// Makes the children of `parent` these, in this order, and moves none that is in its place: it would lose the focus.
export function arrange(parent, children) {
  const wanted = new Set(children);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  children.forEach((child, place) => {
    if (parent.children[place] !== child) parent.insertBefore(child, parent.children[place] ?? null);
  });
}

export function set(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null) element.removeAttribute(name);
    else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, String(value));
  }
  return element;
}
