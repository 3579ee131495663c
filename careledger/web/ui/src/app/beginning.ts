import { Node } from "../lib/node.ts";
import { Tokens } from "../lib/oauth.ts";
import { type House, readHouse, type Session, signOut, tellTabs } from "../lib/session.ts";

/** What the application begins with: the house, and somebody signed in or nobody. `house` is undefined if it was not reached. */
export interface Beginning {
  readonly house: House | undefined;
  readonly session: Session | null;
  readonly node: Node | null;
}

/** Who is here, as the node answers `asked`. Never throws: a node that is not reached is a state that the pages show. */
export async function begin(asked: Promise<Response>): Promise<Beginning> {
  try {
    const house = await readHouse(asked);
    const session = house.session;
    return { house, session, node: session === null ? null : new Node(beginTokens(session), leaveAll) };
  } catch {
    return { house: undefined, session: null, node: null };
  }
}

/** The first token is asked for while the page is drawn yet; a refusal is told to whoever wants it then. */
function beginTokens(session: Session): Tokens {
  const tokens = new Tokens(session.kind);
  tokens.get().catch(() => undefined);
  return tokens;
}

/**
 * Everything of this page is forgotten: memory, queries, the open chart. The screen is empty at once; the browser loads the
 * first page anew.
 */
export function leave(): void {
  document.body.replaceChildren();
  history.replaceState(null, "", "/");
  location.replace("/?ended");
}

/** Somebody goes, or has gone: the screen is empty at once, whatever the network does; then the session ends everywhere. */
export function goOut(session: Session): void {
  document.body.replaceChildren();
  void signOut(session).catch(() => undefined).then(leave);
}

/** The node says that the session has ended: every tab forgets. */
export function leaveAll(): void {
  tellTabs("ended");
  leave();
}
