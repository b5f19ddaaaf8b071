// Smooths the pages; each of them works without this file and without htmx.
const say = document.getElementById("say");
const find = (selector) => document.querySelector(selector);
const show = (selector) => document.querySelectorAll(selector).forEach((e) => (e.hidden = false));

// What needs a script to work stays hidden until one runs.
const wake = () => {
  if (navigator.share) show("[data-share]");
  show("[data-copy],[data-print]");
  // An iPad says that it is a Mac; only its touch points tell.
  if (/Macintosh/.test(navigator.userAgent) && navigator.maxTouchPoints > 1)
    find("[data-maybe-ipad]")?.setAttribute("data-ipad", "");
};

const arrive = () => {
  (find("#app [role=alert]") ?? find("#app h1"))?.focus({ preventScroll: true });
  say.textContent = "";
  wake();
};

let slow;
const rest = () => {
  clearTimeout(slow);
  document.querySelectorAll("[aria-busy]").forEach((e) => e.removeAttribute("aria-busy"));
};

addEventListener("submit", (event) => {
  const form = event.target;
  if (form.ariaBusy) {
    event.preventDefault();
    return event.stopPropagation();
  }
  form.ariaBusy = "true";
  slow = setTimeout(() => (say.textContent = say.dataset.busy), 400);
  setTimeout(rest, 10000); // a wallet's answer leaves the page standing
}, true);

addEventListener("click", async ({ target }) => {
  const button = target.closest("[data-copy],[data-share],[data-print]");
  if (!button) return;
  const { copy, share, print: prints } = button.dataset;
  if (prints != null) return print();
  if (share) return navigator.share({ url: share }).catch(() => {});
  await navigator.clipboard.writeText(copy).catch(() => find("[data-link]")?.select());
  say.textContent = say.dataset.copied;
});

addEventListener("pageshow", rest);
document.addEventListener("htmx:finally:request", rest);
document.addEventListener("htmx:error", () => (say.textContent = say.dataset.offline));
document.addEventListener("htmx:after:settle", ({ target }) => (target.id === "app" ? arrive() : wake()));
wake();
find("#app [role=alert]")?.focus();
