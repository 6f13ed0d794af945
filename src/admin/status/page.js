
"use strict";
// Asks for what the page shows, and puts it where it belongs. The server has put everything into words already.
(() => {
  const EVERY = 2000;
  const PATIENCE = 5000;
  const pause = document.getElementById("pause");
  const said = document.getElementById("said");
  const [standing, summary] = ["standing", "summary"].map((it) => document.getElementById(it));
  let tables = {};
  let timer = 0;

  const put = (node, text) => {
    if (node.textContent !== text) node.textContent = text;
  };
  const each = (name, act) => {
    for (const node of document.querySelectorAll(`[data-${name}]`)) act(node, node.dataset[name]);
  };

  // As the server makes it.
  const row = (heads, { mark, cells }) => {
    const line = document.createElement("tr");
    line.setAttribute("role", "row");
    if (mark) line.dataset.is = mark;
    cells.forEach((text, at) => {
      const cell = document.createElement(at ? "td" : "th");
      cell.setAttribute("role", at ? "cell" : "rowheader");
      if (!at) cell.scope = "row";
      if (at) cell.dataset.head = heads[at];
      const place = at === 1 && mark ? cell.appendChild(document.createElement("b")) : cell;
      place.textContent = text;
      line.append(cell);
    });
    return line;
  };

  const show = (seen) => {
    const { values } = seen;
    put(document.querySelector("title"), values.title);
    each("text", (node, key) => put(node, values[key]));
    each("mark", (node, key) => { node.dataset.is = values[key]; });
    each("line", (node, key) => node.setAttribute("d", values[key]));
    each("table", (node, key) => {
      const rows = JSON.stringify(seen.tables[key]);
      if (tables[key] === rows) return;
      tables[key] = rows;
      const heads = [...node.tHead.rows[0].cells].map((it) => it.textContent);
      node.tBodies[0].replaceChildren(...seen.tables[key].map((it) => row(heads, it)));
    });
    put(said, values.said);
  };

  const fail = () => {
    standing.dataset.is = "bad";
    summary.dataset.is = "warn";
    put(standing.firstChild, "No answer");
    put(summary.firstChild, "What is shown is old; trying again");
    put(said, "No answer. What is shown is old.");
    put(document.querySelector("title"), "No answer · Portcullis");
  };

  const ask = async () => {
    try {
      const answer = await fetch("status.json", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
      if (!answer.ok) throw new Error(String(answer.status));
      show(await answer.json());
    } catch {
      fail();
    }
  };
  const isPaused = () => pause.getAttribute("aria-pressed") === "true";
  const goOn = async () => {
    clearTimeout(timer);
    if (isPaused()) return;
    if (!document.hidden) await ask();
    clearTimeout(timer);
    timer = setTimeout(goOn, EVERY);
  };

  pause.hidden = false;
  pause.addEventListener("click", () => {
    pause.setAttribute("aria-pressed", String(!isPaused()));
    goOn();
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) goOn(); });
  timer = setTimeout(goOn, EVERY);
})();
