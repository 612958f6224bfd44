// What the components share: making elements, style sheets, one owner of the keyboard, help, names cut in the middle.

export function element(tag, properties = {}, ...children) {
  const { dataset, aria, ...rest } = properties;
  const made = Object.assign(document.createElement(tag), rest);
  Object.assign(made.dataset, dataset);
  for (const [name, value] of Object.entries(aria || {})) made.setAttribute(name === "role" ? name : `aria-${name}`, value);
  made.append(...children);
  return made;
}

const sheets = new Map();

export function sheet(name) {
  if (!sheets.has(name)) {
    sheets.set(name, fetch(new URL(name, import.meta.url)).then(async (answer) => {
      const made = new CSSStyleSheet();
      made.replaceSync(await answer.text());
      return made;
    }));
  }
  return sheets.get(name);
}

export const count = (n, one, many = `${one}s`) => `${n.toLocaleString("en-US")} ${n === 1 ? one : many}`;

// A name whose end stays readable when the middle does not fit; the whole name on hover.
export function nameElement(text, className = "name") {
  const tail = text.length > 12 ? 8 : 0;
  const made = element("span", { className, title: text });
  made.append(element("span", { className: "head", textContent: tail ? text.slice(0, -tail) : text }));
  if (tail) made.append(element("span", { className: "tail", textContent: text.slice(-tail) }));
  return made;
}

export const pictureUrl = (urls, id, size) => urls.image.replace("{size}", size).replace("{id}", id);

// -- the keyboard: the component that was touched last is asked first -----------------------------------------------------

const mounted = [];

export function take(component) {
  const place = mounted.indexOf(component);
  if (place >= 0) mounted.splice(place, 1);
  mounted.push(component);
}

function release(component) {
  const place = mounted.indexOf(component);
  if (place >= 0) mounted.splice(place, 1);
}

const TYPING = "input:not([type=range],[type=checkbox],[type=radio]), textarea, select, [contenteditable=true]";
const PRESSED = "button, a[href], summary, input, [role=button], [role=tab], [role=option], [role=radio], [role=slider]";
const STEPPED = "input, [role=tab], [role=option], [role=radio]:not(button), [role=slider]";

function meant(event, component) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return false;
  const path = event.composedPath();
  if (path[0].matches?.(TYPING)) return false;
  const dialog = document.querySelector("[role=dialog], [aria-modal=true]");
  if (dialog && !dialog.contains(component.root.host)) return false;
  // What has the focus keeps its own keys: a slider, tab or radio its arrows too, a plain button only those that press it.
  const kept = /^(Enter| )$/.test(event.key) ? PRESSED : /^(Arrow\w+|Home|End)$/.test(event.key) ? STEPPED : "";
  return !(kept && path[0] !== component.stage && path[0].matches?.(kept));
}

function dispatch(event) {
  const act = event.type === "keydown" ? "key" : "keyUp";
  const handled = mounted.findLast((one) => one.root.host?.isConnected && meant(event, one) && one[act]?.(event));
  if (!handled) return;
  event.preventDefault();
  event.stopImmediatePropagation(); // holds back Streamlit's own r and c
}

window.addEventListener("keydown", dispatch, true);
window.addEventListener("keyup", dispatch, true);

// A field of the sidebar keeps the focus after Enter, and the keys would go on into its text.
window.addEventListener("keydown", ({ key, target }) => {
  if (key === "Enter" && target.matches?.("[data-testid=stSidebar] [data-testid=stTextInput] input")) setTimeout(() => target.blur());
});

// A select box of the sidebar keeps the focus after a choice, and the keys would go on into its text.
new MutationObserver((changes) => {
  for (const { target, oldValue } of changes) {
    const closed = oldValue === "true" && target.getAttribute("aria-expanded") === "false";
    if (closed && target.matches("[data-testid=stSidebar] [role=combobox]")) target.blur();
  }
}).observe(document, { subtree: true, attributeFilter: ["aria-expanded"], attributeOldValue: true });

// -- life: one instance an element, kept over reruns ------------------------------------------------------------------

const instances = new WeakMap();

export function life(Component, styleSheets) {
  return (context) => {
    const root = context.parentElement;
    let component = instances.get(root);
    if (!component) {
      root.adoptedStyleSheets = styleSheets;
      component = new Component(root);
      instances.set(root, component);
      root.addEventListener("pointerdown", () => take(component), true);
      mounted.unshift(component);
    }
    component.context = context;
    component.update(context.data);
    // Streamlit also cleans up after a run that was overtaken while its import was under way: only the last one counts.
    const token = (component.token = {});
    return () => {
      if (component.token !== token) return;
      release(component);
      instances.delete(root);
      component.unmount();
    };
  };
}

// -- help -------------------------------------------------------------------------------------------------------------

export function helpDialog(title, keys) {
  const list = element("dl", { className: "keys" });
  for (const [key, meaning] of keys) {
    list.append(element("dt", {}, ...key.split(" ").map((k) => element("kbd", { textContent: k }))));
    list.append(element("dd", { textContent: meaning }));
  }
  const close = element("button", { className: "quiet", textContent: "Close" });
  const dialog = element("dialog", { className: "help", aria: { label: title } },
    element("h2", { textContent: title }), list, element("div", { className: "end" }, close));
  close.onclick = () => dialog.close();
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  return dialog;
}
