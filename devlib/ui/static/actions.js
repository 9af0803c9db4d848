export default {
  render({ model, el: root }) {
    place(root, model, "dl-actions");
    const texts = model.get("texts");
    const heading = el("h2"), fields = el("div", { class: "dl-fields" }), buttons = el("div", { class: "dl-bar" });
    const said = el("div", { role: "status", "aria-live": "polite" });
    const question = el("p"), ask = fresh("dl-ask");
    question.id = ask;
    const yes = el("button", { type: "button", class: "dl-button dl-danger", onclick: () => { dialog.close(); go(pending); } }, texts.yes);
    const no = el("button", { type: "button", class: "dl-button", onclick: () => dialog.close() }, texts.no);
    const dialog = el("dialog", { "aria-labelledby": ask }, question, el("div", { class: "dl-bar" }, yes, no));
    let controls = {}, pending = "";
    const form = el("form", { onsubmit: (event) => { event.preventDefault(); const first = model.get("buttons")[0]; if (first) press(first); } }, fields, buttons);
    root.append(heading, form, said, dialog);
    const go = (name) => model.send({ kind: "act", name, values: Object.fromEntries(Object.entries(controls).map(([key, control]) => [key, control.value.slice(0, 500)])) });
    const press = ({ name, confirm }) => {
      if (!form.reportValidity()) return;
      if (!confirm) { go(name); return; }
      pending = name; question.textContent = confirm; dialog.showModal(); no.focus();
    };
    const build = () => {
      heading.textContent = model.get("title");
      controls = {};
      fields.replaceChildren(...model.get("fields").map(({ name, label, options, kind, needed }) => {
        const control = options.length
          ? el("select", { required: needed }, ...(needed ? [] : [el("option", { value: "" }, "–")]), ...options.map((value) => el("option", { value }, value)))
          : el("input", { class: "dl-input", type: kind, required: needed, maxlength: "500", autocomplete: "off", min: kind === "number" ? "1" : null });
        controls[name] = control;
        return el("label", {}, label, control);
      }));
      buttons.replaceChildren(...model.get("buttons").map((button, place) =>
        el("button", { type: place || button.danger ? "button" : "submit", class: `dl-button${button.danger ? " dl-danger" : place ? "" : " dl-main"}`, "data-act": button.name, onclick: (event) => { event.preventDefault(); press(button); } }, button.label)));
    };
    const tell = () => {
      const { kind, lines = [] } = model.get("said");
      said.replaceChildren(...(kind ? [el("p", { class: `dl-${kind}` }, lines.join("\n"))] : []));
      root.dataset.said = kind ?? "";
    };
    const busy = () => {
      const now = model.get("busy") > 0;
      root.setAttribute("aria-busy", String(now));
      buttons.querySelectorAll("button").forEach((each) => { each.disabled = now; });
      if (now) said.replaceChildren(el("p", { class: "dl-soft" }, texts.busy)); else tell();
    };
    const heard = { "change:fields": build, "change:buttons": build, "change:title": build, "change:said": tell, "change:busy": busy };
    Object.entries(heard).forEach(([name, act]) => model.on(name, act));
    build(); tell(); busy();
    root.dataset.ready = "1";
    return () => Object.entries(heard).forEach(([name, act]) => model.off(name, act));
  },
};
