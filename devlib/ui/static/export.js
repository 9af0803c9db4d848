function base() {
  const data = document.getElementById("jupyter-config-data");
  return data ? JSON.parse(data.textContent).baseUrl : "/";
}
function cookie(name) {
  const found = document.cookie.split("; ").find((each) => each.startsWith(`${name}=`));
  return found ? decodeURIComponent(found.slice(name.length + 1)) : "";
}
async function ask(method, path, body) {
  const answer = await fetch(`${base()}exports/api${path}`, {
    method, credentials: "same-origin", cache: "no-store",
    headers: { "X-XSRFToken": cookie("_xsrf"), "Content-Type": "application/json", "Accept-Language": document.documentElement.lang },
    body: body && JSON.stringify(body),
  });
  return answer.status === 204 ? {} : answer.json();
}
export default {
  render({ model, el: root }) {
    place(root, model, "dl-export");
    const texts = model.get("texts");
    const bar = el("progress", { hidden: true, "aria-label": texts.export });
    const said = el("span", { role: "status", class: "dl-soft" });
    const fault = el("p", { class: "dl-fault", role: "alert", hidden: true });
    const cancel = el("button", { type: "button", class: "dl-button", hidden: true, onclick: () => ask("DELETE", `/${number}`).catch(() => {}) }, texts.cancel);
    const link = el("a", { class: "dl-button", hidden: true, download: true }, texts.again);
    const start = el("button", { type: "button", class: "dl-button dl-main", onclick: () => run() }, texts.export);
    let number = "", ended = false;
    root.append(el("div", { class: "dl-bar" }, start, cancel, link, bar, said), fault);
    const past = () => { start.disabled = model.get("past") || !bar.hidden; said.textContent = model.get("past") ? texts.past : ""; };
    model.on("change:past", past);
    past();
    const busy = (yes) => { start.disabled = yes; cancel.hidden = !yes; bar.hidden = !yes; };
    const fail = (text) => { busy(false); said.textContent = ""; fault.textContent = text; fault.hidden = false; root.dataset.export = "failed"; };
    const tell = (state) => {
      if (state.kind === "waiting") {
        bar.removeAttribute("value");
        const kind = state.place === 0 ? "sharing" : state.delayed ? "delayed" : "waiting";
        said.textContent = fill(texts[kind], { place: state.place, seconds: Math.ceil(state.seconds) });
      } else if (state.kind === "asked") {
        bar.max = state.total || 1; bar.value = state.done;
        said.textContent = fill(texts.asked, { done: shownNumber(model, state.done), total: shownNumber(model, state.total) });
      }
    };
    const run = async () => {
      busy(true); fault.hidden = true; link.hidden = true; bar.removeAttribute("value"); said.textContent = texts.starting; root.dataset.export = "running";
      try {
        const begun = await ask("POST", "", { query: model.get("query"), language: model.get("lang") });
        if (!begun.id) { fail(begun.text ?? texts.failed); return; }
        number = begun.id;
        for (let pause = 150; !ended; pause = Math.min(pause * 1.5, 1000)) {
          await new Promise((done) => setTimeout(done, pause));
          const state = await ask("GET", `/${number}`);
          if (state.kind === "error" || state.kind === "cancelled") { fail(state.text); return; }
          if (state.kind !== "done") { tell(state); continue; }
          busy(false);
          said.textContent = fill(texts.done, { rows: shownNumber(model, state.rows), name: state.name });
          link.href = `${base()}exports/api/${number}/file`;
          link.hidden = false;
          link.click();
          root.dataset.export = "done";
          return;
        }
      } catch (error) { fail(texts.failed); }
    };
    root.dataset.ready = "1";
    return () => { ended = true; model.off("change:past", past); };
  },
};
