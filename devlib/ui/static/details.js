export default {
  render({ model, el: root }) {
    place(root, model, "dl-details");
    const draw = () => {
      const entries = model.get("entries");
      const shown = (value) => (/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(value) ? shownMoment(model, value) : value);
      root.replaceChildren(entries.length
        ? el("dl", { class: "dl-list" }, ...entries.map(({ header, value, state }) => el("div", {}, el("dt", {}, header), el("dd", { "data-state": state || null }, shown(value)))))
        : el("p", { class: "dl-empty" }, model.get("hint")));
      root.dataset.ready = String(entries.length || "0");
    };
    model.on("change:entries", draw);
    draw();
    return () => model.off("change:entries", draw);
  },
};
