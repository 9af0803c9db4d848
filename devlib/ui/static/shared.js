// What all widgets share: building elements without markup, words with values, numbers and moments as people write them.
function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "class") made.className = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  // Strings become text nodes: nothing that a phone says is ever markup.
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}
function fill(text, values) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}
function locale(model) { return model.get("lang") === "fr" ? "fr-FR" : "en-GB"; }
function shownNumber(model, value) { return new Intl.NumberFormat(locale(model)).format(value); }
function shownMoment(model, iso) {
  const moment = new Date(iso);
  if (Number.isNaN(moment.getTime())) return iso;
  return new Intl.DateTimeFormat(locale(model), { dateStyle: "short", timeStyle: "medium" }).format(moment);
}
function place(root, model, ...classes) {
  root.classList.add("dl", ...classes);
  root.lang = model.get("lang");
}
let numbered = 0;
function fresh(prefix) { numbered += 1; return `${prefix}-${Math.random().toString(36).slice(2, 8)}-${numbered}`; }
