"use strict";
document.documentElement.classList.add("js");

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("table.sortable").forEach(sortable);
  document.querySelectorAll("section.tasks").forEach(filtered);
  document.querySelectorAll("button.open").forEach((button) => {
    button.addEventListener("click", () => toggle(button, button.getAttribute("aria-expanded") !== "true"));
  });
  document.querySelectorAll(".copied").forEach(copied);
  document.querySelectorAll(".along").forEach(chosen);
  document.querySelectorAll("svg.curves").forEach(stepped);
  openNamed();
  window.addEventListener("hashchange", openNamed);
  if (document.documentElement.dataset.version) follow(document.documentElement.dataset.version);
});

/* A click on a heading sorts the bodies of a table, each of which is one thing with its details. */
function sortable(table) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, at) => {
    heading.querySelector("button").addEventListener("click", () => sort(table, headings, at));
  });
}

function sort(table, headings, at) {
  const button = headings[at].querySelector("button");
  const numbers = button.dataset.sort === "number";
  const before = headings[at].getAttribute("aria-sort");
  const first = numbers ? "descending" : "ascending";
  const order = before === "none" ? first : before === "ascending" ? "descending" : "ascending";
  headings.forEach((heading) => heading.setAttribute("aria-sort", "none"));
  headings[at].setAttribute("aria-sort", order);
  const keyed = [...table.tBodies].map((body) => [body.rows[0].cells[at].dataset.value, body]);
  const sign = order === "ascending" ? 1 : -1;
  const words = new Intl.Collator(document.documentElement.lang, { numeric: true });
  keyed.sort(([one], [other]) => {
    if (one === "" || other === "") return (one === "") - (other === ""); // what is not known comes last
    return sign * (numbers ? Number(one) - Number(other) : words.compare(one, other));
  });
  table.append(...keyed.map(([, body]) => body));
  const said = table.closest("section").querySelector(".count");
  if (said) {
    const text = order === "ascending" ? said.dataset.up : said.dataset.down;
    said.dataset.sorted = text.replace("{column}", () => button.dataset.name);
    tell(said);
  }
}

function tell(said) {
  said.textContent = [said.dataset.shown, said.dataset.sorted].filter(Boolean).join(" · ");
}

/* The search and the two lists above a table of tasks. */
function filtered(section) {
  const form = section.querySelector("form");
  const bodies = [...section.querySelectorAll("table.scores > tbody")];
  const said = form.querySelector(".count");
  const show = () => {
    const words = form.elements.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const kind = form.elements.kind ? form.elements.kind.value : "";
    const state = form.elements.state.value;
    let shown = 0;
    for (const body of bodies) {
      const fits =
        words.every((word) => body.dataset.search.includes(word)) &&
        (!kind || body.dataset.kind === kind) &&
        (!state || body.dataset.states.split(" ").includes(state));
      body.hidden = !fits;
      shown += fits;
    }
    section.querySelector(".empty").hidden = shown > 0;
    said.dataset.shown = said.dataset.text.replace("{shown}", shown).replace("{all}", bodies.length);
    tell(said);
  };
  said.dataset.shown = said.textContent;
  form.addEventListener("input", show);
  form.addEventListener("change", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  if (form.elements.search.value || form.elements.state.value) show(); // a browser may have kept them
}

/* Of several tasks along a setting one is shown at a time. */
function chosen(series) {
  const select = series.querySelector("select[name=measure]");
  if (!select) return;
  const show = () => series.querySelectorAll(".measure").forEach((each) => (each.hidden = each.id !== select.value));
  select.addEventListener("change", show);
  select.form.addEventListener("submit", (event) => event.preventDefault());
  show();
}

/* A plot is one stop of the tab key; the arrows go from point to point. */
function stepped(plot) {
  const points = [...plot.querySelectorAll(".pt")];
  const enter = (at) => points.forEach((point, place) => point.setAttribute("tabindex", place === at ? "0" : "-1"));
  enter(Math.max(0, points.findIndex((point) => point.classList.contains("best"))));
  points.forEach((point) => point.addEventListener("focus", () => enter(points.indexOf(point))));
  plot.addEventListener("keydown", (event) => {
    const at = points.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: points.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    points[Math.min(Math.max(to, 0), points.length - 1)].focus();
  });
}

/* A button copies the command beside it, or selects it where the browser does not let a page copy. */
function copied(box) {
  const button = box.querySelector("button");
  const said = button.querySelector("span");
  const before = said.textContent;
  button.addEventListener("click", async () => {
    const command = box.querySelector("pre");
    try {
      await navigator.clipboard.writeText(command.textContent);
      said.textContent = button.dataset.done;
    } catch {
      getSelection().selectAllChildren(command);
      said.textContent = button.dataset.select;
    }
    setTimeout(() => (said.textContent = before), 4000);
  });
}

function toggle(button, opened) {
  button.setAttribute("aria-expanded", String(opened));
  button.closest("tbody").classList.toggle("opened", opened);
}

/* An address that ends in #task-… opens that task. */
function openNamed() {
  const body = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const button = body && body.querySelector("button.open");
  if (button) {
    toggle(button, true);
    body.scrollIntoView();
  }
}

/* A served page asks whether files have changed, and shows them at once unless its reader is in the middle of it. */
function follow(version) {
  const notice = document.querySelector(".notice");
  const reload = notice.querySelector("button");
  const say = (text, offer) => {
    notice.hidden = !text;
    notice.querySelector("span").textContent = text;
    reload.hidden = !offer;
  };
  const reading = () =>
    document.querySelector(".opened, details[open]") !== null ||
    [...document.querySelectorAll("form.tools")].some((form) => [...form.elements].some((field) => (field.type === "search" ? field.value : field.selectedIndex > 0)));
  reload.addEventListener("click", () => location.reload());
  const ask = async () => {
    try {
      const answer = await fetch("version", { cache: "no-store" });
      const now = answer.ok ? (await answer.text()).trim() : version;
      if (now === version) say("", false);
      else if (reading()) say(notice.dataset.new, true);
      else location.reload();
    } catch {
      say(notice.dataset.gone, false);
    }
    setTimeout(ask, 2000);
  };
  setTimeout(ask, 2000);
}
