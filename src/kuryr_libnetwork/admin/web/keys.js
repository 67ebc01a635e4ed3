// SPDX-FileCopyrightText: The kuryr-libnetwork authors
// SPDX-License-Identifier: Apache-2.0
// The keys of a tree, as the ARIA practices have them.

export function listen(board, { open, toggle }) {
  board.tree.addEventListener("keydown", (event) => {
    const item = event.target.closest("[role=treeitem]");
    if (!item || event.ctrlKey || event.altKey || event.metaKey) return;
    const act = {
      ArrowDown: () => step(board, item, 1),
      ArrowUp: () => step(board, item, -1),
      Home: () => board.focus(board.visible()[0]),
      End: () => board.focus(board.visible().at(-1)),
      ArrowRight: () => right(board, item, toggle),
      ArrowLeft: () => left(board, item, toggle),
      Enter: () => open(item),
      " ": () => open(item),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  board.tree.addEventListener("click", (event) => {
    const item = event.target.closest("[role=treeitem]");
    if (!item || window.getSelection()?.toString()) return;
    board.focus(item);
    if (event.target.closest(".twist")) toggle(item);
    else open(item);
  });
}

function step(board, item, by) {
  const items = board.visible();
  const next = items[items.indexOf(item) + by];
  if (next) board.focus(next);
}

function right(board, item, toggle) {
  if (item.getAttribute("aria-expanded") === "false") toggle(item);
  else if (item.getAttribute("aria-expanded") === "true") step(board, item, 1);
}

function left(board, item, toggle) {
  if (item.getAttribute("aria-expanded") === "true") toggle(item);
  else if (item.getAttribute("aria-level") === "2") board.focus(item.parentElement.closest("[role=treeitem]"));
}
