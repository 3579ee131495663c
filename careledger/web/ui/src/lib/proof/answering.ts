/** What the verifier's worker is asked, and answers: one verdict for each question, under the number that it came with. */

import {
  advanceLight,
  type ExportFacts,
  type Heads,
  type LightFacts,
  type ReceiptFacts,
  type Verdict,
  verifyExport,
  verifyReceipt,
} from "./index.ts";
import { Refused } from "./refused.ts";

/** The files of a question, by what they are for. */
export interface Files {
  readonly file: Uint8Array;
  readonly trust: Uint8Array;
  /** Of a receipt: the record itself. */
  readonly body?: Uint8Array;
  /** Of an export: an export of before. */
  readonly earlier?: Uint8Array;
}

/** A question to the worker. */
export interface Question {
  readonly id: number;
  readonly kind: "receipt" | "export" | "light";
  readonly files: Files;
  /** Of an export: the id of the patient's key. */
  readonly key?: string;
  /** Of an export: what was kept of an earlier one. */
  readonly since?: Heads;
}

/** Facts of whichever kind was asked for. */
export type Facts = ReceiptFacts | ExportFacts | LightFacts;

/** The worker's answer to the question of this number. */
export interface Answer {
  readonly id: number;
  readonly result: Verdict<Facts>;
}

/** The verdict; a verifier that fails refuses too, and says that it failed. */
export async function answer(question: Question): Promise<Answer> {
  const { id } = question;
  try {
    return { id, result: await verify(question) };
  } catch {
    const { code, message } = new Refused("defect");
    return { id, result: { ok: false, code, sentence: message } };
  }
}

function verify({ kind, files, key, since }: Question): Promise<Verdict<Facts>> {
  switch (kind) {
    case "receipt":
      return verifyReceipt(files.file, files.trust, { body: files.body });
    case "export":
      return verifyExport(files.file, files.trust, files.earlier, { key, since });
    case "light":
      return advanceLight(files.trust, files.file);
  }
}
