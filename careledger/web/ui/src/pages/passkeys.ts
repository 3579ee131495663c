// A ceremony: options from the node, the authenticator's answer back to it. Converted by hand, so that browsers
// without PublicKeyCredential.parseCreationOptionsFromJSON work too.

import { toBytes, toText } from "../lib/base64url.ts";

export type Act = "create" | "get";

interface Described {
  readonly type: "public-key";
  readonly id: string;
}

interface Options {
  readonly challenge: string;
  readonly rp?: PublicKeyCredentialRpEntity;
  readonly rpId?: string;
  readonly user?: { readonly id: string; readonly name: string; readonly displayName: string };
  readonly pubKeyCredParams?: PublicKeyCredentialParameters[];
  readonly timeout?: number;
  readonly excludeCredentials?: readonly Described[];
  readonly allowCredentials?: readonly Described[];
  readonly authenticatorSelection?: AuthenticatorSelectionCriteria;
  readonly userVerification?: UserVerificationRequirement;
  readonly extensions?: AuthenticationExtensionsClientInputs;
}

interface Told {
  readonly options?: Options;
  readonly next?: string;
  readonly error?: string;
  readonly hint?: string;
}

export class Refused extends Error {}

export function isPossible(): boolean {
  return typeof PublicKeyCredential === "function";
}

/** Runs the ceremony; returns where the node sends the person, "" if it does not say. */
export async function run(act: Act, begin: string, finish: string, csrf: string): Promise<string> {
  const { options } = await post(begin, csrf, "{}");
  if (options === undefined) throw new Refused();
  const credential = act === "create" ? await create(options) : await get(options);
  const { next } = await post(finish, csrf, JSON.stringify(credential));
  return next ?? "";
}

async function post(path: string, csrf: string, body: string): Promise<Told> {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json", "x-csrf": csrf },
    body,
    credentials: "same-origin",
    redirect: "error",
  });
  const told = (await answer.json()) as Told;
  if (!answer.ok) throw new Refused([told.error, told.hint].filter(Boolean).join(" "));
  return told;
}

async function create(options: Options): Promise<object> {
  const { rp, user, pubKeyCredParams } = options;
  if (rp === undefined || user === undefined || pubKeyCredParams === undefined) throw new Refused();
  const publicKey: PublicKeyCredentialCreationOptions = {
    challenge: toBytes(options.challenge),
    rp,
    user: { ...user, id: toBytes(user.id) },
    pubKeyCredParams,
    excludeCredentials: (options.excludeCredentials ?? []).map(describe),
    attestation: "none",
    timeout: options.timeout ?? 120_000,
    authenticatorSelection: options.authenticatorSelection ?? { userVerification: "required" },
    extensions: options.extensions ?? {},
  };
  const made = await navigator.credentials.create({ publicKey });
  if (!(made instanceof PublicKeyCredential)) throw new Refused();
  const response = made.response as AuthenticatorAttestationResponse;
  return tell(made, { attestationObject: toText(response.attestationObject) });
}

async function get(options: Options): Promise<object> {
  const publicKey: PublicKeyCredentialRequestOptions = {
    challenge: toBytes(options.challenge),
    allowCredentials: (options.allowCredentials ?? []).map(describe),
    userVerification: "required",
    timeout: options.timeout ?? 120_000,
    ...(options.rpId === undefined ? {} : { rpId: options.rpId }),
  };
  const got = await navigator.credentials.get({ publicKey });
  if (!(got instanceof PublicKeyCredential)) throw new Refused();
  const response = got.response as AuthenticatorAssertionResponse;
  return tell(got, {
    authenticatorData: toText(response.authenticatorData),
    signature: toText(response.signature),
    userHandle: response.userHandle === null ? null : toText(response.userHandle),
  });
}

function describe(one: Described): PublicKeyCredentialDescriptor {
  return { type: "public-key", id: toBytes(one.id) };
}

/** What the node reads. Of the extensions' results only whether PRF works: its outputs never leave the device. */
function tell(credential: PublicKeyCredential, response: object): object {
  const prf = (credential.getClientExtensionResults() as { prf?: { enabled?: boolean } }).prf;
  return {
    id: credential.id,
    rawId: toText(credential.rawId),
    type: credential.type,
    response: { clientDataJSON: toText(credential.response.clientDataJSON), ...response },
    clientExtensionResults: prf?.enabled === true ? { prf: { enabled: true } } : {},
  };
}
