"use strict";
document.documentElement.classList.add("js");

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("table.sortable").forEach(sortable);
  document.querySelectorAll("section.tasks").forEach(filtered);
  document.querySelectorAll("button.open").forEach((button) => {
    button.addEventListener("click", () => toggle(button, button.getAttribute("aria-expanded") !== "true"));
  });
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
    [...document.querySelectorAll("form.tools")].some((form) => form.elements.search.value || form.elements.state.value);
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
