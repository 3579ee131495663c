import type { Answer, Facts, Question } from "../../lib/proof/answering.ts";
import type { Verdict } from "../../lib/proof/index.ts";

/** What was found, and how long it took. */
export interface Found<F extends Facts = Facts> {
  readonly verdict: Verdict<F>;
  readonly tookMs: number;
}

type Waiting = (answer: Answer) => void;

let worker: Worker | undefined;
let asked = 0;
const waiting = new Map<number, Waiting>();

/** The verifier's worker, made once it is needed. */
function work(): Worker {
  if (worker !== undefined) return worker;
  worker = new Worker(new URL("../../lib/proof/worker.ts", import.meta.url), { type: "module" });
  worker.addEventListener("message", (event: MessageEvent<Answer>) => {
    waiting.get(event.data.id)?.(event.data);
    waiting.delete(event.data.id);
  });
  worker.addEventListener("error", () => {
    const refusal = { ok: false, code: "defect", sentence: "the verifier could not be started" } as const;
    for (const [id, tell] of waiting) tell({ id, result: refusal });
    waiting.clear();
    worker = undefined;
  });
  return worker;
}

/** Has the browser itself verify it, beside the page. Never throws: what cannot be verified is refused. */
export async function verify<F extends Facts = Facts>(question: Omit<Question, "id">): Promise<Found<F>> {
  asked += 1;
  const id = asked;
  const began = performance.now();
  const answer = await new Promise<Answer>((resolve) => {
    waiting.set(id, resolve);
    work().postMessage({ ...question, id });
  });
  const { duration } = performance.measure(`verify-${question.kind}`, { start: began });
  return { verdict: answer.result as Verdict<F>, tookMs: duration };
}
