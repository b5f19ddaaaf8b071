// Shows the kept card when there is no network: at a counter in a cellar, or in airplane mode.
addEventListener("fetch", (event) => {
  const { request } = event;
  const kept = request.mode === "navigate" || request.destination === "image";
  if (request.method === "GET" && kept)
    event.respondWith(
      fetch(request).catch(async (error) => {
        const copy = await caches.match(request, { ignoreVary: true, ignoreSearch: true });
        if (copy) return copy;
        throw error;
      }),
    );
});
