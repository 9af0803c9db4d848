const TICK = 20000, PATIENCE = 15000;
export default {
  render({ model, el: root }) {
    place(root, model, "dl-door");
    const fault = el("p", { class: "dl-fault", role: "alert", hidden: true });
    const again = el("button", { type: "button", class: "dl-button", onclick: () => location.reload() }, model.get("texts").again);
    const lost = el("div", { class: "dl-warning", role: "alert", hidden: true }, el("p", {}, model.get("texts").lost), again);
    root.append(lost, fault);
    const page = document.documentElement;
    let heard = Date.now(), asked = 0;
    const languages = () => {
      for (const link of document.querySelectorAll("a[data-language]")) {
        const query = new URLSearchParams(location.search);
        query.set("lang", link.lang);
        link.href = `?${query}`;
      }
    };
    const receive = (content) => {
      heard = Date.now();
      lost.hidden = true;
      if (content.kind === "error") { fault.textContent = content.text; fault.hidden = false; document.getElementById("devlib-first")?.remove(); page.dataset.devlib = "failed"; }
      if (content.kind === "tock") fault.hidden = true;
      if (content.kind === "ready") { fault.hidden = true; document.getElementById("devlib-first")?.remove(); page.dataset.devlib = "ready"; }
      if (content.kind === "link") {
        const query = new URLSearchParams(content.link);
        const lang = new URLSearchParams(location.search).get("lang");
        if (lang) query.set("lang", lang);
        history.replaceState(null, "", query.size ? `?${query}` : location.pathname);
        languages();
      }
    };
    const words = () => {
      root.lang = model.get("lang");
      lost.firstChild.textContent = model.get("texts").lost;
      again.textContent = model.get("texts").again;
    };
    const tick = () => {
      if (document.visibilityState !== "visible") return;
      asked = Date.now();
      model.send({ kind: "tick" });
      setTimeout(() => { lost.hidden = heard >= asked; }, PATIENCE);
    };
    model.on("msg:custom", receive);
    model.on("change:texts", words);
    const timer = setInterval(tick, TICK);
    const seen = () => { if (document.visibilityState === "visible" && Date.now() - heard > TICK) tick(); };
    document.addEventListener("visibilitychange", seen);
    const session = document.querySelector('meta[name="devlib-session"]')?.content;
    if (session) model.send({ kind: "hello", session, link: location.search.slice(0, 8000) });
    return () => { clearInterval(timer); document.removeEventListener("visibilitychange", seen); model.off("msg:custom", receive); model.off("change:texts", words); };
  },
};
