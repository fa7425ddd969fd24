// Elements and text nodes only: nothing of a stranger is ever parsed as markup.
// A style attribute is refused by the page's policy: set `node.style.x`.

function build(node, attributes, children) {
  if (attributes != null && Object.getPrototypeOf(attributes) !== Object.prototype) {
    children = [attributes, ...children];
    attributes = null;
  }
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value == null || value === false) continue;
    if (name.startsWith("on")) (node.handlers ??= {})[name] = node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...nodesOf(children));
  return node;
}

const nodesOf = (children) => children.flat(Infinity).filter((child) => child != null && child !== false);

/** Make an element: el("a", {href, onclick}, "text", node, [nodes], null). Attributes may be left out. */
export const el = (tag, attributes, ...children) => build(document.createElement(tag), attributes, children);

export const svg = (tag, attributes, ...children) =>
  build(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

/** Replace all children. */
export function fill(node, ...children) {
  node.replaceChildren(...nodesOf(children));
  return node;
}

const keyOf = (node) => node.dataset?.key ?? (node.id || undefined);

/** Make the children of a node like these, keeping what is there: focus, scroll, open details and typed text stay.
 * `data-key` tells rows apart; what stands inside an element with `data-own` is left to the view. */
export function patch(node, ...children) {
  mergeChildren(node, nodesOf(children).map((child) => child.nodeType ? child : document.createTextNode(child)));
  return node;
}

function mergeChildren(parent, fresh) {
  const keys = new Set(fresh.map(keyOf)), keyed = new Map();
  for (const child of [...parent.childNodes])
    if (keyOf(child) && !keys.has(keyOf(child))) child.remove();
    else if (keyOf(child)) keyed.set(keyOf(child), child);
  let at = parent.firstChild;
  for (const child of fresh) {
    let old = keyOf(child) ? keyed.get(keyOf(child)) : at && !keyOf(at) ? at : null;
    if (old?.nodeName !== child.nodeName) old = null;
    if (!old) parent.insertBefore(child, at);
    else {
      if (old === at) at = at.nextSibling;
      else parent.insertBefore(old, at);
      if (old !== child) updateNode(old, child);
    }
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

function updateNode(old, fresh) {
  if (old.nodeType !== 1) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  const own = new Set(["open", "style"]); // the reader opens and closes; the policy lets a script set single properties only
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && !own.has(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes)
    if (old.getAttribute(name) !== value && !own.has(name)) old.setAttribute(name, value);
  if (old.style.cssText !== fresh.style.cssText) old.style.cssText = fresh.style.cssText;
  for (const name in { ...old.handlers, ...fresh.handlers }) old[name] = fresh[name];
  old.handlers = fresh.handlers;
  if (!old.hasAttribute("data-own")) mergeChildren(old, [...fresh.childNodes]);
}

/** Return a figure of a `dl.figures`, with what stands below its value in small. */
export const figure = (name, value, ...below) => el("div", el("dt", name), el("dd", value, below.filter(Boolean).map((text) => el("small", text))));

/** Return a notice of an error, or of any problem and what to do about it. */
export const notice = ({ problem, remedy, message }, kind = "bad") =>
  el("div", { class: `notice ${kind}` }, el("p", el("strong", problem ?? message), " ", remedy));

/** Return a command with a button that copies it. */
export function command(text) {
  const code = el("code", text);
  const copy = el("button", { type: "button", class: "small", onclick: async () => {
    getSelection().selectAllChildren(code); // where the clipboard is not allowed, the reader copies what is selected
    await navigator.clipboard?.writeText(text).then(() => (copy.textContent = "Copied"), () => {});
  } }, "Copy");
  return el("div", { class: "command" }, code, copy);
}
