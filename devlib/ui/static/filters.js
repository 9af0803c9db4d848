export default {
  render({ model, el: root }) {
    place(root, model, "dl-filters");
    const texts = model.get("texts");
    let controls = {};
    const fault = el("p", { class: "dl-fault", role: "alert", hidden: true });
    const heard = (content) => { if (content.kind === "error") { fault.textContent = content.text; fault.hidden = false; } };
    const read = () => Object.fromEntries(Object.entries(controls).map(([name, control]) => [name, control.read()]));
    const send = () => { fault.hidden = true; model.send({ kind: "filter", values: read() }); };
    const build = ({ name, label, kind, options }) => {
      if (kind === "several") {
        const boxes = options.map(([value, text]) => {
          const box = el("input", { type: "checkbox", value, onchange: send });
          return [box, el("label", { class: "dl-inline dl-check", "data-state": value }, box, text)];
        });
        controls[name] = { read: () => boxes.filter(([box]) => box.checked).map(([box]) => box.value), write: (values) => boxes.forEach(([box]) => { box.checked = values.includes(box.value); }) };
        return el("fieldset", { class: "dl-fieldset" }, el("legend", {}, label), ...boxes.map(([, line]) => line));
      }
      if (kind === "moment") {
        // The link says UTC; people read and write their own time.
        const local = (moment) => new Date(moment - moment.getTimezoneOffset() * 60000).toISOString().slice(0, 16);
        const input = el("input", { class: "dl-input", type: "datetime-local", max: local(new Date()), onchange: send });
        controls[name] = {
          read: () => (input.value ? [`${new Date(input.value).toISOString().slice(0, 16)}Z`] : []),
          write: (values) => { const value = values[0] ? local(new Date(values[0])) : ""; if (input.value !== value) input.value = value; },
        };
        return el("label", {}, label, input);
      }
      if (kind === "text") {
        let timer;
        const input = el("input", { class: "dl-input", type: "search", placeholder: texts.hint, maxlength: "200", oninput: () => { clearTimeout(timer); timer = setTimeout(send, 120); } });
        controls[name] = { read: () => (input.value.trim() ? [input.value.trim()] : []), write: (values) => { if (document.activeElement !== input) input.value = values[0] ?? ""; } };
        return el("label", { class: "dl-wide" }, label, input);
      }
      const list = el("select", { onchange: send }, el("option", { value: "" }, texts.all), ...options.map(([value, text]) => el("option", { value }, text)));
      controls[name] = {
        read: () => (list.value ? [list.value] : []),
        write: (values) => {
          const value = values[0] ?? "";
          // A link may name what is not offered (any more): it is shown, not silently dropped.
          if (value && ![...list.options].some((each) => each.value === value)) list.append(el("option", { value }, value));
          list.value = value;
        },
      };
      return el("label", {}, label, list);
    };
    const fields = () => {
      const focused = document.activeElement?.closest("[data-field]")?.dataset.field;
      controls = {};
      const made = model.get("fields").map((field) => { const control = build(field); control.dataset.field = field.name; return control; });
      const reset = el("button", { type: "button", class: "dl-button", onclick: () => { Object.values(controls).forEach((control) => control.write([])); send(); } }, texts.reset);
      root.replaceChildren(el("form", { class: "dl-fields", role: "search", "aria-label": texts.filters, onsubmit: (event) => event.preventDefault() }, ...made, reset), fault);
      values();
      if (focused) root.querySelector(`[data-field="${focused}"] input, [data-field="${focused}"] select`)?.focus();
      root.dataset.ready = "1";
    };
    const values = () => { const now = model.get("values"); Object.entries(controls).forEach(([name, control]) => control.write(now[name] ?? [])); };
    model.on("msg:custom", heard);
    model.on("change:fields", fields);
    model.on("change:values", values);
    fields();
    return () => { model.off("msg:custom", heard); model.off("change:fields", fields); model.off("change:values", values); };
  },
};
