import { toText } from "./base64url.ts";
import { APPLICATION_OFF, reach, readRefusal, Refusal } from "./refusal.ts";
import { type Kind, readHouse } from "./session.ts";

/**
 * The application is an OAuth client like any other (SMART App Launch 2.2: public, PKCE, S256). Since it lives on the
 * node's own origin it walks the redirects with `fetch`, so no code ever stands in the address bar or the history.
 * Tokens are kept in memory alone: a closed tab has none.
 */
export const CLIENT = "careledger-app";
const CALLBACK = "/app/callback";
const MARGIN_MS = 30_000;

const SCOPES: Readonly<Record<Kind, string>> = {
  patient: "openid fhirUser online_access launch/patient patient/*.crus",
  clinician: "openid fhirUser online_access user/*.cruds",
  administrator: "openid fhirUser online_access",
};

interface Issued {
  readonly access_token: string;
  readonly expires_in: number;
  readonly refresh_token?: string;
}

/** Whether there are tokens at all: shared by all of one page. */
interface Life {
  isOver: boolean;
}

/** The access token of this page, renewed before it ends. */
export class Tokens {
  private issued: Issued | undefined;
  private endsMs = 0;
  private waiting: Promise<string> | undefined;
  private readonly kind: Kind;
  private readonly purpose: string;
  private readonly life: Life;

  /** `purpose` is why the person asks (HL7 PurposeOfUse); "" for the ordinary, which is treatment. */
  constructor(kind: Kind, purpose = "", life: Life = { isOver: false }) {
    this.kind = kind;
    this.purpose = purpose;
    this.life = life;
  }

  /** Tokens of the same person for another purpose. */
  forPurpose(purpose: string): Tokens {
    return new Tokens(this.kind, purpose, this.life);
  }

  /** A token that holds for a while yet. Throws Refusal (`login_required` when the session has ended), Unreachable. */
  async get(): Promise<string> {
    if (this.life.isOver) throw new Refusal(401, "login_required", "", "");
    if (this.issued !== undefined && performance.now() < this.endsMs) return this.issued.access_token;
    this.waiting ??= this.renew().finally(() => {
      this.waiting = undefined;
    });
    return this.waiting;
  }

  /** The node refused the token: the next one is a new one. */
  forget(): void {
    this.issued = undefined;
    this.endsMs = 0;
  }

  /** The session is over: there is no token any more, for no purpose. */
  end(): void {
    this.life.isOver = true;
    this.forget();
  }

  private async renew(): Promise<string> {
    const former = this.issued?.refresh_token;
    this.issued = undefined;
    const began = performance.now();
    const issued = await (former === undefined ? authorise(this.kind, this.purpose) : refresh(former, this.kind, this.purpose)).catch(explain);
    this.issued = issued;
    this.endsMs = began + Math.max(1000 * issued.expires_in - MARGIN_MS, 500 * issued.expires_in);
    return issued.access_token;
  }
}

const AS_A_CLIENT: ReadonlySet<string> = new Set(["authorisation-refused", "invalid_client", "unauthorized_client"]);

/** Throws why there is no token: whether this very application was switched off, the node is asked. */
async function explain(error: unknown): Promise<never> {
  if (!(error instanceof Refusal) || !AS_A_CLIENT.has(error.code)) throw error;
  const isOn = await readHouse().then((house) => house.isAppOn, () => true);
  throw isOn ? error : new Refusal(403, APPLICATION_OFF, "", "");
}

async function refresh(token: string, kind: Kind, purpose: string): Promise<Issued> {
  try {
    return await ask({ grant_type: "refresh_token", refresh_token: token, client_id: CLIENT });
  } catch (error) {
    if (error instanceof Refusal && error.code === "invalid_grant") return await authorise(kind, purpose);
    throw error;
  }
}

async function authorise(kind: Kind, purpose: string): Promise<Issued> {
  const origin = location.origin;
  const verifier = random(48);
  const state = random(32);
  const redirect_uri = origin + CALLBACK;
  const query = new URLSearchParams({
    response_type: "code",
    client_id: CLIENT,
    redirect_uri,
    scope: SCOPES[kind],
    aud: `${origin}/fhir`,
    state,
    nonce: random(16),
    prompt: "none",
    code_challenge: toText(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier))),
    code_challenge_method: "S256",
    ...(purpose === "" ? {} : { purpose_of_use: purpose }),
  });
  const answer = await reach(`/oauth/authorize?${query}`);
  await answer.arrayBuffer(); // empty; taken, so that the browser does not call the request broken off
  const came = new URL(answer.url);
  const said = (name: string): string => came.searchParams.get(name) ?? "";
  if (came.origin !== origin || came.pathname !== CALLBACK) throw new Refusal(answer.status, "authorisation-refused", "", "");
  if (said("state") !== state || said("iss") !== `${origin}/fhir`) throw new Refusal(400, "authorisation-mixed-up", "", "");
  if (said("error") !== "") throw new Refusal(401, said("error"), said("error_description"), "");
  return await ask({ grant_type: "authorization_code", code: said("code"), redirect_uri, client_id: CLIENT, code_verifier: verifier });
}

async function ask(fields: Readonly<Record<string, string>>): Promise<Issued> {
  const answer = await reach("/oauth/token", { method: "POST", body: new URLSearchParams(fields) });
  if (!answer.ok) throw await readRefusal(answer);
  return (await answer.json()) as Issued;
}

function random(bytes: number): string {
  return toText(crypto.getRandomValues(new Uint8Array(bytes)));
}
