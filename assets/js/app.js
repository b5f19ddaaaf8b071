// Smooths the pages; each of them works without this file and without htmx.
const say = document.getElementById("say");
const find = (selector) => document.querySelector(selector);
const all = (selector, act) => document.querySelectorAll(selector).forEach(act);

// What needs a script to work stays hidden until one runs.
const wake = () => {
  all(navigator.share ? "[data-copy],[data-share]" : "[data-copy]", (e) => (e.hidden = false));
  // An iPad says that it is a Mac; only its touch points tell.
  if (/Macintosh/.test(navigator.userAgent) && navigator.maxTouchPoints > 1)
    find("[data-maybe-ipad]")?.setAttribute("data-ipad", "");
  takeUp();
  keep().catch(() => {});
  wind();
  light().catch(() => {});
};

// A code's time runs down in sight. It is spoken of once, a minute before its end; then the server says what is true,
// and before that as soon as the till has taken the code.
let ticking;
const look = async () => {
  const answer = await fetch(`${location.pathname}?while=issued`);
  if (answer.ok && answer.status !== 204) location.reload();
};
const wind = () => {
  clearInterval(ticking);
  const { until, soon } = find("[data-until]")?.dataset ?? {};
  const left = () => Math.ceil((until * 1000 - Date.now()) / 1000);
  if (!until || left() < 1) return; // over, or this phone's clock is ahead
  const tick = () => {
    const seconds = left();
    if (seconds < 1) {
      clearInterval(ticking);
      if (navigator.onLine) location.reload();
    }
    find("[data-until] progress").value = Math.max(0, seconds);
    const shown = find("[role=timer]");
    if (shown) shown.textContent = `${Math.max(0, Math.floor(seconds / 60))}:${`${Math.max(0, seconds) % 60}`.padStart(2, 0)}`;
    if (seconds === 60) say.textContent = soon;
    if (seconds % 4 === 0 && navigator.onLine && !document.hidden) look().catch(() => {});
  };
  ticking = setInterval(tick, 1000);
  tick();
};

// A screen that shows a code stays on.
let lamp;
const light = async () => {
  await lamp?.release();
  lamp = find(".code") ? await navigator.wakeLock?.request("screen") : null;
};

// The card stays on this device, for when there is no network; the server clears it with the visit.
const keep = async () => {
  const { keep: base, logo } = find("[data-keep]")?.dataset ?? {};
  if (!base || !navigator.serviceWorker) return;
  await navigator.serviceWorker.register(`${base}/sw.js`);
  await (await caches.open("card")).addAll([location.pathname, logo].filter(Boolean));
};

// What is typed and not yet sent outlives a reload, a way back and a change of language, in this tab alone.
const drawer = (() => {
  try {
    return sessionStorage;
  } catch {} // a browser that keeps nothing
})();
const place = (form) => `typed ${form.getAttribute("action")}`;
const isTick = (field) => /checkbox|radio/.test(field.type);
const fields = (form) => [...form.elements].filter((e) => e.id && /INPUT|TEXTAREA|SELECT/.test(e.tagName));
let sent;

const takeUp = () => {
  if (find("[data-keep]")) drawer?.clear();
  all("#app form[method=post]", (form) => {
    for (const [id, value] of JSON.parse(drawer?.getItem(place(form)) ?? "[]")) {
      const field = document.getElementById(id);
      if (field) field[isTick(field) ? "checked" : "value"] = value;
    }
  });
};

addEventListener("input", ({ target: { form } }) => {
  const typed = form && fields(form).map((e) => [e.id, isTick(e) ? e.checked : e.value]);
  if (typed) drawer?.setItem(place(form), JSON.stringify(typed));
});

const arrive = () => {
  say.textContent = "";
  // Once taken, it is the server's: what it shows may be better than what was typed.
  if (sent && !find("#app [role=alert]")) drawer?.removeItem(sent);
  sent = null;
  wake();
  (find("#app [role=alert]") ?? find("#app h1"))?.focus({ preventScroll: true });
};

// What was done in another tab shows here when one comes back.
let away;
addEventListener("visibilitychange", () => !document.hidden && away && location.reload());

let slow;
const rest = () => {
  clearTimeout(slow);
  if (say.textContent === say.dataset.busy) say.textContent = "";
  all("form[aria-busy]", (e) => e.removeAttribute("aria-busy"));
};

addEventListener("submit", (event) => {
  const form = event.target;
  if (form.hasAttribute("aria-busy")) {
    event.preventDefault();
    return event.stopPropagation();
  }
  form.setAttribute("aria-busy", true);
  away ||= form.target === "_blank";
  sent = place(form);
  slow = setTimeout(() => (say.textContent = say.dataset.busy), 400);
  setTimeout(rest, 8000); // a downloaded pass leaves the page standing
}, true);

addEventListener("click", async ({ target }) => {
  const button = target.closest("[data-copy],[data-share],[data-print]");
  if (!button) return;
  const { copy, share, text } = button.dataset;
  try {
    if (share) await navigator.share(text ? { text } : { url: share });
    else if (copy) {
      await navigator.clipboard.writeText(copy);
      say.textContent = say.dataset.copied;
    } else print();
  } catch {
    find("[data-link]")?.select();
  }
});

addEventListener("pageshow", rest);
document.addEventListener("htmx:finally:request", rest);
document.addEventListener("htmx:error", () => (say.textContent = say.dataset.offline));
document.addEventListener("htmx:after:settle", ({ target }) => (target.id === "app" ? arrive() : wake()));
wake();
find("#app [role=alert]")?.focus();
