export default {
  render({ model, el: root }) {
    place(root, model, "dl-download");
    const texts = model.get("texts");
    const bar = el("progress", { hidden: true, max: "1", "aria-label": texts.fetching });
    const said = el("p", { role: "status" });
    const fault = el("p", { class: "dl-fault", role: "alert", hidden: true });
    const button = el("button", { type: "button", class: "dl-button dl-main", onclick: () => { button.disabled = true; fault.hidden = true; said.textContent = texts.fetching; model.send({ kind: "begin" }); } }, model.get("label"));
    let pieces = [], total = 0, asked = 0;
    const ask = () => { if (asked < total) { model.send({ kind: "piece", place: asked }); asked += 1; } };
    const finish = () => {
      const address = URL.createObjectURL(new Blob(pieces, { type: "text/csv;charset=utf-8" }));
      const link = el("a", { href: address, download: model.get("name") });
      link.click();
      setTimeout(() => URL.revokeObjectURL(address), 60000);
      said.textContent = fill(texts.done, { name: model.get("name") });
      bar.hidden = true; button.disabled = false; pieces = [];
    };
    const heard = (content, buffers) => {
      if (content.kind === "error") { fault.textContent = content.text; fault.hidden = false; button.disabled = false; said.textContent = ""; bar.hidden = true; }
      if (content.kind === "begin") {
        total = Math.ceil(content.size / content.piece); asked = 0; pieces = [];
        if (!total) { finish(); return; }
        bar.hidden = false; bar.value = 0;
        for (let each = 0; each < 4; each += 1) ask();
      }
      if (content.kind === "piece") {
        pieces[content.place] = buffers[0];
        const there = pieces.filter(Boolean).length;
        bar.value = there / total;
        if (there === total) finish(); else ask();
      }
    };
    model.on("msg:custom", heard);
    root.append(el("div", { class: "dl-bar" }, button, bar), said, fault);
    root.dataset.ready = "1";
    return () => model.off("msg:custom", heard);
  },
};
