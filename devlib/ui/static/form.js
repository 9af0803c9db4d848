export default {
  render({ model, el: root }) {
    place(root, model, "dl-form");
    const fault = el("p", { class: "dl-fault", role: "alert", hidden: true });
    const send = (name, value) => { fault.hidden = true; model.send({ kind: "set", name, value: String(value).slice(0, 2000) }); };
    const field = ({ name, label, kind, value, options, place: chosen }) => {
      if (options) {
        const list = el("select", { onchange: () => send(name, list.selectedIndex) }, ...options.map((text) => el("option", {}, text)));
        list.selectedIndex = chosen;
        return el("label", {}, label, list);
      }
      if (kind === "switch") {
        const box = el("input", { type: "checkbox", onchange: () => send(name, box.checked) });
        box.checked = value;
        return el("label", { class: "dl-inline" }, box, label);
      }
      const input = el("input", { class: "dl-input", type: kind === "number" ? "number" : "text", step: "any", onchange: () => send(name, input.value) });
      input.value = value ?? "";
      return el("label", {}, label, input);
    };
    root.append(el("div", { class: "dl-fields" }, ...model.get("fields").map(field)), fault);
    const heard = (content) => { if (content.kind === "error") { fault.textContent = content.text; fault.hidden = false; } };
    model.on("msg:custom", heard);
    root.dataset.ready = "1";
    return () => model.off("msg:custom", heard);
  },
};
