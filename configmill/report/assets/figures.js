// Draws the figures of plotly that a page holds as JSON, each when it comes near the window, and all before printing.
{
  // A browser has few WebGL contexts, and the oldest goes blank: of many figures, those far away are taken down again.
  const MANY = 12;
  const sources = new Map();

  const say = (element, text) => {
    const note = document.createElement("p");
    note.className = "note";
    note.textContent = text;
    element.replaceChildren(note);
  };
  const draw = async (element) => {
    if (!sources.has(element) || "waits" in element.dataset || "drawn" in element.dataset) return;
    await window.plotlyLoaded; // where a page loads it by a script
    if (!window.Plotly) {
      say(element, "This figure is drawn by plotly.min.js, which is not where this page looks for it: in the folder report of the results.");
      return;
    }
    element.dataset.drawn = "";
    try {
      const figure = JSON.parse(sources.get(element));
      const layout = { ...figure.layout };
      delete layout.width; // as wide as the page, whose reader has another screen
      if (element.closest("#cards")) layout.margin = { l: 52, r: 14, t: 36, b: 44, ...layout.margin };
      const config = { responsive: true, displaylogo: false, ...figure.config };
      element.replaceChildren();
      await window.Plotly.newPlot(element, { data: figure.data, layout, config, frames: figure.frames });
    } catch (error) {
      say(element, `This figure can't be drawn: ${error.message}`);
    }
  };
  const takeDown = (element) => {
    if (sources.size < MANY || !("drawn" in element.dataset)) return;
    element.style.minHeight = `${element.offsetHeight}px`;
    window.Plotly.purge(element);
    delete element.dataset.drawn;
  };

  // One after the other, so that the page answers between two of them.
  const wanted = new Set();
  const drawNext = async () => {
    const [element] = wanted;
    if (!element) return;
    await draw(element);
    setTimeout(() => { wanted.delete(element); drawNext(); });
  };
  const near = new IntersectionObserver((entries) => {
    const idle = wanted.size === 0;
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) wanted.add(target);
      else if (!wanted.delete(target)) takeDown(target);
    }
    if (idle) drawNext();
  }, { rootMargin: "400px" });
  const look = () => {
    for (const element of document.querySelectorAll(".plotly-figure")) {
      const holder = element.querySelector(':scope > script[type="application/json"]');
      if (holder && !sources.has(element)) sources.set(element, holder.textContent);
      near.unobserve(element); // that it is observed anew tells where it is
      near.observe(element);
    }
  };
  look();
  window.addEventListener("beforeprint", () => { for (const element of sources.keys()) draw(element); });
  document.addEventListener("load-from-network", () => {
    for (const element of document.querySelectorAll(".plotly-figure")) delete element.dataset.waits;
    look();
  });
}
