// What goes wrong in a script that an output holds is said in the page, not in the console.
{
  const said = new Set();
  const failed = (event) => {
    event.preventDefault();
    const what = String(event.message || (event.reason && (event.reason.message || event.reason)));
    if (said.size >= 20 || said.has(what)) return;
    said.add(what);
    const note = document.createElement("p");
    note.className = "script-failed";
    note.textContent = `A script of an output failed: ${what}`;
    if (document.readyState === "loading") addEventListener("DOMContentLoaded", () => document.body.append(note));
    else document.body.append(note);
  };
  addEventListener("error", failed);
  addEventListener("unhandledrejection", failed);
}
