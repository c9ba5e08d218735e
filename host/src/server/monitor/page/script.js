"use strict";
// The page is asked for again every two seconds while it is seen, and what is new in it replaces what is old.
const EVERY_MS = 2000;
const PATIENCE_MS = 5000;
let asking = false;

// Makes `old` equal to `now`, and leaves what is equal: a selection, the focus, and a list that was opened stay.
function renew(old, now) {
  const isOther = old.nodeName !== now.nodeName || old.id !== now.id;
  if (isOther) {
    old.replaceWith(now);
  } else if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== now.data) old.data = now.data;
  } else if (!old.isEqualNode(now)) {
    for (const { name, value } of now.attributes) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    for (const { name } of [...old.attributes]) {
      if (!now.hasAttribute(name) && name !== "open") old.removeAttribute(name);
    }
    const [before, after] = [[...old.childNodes], [...now.childNodes]];
    after.forEach((node, at) => (before[at] ? renew(before[at], node) : old.append(node)));
    before.slice(after.length).forEach((node) => node.remove());
  }
}

function say(words) {
  const live = document.getElementById("live");
  if (live.textContent !== words) live.textContent = words;
}

async function refresh() {
  if (asking || document.hidden) return;
  asking = true;
  try {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const answer = await fetch(location.pathname, { cache: "no-store", signal });
    if (!answer.ok) throw new Error(answer.status);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.title = page.title;
    for (const part of ["#icon", "main"]) {
      renew(document.querySelector(part), page.querySelector(part));
    }
    document.body.classList.remove("stale");
    say("live");
  } catch {
    if (!document.body.classList.contains("stale")) {
      document.body.classList.add("stale");
      document.title = "no answer: windlass";
      say(`no answer since ${new Date().toLocaleTimeString()}`);
    }
  } finally {
    asking = false;
  }
}

say("live");
setInterval(refresh, EVERY_MS);
document.addEventListener("visibilitychange", refresh);
