// What a page does beyond HTML: times in the reader's zone, news by server-sent events, and a mark for all.
"use strict";

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "local";
const format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

function localise(root) {
  for (const t of root.querySelectorAll("time[datetime]")) {
    const at = new Date(t.dateTime);
    if (!isNaN(at)) {
      t.title = t.textContent;
      t.textContent = format.format(at);
    }
  }
}

// take puts what is new into the page, part by part. A part that somebody is using stays as it is.
function take(main, html) {
  const fresh = new DOMParser().parseFromString(html, "text/html");
  localise(fresh);
  const selected = document.getSelection();
  for (const part of main.querySelectorAll("[data-live]")) {
    const now = fresh.getElementById(part.id);
    const used = part.contains(document.activeElement) ||
      (selected && !selected.isCollapsed && selected.intersectsNode && selected.containsNode(part, true));
    if (now && !used && now.innerHTML !== part.innerHTML) {
      const scrolled = Array.from(part.querySelectorAll(".scroll"), (s) => s.scrollLeft);
      part.replaceChildren(...Array.from(now.childNodes, (n) => document.importNode(n, true)));
      part.querySelectorAll(".scroll").forEach((s, i) => { s.scrollLeft = scrolled[i] || 0; });
    }
  }
}

function follow(main) {
  const state = document.getElementById("live");
  const say = (s) => { state.dataset.state = s; state.textContent = s === "on" ? "live" : "not up to date"; };
  const events = new EventSource(main.dataset.events);
  events.onmessage = (e) => { say("on"); take(main, e.data); };
  events.onerror = () => { say("off"); };
  addEventListener("pagehide", () => { events.close(); });
  addEventListener("pageshow", (e) => { if (e.persisted) { location.reload(); } });
}

for (const all of document.querySelectorAll("input[data-marks]")) {
  all.hidden = false;
  all.addEventListener("change", () => {
    for (const one of document.getElementsByName(all.dataset.marks)) { one.checked = all.checked; }
  });
}
for (const z of document.querySelectorAll("[data-zone]")) { z.textContent = zone; }
localise(document);
const main = document.getElementById("main");
if (main && main.dataset.events) { follow(main); }
