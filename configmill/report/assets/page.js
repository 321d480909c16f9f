// The two buttons of a notebook's page: code shown or hidden, and what would load from a network.
{
  const toggle = document.getElementById("toggle-code");
  toggle?.addEventListener("click", () => {
    toggle.textContent = document.body.classList.toggle("hide-input") ? "Show code" : "Hide code";
  });

  // A script that was put into a page as text does not run: each is made anew, one after the other.
  const run = async (root) => {
    for (const old of root.querySelectorAll("script")) {
      const script = document.createElement("script");
      for (const { name, value } of old.attributes) script.setAttribute(name, value);
      script.textContent = old.textContent;
      const loaded = new Promise((done) => {
        if (!script.src) done();
        script.addEventListener("load", done);
        script.addEventListener("error", done);
      });
      old.replaceWith(script);
      await loaded;
    }
  };
  const load = async () => {
    document.querySelectorAll("button.load").forEach((button) => { button.closest("p").remove(); });
    for (const name of ["src", "srcset", "href", "poster", "data", "srcdoc"]) {
      for (const element of document.querySelectorAll(`[data-later-${name}]`)) {
        element.setAttribute(name, element.getAttribute(`data-later-${name}`));
      }
    }
    for (const place of document.querySelectorAll(".waits")) {
      const template = place.querySelector(":scope > template");
      place.replaceChildren(template.content);
      place.classList.remove("waits");
      await run(place);
    }
    document.dispatchEvent(new Event("load-from-network"));
  };
  document.querySelectorAll("button.load").forEach((button) => { button.addEventListener("click", load); });
}
