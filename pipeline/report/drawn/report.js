"use strict";
(() => {
  const pages = [...document.querySelectorAll(".page")];
  const links = [...document.querySelectorAll("nav a")];
  document.body.classList.add("tabs");

  // The address says which page, or which row, is seen.
  const show = (move) => {
    const at = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const page = (at && at.closest(".page")) || pages[0];
    pages.forEach((each) => each.classList.toggle("shown", each === page));
    links.forEach((link) => {
      const here = link.hash === "#" + page.id;
      if (here) { link.setAttribute("aria-current", "page"); } else { link.removeAttribute("aria-current"); }
      if (here && move) { link.scrollIntoView({ block: "nearest", inline: "nearest" }); }
    });
    document.querySelectorAll(".to").forEach((row) => row.classList.remove("to"));
    if (!move) { return; }
    if (at && at !== page && at.id !== "main") {
      at.hidden = false;
      at.classList.add("to");
      at.scrollIntoView({ block: "center" });
      at.focus({ preventScroll: true });
    } else {
      window.scrollTo(0, 0);
    }
  };
  addEventListener("hashchange", () => show(true));
  show(location.hash !== "");
  addEventListener("load", () => setTimeout(() => show(location.hash !== "")));

  // Arrow keys go from page to page while the menu has the focus.
  document.querySelector("nav").addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const at = links.indexOf(document.activeElement);
    if (!step || at < 0) { return; }
    event.preventDefault();
    const next = links[(at + step + links.length) % links.length];
    history.pushState(null, "", next.hash); // a new hash alone would take the focus to the page
    show(true);
    next.focus();
  });

  // A click on a column's head sorts by it, a second one the other way round.
  document.querySelectorAll("thead").forEach((head) => {
    const body = head.parentElement.tBodies[0];
    [...head.rows[0].cells].forEach((cell, place) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = cell.textContent;
      if (!button.textContent) { return; }
      cell.replaceChildren(button);
      button.addEventListener("click", () => {
        const up = cell.getAttribute("aria-sort") === "descending";
        [...head.rows[0].cells].forEach((each) => each.removeAttribute("aria-sort"));
        cell.setAttribute("aria-sort", up ? "ascending" : "descending");
        const key = (row) => {
          const value = row.cells[place];
          if (value.dataset.sort !== undefined) { return Number(value.dataset.sort); }
          return value.classList.contains("n") ? null : value.textContent;
        };
        const order = (one, other) => {
          const [a, b] = [key(one), key(other)];
          if (a === null || b === null) { return (a === null) - (b === null); }
          const less = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
          return up ? less : -less;
        };
        body.append(...[...body.rows].sort(order));
      });
    });
  });

  // The field above a long table keeps the rows that hold all its words.
  document.querySelectorAll(".filter").forEach((field) => {
    const rows = [...field.parentElement.querySelector("tbody").rows];
    field.addEventListener("input", () => {
      const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
      rows.forEach((row) => {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
      });
    });
  });

  // Marks of charts say what they are, to the pointer, a finger and the keyboard.
  const box = document.getElementById("tip");
  const tips = JSON.parse(document.getElementById("tips").textContent);
  const groups = new Map();
  Object.entries(tips).forEach(([name, told]) => {
    const group = document.getElementById(name);
    if (!group) { return; }
    const used = [...group.querySelectorAll("use")];
    const marks = used.length ? used : [...group.querySelectorAll("path")];
    marks.forEach((mark, place) => {
      if (!told[place]) { return; }
      mark.dataset.tip = told[place][0];
      if (told[place][1]) { mark.dataset.to = told[place][1]; }
      mark.tabIndex = -1;
    });
    const svg = group.closest("svg");
    groups.set(svg, [...(groups.get(svg) || []), ...marks.filter((mark) => mark.dataset.tip)]);
  });
  // One stop of the keyboard for a chart; its arrows go from mark to mark.
  groups.forEach((marks, svg) => {
    if (!marks.length) { return; }
    marks[0].tabIndex = 0;
    svg.addEventListener("keydown", (event) => {
      const at = marks.indexOf(document.activeElement);
      if (at < 0) { return; }
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (step) {
        event.preventDefault();
        marks[(at + step + marks.length) % marks.length].focus();
      } else if (event.key === "Enter" && marks[at].dataset.to) {
        location.hash = marks[at].dataset.to;
      }
    });
  });
  const tell = (mark) => {
    box.textContent = mark.dataset.tip;
    box.hidden = false;
    const there = mark.getBoundingClientRect();
    const left = Math.min(Math.max(8, there.left + there.width / 2 - box.offsetWidth / 2), innerWidth - box.offsetWidth - 8);
    const above = there.top - box.offsetHeight - 8;
    box.style.left = left + "px";
    box.style.top = (above > 8 ? above : there.bottom + 8) + "px";
  };
  const marked = (event) => event.target.closest && event.target.closest("[data-tip]");
  ["pointerover", "focusin", "click"].forEach((kind) => document.addEventListener(kind, (event) => {
    const mark = marked(event);
    if (mark) { tell(mark); } else if (kind !== "focusin") { box.hidden = true; }
    if (mark && kind === "click" && mark.dataset.to) { location.hash = mark.dataset.to; }
  }));
  document.addEventListener("focusout", () => { box.hidden = true; });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") { box.hidden = true; } });
})();
