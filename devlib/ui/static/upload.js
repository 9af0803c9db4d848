export default {
  render({ model, el: root }) {
    place(root, model, "dl-upload");
    const texts = model.get("texts");
    const input = el("input", { type: "file", accept: ".csv,.txt,text/csv", class: "dl-file", onchange: () => { if (input.files[0]) begin(input.files[0]); input.value = ""; } });
    const bar = el("progress", { hidden: true, max: "1", "aria-label": texts.sending });
    const said = el("p", { role: "status" });
    const fault = el("p", { class: "dl-fault", role: "alert", hidden: true });
    const drop = el("div", { class: "dl-drop" }, el("label", { class: "dl-filelabel" }, `${model.get("label")} `, input), el("span", { class: "dl-soft" }, texts.drop), bar);
    drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("dl-over"); });
    drop.addEventListener("dragleave", () => drop.classList.remove("dl-over"));
    drop.addEventListener("drop", (event) => { event.preventDefault(); drop.classList.remove("dl-over"); const file = event.dataTransfer.files[0]; if (file) begin(file); });
    root.append(drop, said, fault);
    let file;
    const begin = (chosen) => {
      file = chosen; fault.hidden = true; said.textContent = texts.sending; bar.hidden = false; bar.value = 0; root.dataset.upload = "sending";
      model.send({ kind: "begin", name: file.name.slice(0, 300), size: file.size });
    };
    const heard = async (content) => {
      if (content.kind === "error") { fault.textContent = content.text; fault.hidden = false; said.textContent = ""; bar.hidden = true; root.dataset.upload = "failed"; }
      if (content.kind === "more" && file) {
        bar.value = content.size ? content.from / content.size : 1;
        if (content.from >= content.size) { said.textContent = fill(texts.sent, { name: file.name }); bar.hidden = true; root.dataset.upload = "sent"; return; }
        const piece = await file.slice(content.from, content.from + content.piece).arrayBuffer();
        model.send({ kind: "piece" }, undefined, [piece]);
      }
    };
    model.on("msg:custom", heard);
    root.dataset.ready = "1";
    return () => model.off("msg:custom", heard);
  },
};
