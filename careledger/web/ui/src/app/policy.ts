/**
 * The one Trusted Types policy: addresses of our own scripts, and nothing else that a page could turn into code. It is the
 * default policy too, so that what loads our chunks and workers passes through it.
 */
const OWN = /^\/(assets\/[\w.-]+\.js|sw\.js)$/;

interface Policies {
  createPolicy(name: string, rules: { createScriptURL(url: string): string }): unknown;
}

/** Installs it where the browser has Trusted Types; others have the policy of the server's header alone. */
export function allowOwnScripts(): void {
  const policies = (globalThis as { trustedTypes?: Policies }).trustedTypes;
  policies?.createPolicy("default", {
    createScriptURL(url: string): string {
      const wanted = new URL(url, location.href);
      if (wanted.origin === location.origin && OWN.test(wanted.pathname)) return url;
      throw new TypeError("this script is not ours");
    },
  });
}
