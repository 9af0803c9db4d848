// Plotly is loaded once for each page: from the server where it offers the file, else from the kernel, once.
const COLOURS = { registered: "--registered", aged: "--aged", unregistered: "--unregistered", unknown: "--unknown", accent: "--accent", soft: "--soft", ink: "--ink", line: "--line", card: "--card", ground: "--ground" };

function loadScript(address) {
  return new Promise((done, failed) => {
    const script = el("script", { src: address });
    script.onload = () => done(window.Plotly);
    script.onerror = () => failed(new Error(address));
    document.head.append(script);
  });
}
function fromKernel(model) {
  return new Promise((done, failed) => {
    const timer = setTimeout(() => failed(new Error("timeout")), 60000);
    const heard = (content, buffers) => {
      if (content.kind !== "plotly") return;
      clearTimeout(timer);
      model.off("msg:custom", heard);
      const address = URL.createObjectURL(new Blob([buffers[0]], { type: "text/javascript" }));
      // JupyterLab has an AMD loader, which plotly would give itself to instead of the window.
      const define = window.define;
      window.define = undefined;
      loadScript(address).then(done, failed).finally(() => { window.define = define; URL.revokeObjectURL(address); });
    };
    model.on("msg:custom", heard);
    model.send({ kind: "plotly" });
  });
}
// Plotly speaks English by itself; the names of days and months are the browser's.
function speak(Plotly) {
  const names = (length, style) => Array.from({ length }, (_, at) => new Intl.DateTimeFormat("fr-FR", { ...style, timeZone: "UTC" })
    .format(new Date(Date.UTC(2023, style.month ? at : 0, style.month ? 1 : at + 1)))); // 1 January 2023 was a Sunday
  Plotly.register({
    moduleType: "locale", name: "fr", dictionary: {},
    format: {
      days: names(7, { weekday: "long" }), shortDays: names(7, { weekday: "short" }),
      months: names(12, { month: "long" }), shortMonths: names(12, { month: "short" }),
      date: "%d/%m/%Y", year: "%Y", month: "%b %Y", dayMonth: "%-d %b", dayMonthYear: "%-d %b %Y",
    },
  });
  return Plotly;
}
function plotly(model) {
  const address = document.querySelector('meta[name="devlib-plotly"]')?.content;
  window.devlibPlotly ??= (window.Plotly ? Promise.resolve(window.Plotly) : address ? loadScript(address) : fromKernel(model))
    .then(speak)
    .catch((error) => { window.devlibPlotly = undefined; throw error; });
  return window.devlibPlotly;
}
// Plotly's script alone keeps the browser's one thread for a second: on a page, rows and filters come before it.
const PATIENT_MS = 3000, LOOK_MS = 40;
function rowsFirst() {
  if (window.Plotly || !document.querySelector('meta[name="devlib-plotly"]')) return Promise.resolve();
  const limit = performance.now() + PATIENT_MS;
  return new Promise((done) => {
    const look = () => {
      const there = document.documentElement.dataset.devlib && !document.querySelector(".dl-grid-box:not([data-ready])");
      if (there || performance.now() > limit) requestAnimationFrame(() => setTimeout(done));
      else setTimeout(look, LOOK_MS);
    };
    look();
  });
}
function coloured(value, styles) {
  if (typeof value === "string" && value.startsWith("theme:")) return styles.getPropertyValue(COLOURS[value.slice(6)] ?? "--ink").trim();
  if (Array.isArray(value)) return value.map((each) => coloured(each, styles));
  if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, coloured(each, styles)]));
  return value;
}
function layoutOf(figure, styles, model) {
  const ink = styles.getPropertyValue("--ink").trim(), line = styles.getPropertyValue("--line").trim();
  const layout = coloured(figure.layout ?? {}, styles);
  for (const name of Object.keys(layout).filter((each) => /^[xy]axis/.test(each)).concat("xaxis", "yaxis")) {
    layout[name] = { gridcolor: line, zerolinecolor: line, linecolor: line, automargin: true, ...layout[name] };
  }
  return {
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: ink, family: "system-ui, sans-serif", size: 13 },
    margin: { l: 10, r: 10, t: 10, b: 10 }, height: model.get("height"), separators: model.get("lang") === "fr" ? ",\u202f" : ".,",
    hoverlabel: { bgcolor: styles.getPropertyValue("--card").trim(), font: { color: ink } }, uirevision: "kept", ...layout,
  };
}

export default {
  render({ model, el: root }) {
    place(root, model, "dl-chart");
    const texts = model.get("texts");
    const plot = el("div", { class: "dl-plot", role: "img", "aria-label": model.get("alt") });
    const waiting = el("p", { class: "dl-loading" }, texts.loading);
    const empty = el("p", { class: "dl-empty", hidden: true }, texts.empty);
    const caption = el("figcaption", {}, model.get("label"));
    plot.style.minHeight = `${model.get("height")}px`;
    root.append(el("figure", {}, caption, waiting, empty, plot));
    let ended = false, bound = false;
    const fault = el("p", { class: "dl-fault", role: "alert", hidden: true });
    root.append(fault);
    const heard = (content) => { if (content.kind === "error") { fault.textContent = content.text; fault.hidden = false; } };
    model.on("msg:custom", heard);
    const draw = async () => {
      try {
        const figure = model.get("figure"), busy = model.get("busy") > 0;
        const none = !(figure.data ?? []).length;
        waiting.hidden = !busy && (none || bound);
        root.setAttribute("aria-busy", String(busy));
        if (busy) fault.hidden = true;
        plot.setAttribute("aria-label", model.get("alt"));
        caption.textContent = model.get("label");
        empty.hidden = !none || busy || !fault.hidden;
        plot.hidden = none && !busy;
        if (none) { if (!busy) root.dataset.ready = "1"; return; }
        await rowsFirst();
        const Plotly = await plotly(model);
        if (ended || figure !== model.get("figure")) return; // a newer one is drawn by its own call
        const styles = getComputedStyle(root);
        await Plotly.react(plot, coloured(figure.data, styles), layoutOf(figure, styles, model), { displayModeBar: false, responsive: true, locale: model.get("lang") });
        waiting.hidden = model.get("busy") === 0;
        if (!bound) {
          bound = true;
          plot.on("plotly_click", (event) => {
            const point = event.points?.[0];
            if (point) model.send({ kind: "click", trace: point.curveNumber ?? 0, point: point.pointNumber?.[1] ?? point.pointNumber ?? 0, x: String(point.x ?? point.id ?? "").slice(0, 300), y: String(point.y ?? "").slice(0, 300) });
          });
        }
        root.dataset.ready = "1";
      } catch (error) {
        waiting.className = "dl-fault";
        waiting.hidden = false;
        waiting.textContent = texts.failed;
      }
    };
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const theme = new MutationObserver(draw);
    theme.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light"] });
    dark.addEventListener("change", draw);
    model.on("change:figure", draw);
    model.on("change:busy", draw);
    draw();
    return () => {
      ended = true;
      model.off("change:figure", draw);
      model.off("change:busy", draw);
      model.off("msg:custom", heard);
      dark.removeEventListener("change", draw);
      theme.disconnect();
      window.Plotly?.purge(plot);
    };
  },
};
