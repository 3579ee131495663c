/**
 * The service worker: the application's own files, so that it opens without a network (the proof page works then too).
 * It keeps no answer of /fhir, /api, /oauth or any page of somebody: only what the build made, the same for everybody.
 */
declare const BUILD: { readonly version: string; readonly files: readonly string[] };

interface Lifecycle extends Event {
  waitUntil(doing: Promise<unknown>): void;
}
interface Fetching extends Lifecycle {
  readonly request: Request;
  respondWith(answer: Promise<Response>): void;
}

const worker = self as unknown as { skipWaiting(): Promise<void>; clients: { claim(): Promise<void> } } & EventTarget;
const NAME = `careledger-${BUILD.version}`;
const PAGE = "/";
const PAGES = /^\/(?:app(?:\/(?!callback).*)?|explorer(?:\/.*)?)?$/;

worker.addEventListener("install", (event) => {
  const filling = caches.open(NAME).then((cache) => cache.addAll([PAGE, ...BUILD.files]));
  (event as Lifecycle).waitUntil(filling.then(() => worker.skipWaiting()));
});

worker.addEventListener("activate", (event) => {
  const clearing = caches.keys().then((names) => Promise.all(names.filter((name) => name !== NAME).map((name) => caches.delete(name))));
  (event as Lifecycle).waitUntil(clearing.then(() => worker.clients.claim()));
});

worker.addEventListener("fetch", (event) => {
  const { request } = event as Fetching;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== location.origin) return;
  if (url.pathname.startsWith("/assets/")) (event as Fetching).respondWith(fromCache(request));
  else if (request.mode === "navigate" && PAGES.test(url.pathname)) (event as Fetching).respondWith(fromNetwork(request));
});

async function fromCache(request: Request): Promise<Response> {
  return (await caches.match(request)) ?? (await fetch(request));
}

/** The page as the node has it now; the kept one when the node is not reached. */
async function fromNetwork(request: Request): Promise<Response> {
  try {
    return await fetch(request);
  } catch (error) {
    const kept = await caches.match(PAGE);
    if (kept === undefined) throw error;
    return kept;
  }
}
