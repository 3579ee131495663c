/** The node said no. `code` is its stable word for why; `hint` says what to do. Neither holds anybody's data. */
export class Refusal extends Error {
  readonly status: number;
  readonly code: string;
  readonly hint: string;

  constructor(status: number, code: string, message: string, hint: string) {
    super(message);
    this.name = "Refusal";
    this.status = status;
    this.code = code;
    this.hint = hint;
  }
}

/** `code` of a refusal because an administrator switched this application off. */
export const APPLICATION_OFF = "application-off";

/** Nobody answered: no network, or the node is down. */
export class Unreachable extends Error {
  override readonly name = "Unreachable";
}

/** What an OperationOutcome, an OAuth error, or an error of /api may hold. */
export interface Outcome {
  readonly issue?: readonly { readonly code?: string; readonly diagnostics?: string; readonly details?: { readonly text?: string; readonly coding?: readonly { readonly code?: string }[] } }[];
  readonly error?: string;
  readonly error_description?: string;
  readonly code?: string;
  readonly message?: string;
  readonly hint?: string;
}

/** The refusal that an answer holds: an OperationOutcome, an OAuth error, or an error of /api. */
export async function readRefusal(answer: Response): Promise<Refusal> {
  let told: Outcome = {};
  try {
    told = (await answer.json()) as Outcome;
  } catch {
    // a proxy's page, or nothing: the status says enough
  }
  return toRefusal(answer.status, told);
}

/** The refusal that an outcome tells, of a whole answer or of one part of a batch. */
export function toRefusal(status: number, told: Outcome): Refusal {
  const issue = told.issue?.[0];
  const code = issue?.details?.coding?.[0]?.code ?? told.code ?? told.error ?? issue?.code ?? "refused";
  const message = issue?.details?.text ?? told.message ?? told.error_description ?? issue?.diagnostics ?? "";
  return new Refusal(status, code, message, told.hint ?? (issue?.details?.text === undefined ? "" : (issue.diagnostics ?? "")));
}

/** `fetch`, whose failures are `Unreachable`. */
export async function reach(path: string, init: RequestInit = {}): Promise<Response> {
  try {
    return await fetch(path, { credentials: "same-origin", cache: "no-store", ...init });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Unreachable("the node was not reached", { cause: error });
  }
}
