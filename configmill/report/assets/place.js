// A page lies in experiments/<digest>, but may have been opened through the link result_<n>, one folder further up, which
// a browser takes for a folder: from there, every way out of it is one step shorter.
const fromHere = (href) => (/\/result_\d+\/[^/]*$/.test(location.pathname) ? href.replace(/^\.\.\/(?=\.\.\/)/, "") : href);
document.addEventListener("DOMContentLoaded", () => {
  for (const name of ["href", "src"]) {
    for (const element of document.querySelectorAll(`[${name}^="../../"]`)) {
      const given = element.getAttribute(name);
      if (fromHere(given) !== given) element.setAttribute(name, fromHere(given));
    }
  }
});
