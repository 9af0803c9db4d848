export default {
  render({ model, el: root }) {
    place(root, model, "dl-tiles-box");
    const age = el("p", { class: "dl-age" });
    const list = el("ul", { class: "dl-tiles" });
    const notes = el("div");
    const verdict = el("p", { hidden: true });
    root.append(verdict, age, list, notes);
    const draw = () => {
      const tiles = model.get("tiles");
      while (list.children.length > tiles.length) list.lastChild.remove();
      tiles.forEach((tile, place) => {
        const item = list.children[place] ?? list.appendChild(el("li", { class: "dl-tile" }, el("b"), el("span")));
        if (tile.state) item.dataset.state = tile.state;
        if (item.firstChild.textContent !== tile.value) item.firstChild.textContent = tile.value;
        if (item.lastChild.textContent !== tile.label) item.lastChild.textContent = tile.label;
      });
      const { text: told = "", well = false } = model.get("verdict");
      if (verdict.textContent !== told) verdict.textContent = told;
      verdict.className = well ? "dl-well" : "dl-ill";
      verdict.hidden = !told;
      const { text = "", stale = false, past = false } = model.get("age");
      if (age.textContent !== text) age.textContent = text;
      age.className = past ? "dl-past" : stale ? "dl-warning" : "dl-age";
      root.classList.toggle("dl-of-past", past);
      const said = JSON.stringify(model.get("warnings"));
      if (notes.dataset.said !== said) {
        notes.dataset.said = said;
        notes.replaceChildren(...model.get("warnings").map((text) => el("p", { class: "dl-warning" }, text)));
      }
      root.dataset.ready = "1";
    };
    const names = ["change:tiles", "change:age", "change:verdict", "change:warnings"];
    names.forEach((name) => model.on(name, draw));
    draw();
    return () => names.forEach((name) => model.off(name, draw));
  },
};
