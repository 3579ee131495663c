/** What a check says when it does not hold: a stable code, and a sentence for people. Nothing of a record is in either. */

const SENTENCES = {
  // Files
  "too-large": "the file is larger than a browser takes: use the command line",
  "not-json": "not JSON",
  "not-canonical": "not in canonical form",
  number: "not a number, or out of range",
  text: "not a text, or of another form",
  base64: "not base64url",
  length: "bytes of the wrong length",
  list: "not a list of its length",
  object: "not an object",
  fields: "a field is missing or unknown",
  // Trees
  "index-outside": "an index lies outside its log",
  "path-digests": "a path is not made of digests",
  "path-long": "a path is too long",
  "path-short": "a path is too short",
  "map-bitmap": "a map path has no canonical bitmap",
  "map-siblings": "a map path and its bitmap disagree",
  "map-empty": "a map path writes an empty sibling out",
  "map-other": "the other leaf is not in the absent one's place",
  "consistency-sizes": "the sizes of two logs are not in order",
  "consistency-root": "a log does not continue the earlier one",
  // Signatures and notes
  "signature-size": "a signature has the wrong size",
  "signature-point": "a point is not canonical, or of small order",
  "signature-scalar": "S is not reduced",
  signature: "a signature does not hold",
  "signature-unsupported": "this browser cannot check such a signature: use a newer one",
  "key-size": "a key has the wrong size",
  "note-long": "the note is too long",
  "note-form": "the note is no signed checkpoint",
  "note-chain": "the note is of another chain",
  "note-root": "the note's size or root is malformed",
  "note-base64": "not in canonical base64",
  "note-signer": "a signature is by an unknown key, or repeated",
  "note-time": "a signature's time is out of range",
  // Trust
  "trust-witnesses": "k of n cannot be had",
  "trust-level": "no witnesses are named",
  "trust-keys": "a key is listed twice",
  "trust-unsigned": "a key has not signed the checkpoint",
  "trust-hash": "the header has another hash",
  "older-checkpoint": "the checkpoint is an older one",
  "only-checkpoint":
    "a checkpoint shows nothing beyond itself: verify an export or a receipt that was made after it",
  // What is signed
  "other-ledger": "the file is of another ledger",
  "not-embedded": "not signed as an embedded ledger's files are",
  "not-network": "not signed as a network's files",
  "no-operator": "the checkpoint is not signed by the operator",
  "block-outside": "the block is not in the history",
  fork: "equal heights, other roots: a fork",
  "not-witnessed": "the proof is anchored, not witnessed",
  "too-old": "the proof is older than the trust file allows",
  "anchor-late": "the anchor is later than its block",
  // Receipts
  "author-long": "the author is too long",
  body: "the body is not the one that was recorded",
  "leaf-outside": "the leaf is not in the chart",
  "batch-late": "the batch is too late",
  "batch-outside": "the batch is not in the log of batches",
  // Networks
  "validator-twice": "a validator stands twice in its set",
  "validators-other": "the validators are not those of the header",
  "no-block": "there is no block 0",
  "votes-order": "the signatures are not in the validators' order",
  "two-thirds": "two thirds did not sign the header",
  "fork-header": "equal heights, other headers: a fork",
  "time-back": "time does not run as the height does",
  "trust-expired": "the trusted header is over 14 days old: get a newer one",
  future: "the header is from the future: set the clock",
  "next-validators": "the next validators are others",
  third: "a third of the trusted validators did not sign the header",
  "two-thirds-past": "an older header, and two thirds of the trusted did not sign it",
  "headers-order": "the headers are not in the order of their heights",
  "validators-unnamed": "the validators have changed, and are not named: get the file anew",
  "history-outside": "the history is not in the header's state",
  "newest-shown": "the newest block is shown by its time alone",
  "newest-state": "the state is not the header's",
  "newest-time": "the block has another time",
  "older-shown": "an older block is shown by its place alone",
  "fork-state": "another state than under the trusted header: a fork",
  // Exports: entries
  "enrolment-bare": "the enrolment is bare",
  "entry-kind": "of the wrong kind",
  "enrolment-says": "it says too much",
  "entry-time": "out of time order, or after the block",
  "body-too-many": "a body where none can be",
  "entry-type": "of another type",
  "body-missing": "a body too many, or none",
  "entry-version": "a version is missing or repeated",
  "entry-resource": "the resource is not the one of its header",
  "entry-redated": "re-dated",
  "erased-later": "it names what came later",
  withheld: "an entry is withheld, or a key event names one that is there",
  // Exports: directives
  "controller-id": "the key has another id",
  "controller-first": "the first key continues none",
  "directive-id": "a directive's id is no commitment",
  "directive-forged": "forged, the enrolled key did not sign this directive",
  "directive-sorted": "a list of a directive is not sorted",
  "directive-key": "another id or key",
  "directive-chart": "a directive is another chart's",
  "standing-missing": "a directive without its standing",
  "standing-kept": "what followed of a directive is missing",
  "standing-place": "the standing of a directive is not in the state",
  "standing-withdrawn": "whether a directive that followed was withdrawn is not shown",
  // Exports: accesses
  "access-short": "too short",
  "access-long": "too long",
  "access-utf8": "not UTF-8",
  "access-form": "not in canonical form",
  "access-time": "out of time order",
  "access-height": "decided after the block",
  "access-denied": "was not allowed",
  // Exports: the whole
  "heads-apart": "the heads are not in one map: an entry is missing, or was changed",
  "history-sizes": "the sizes of the history do not ascend",
  "history-nodes": "the history has a node too many, or too few",
  "history-parts": "the parts of the history do not make the signed one",
  "export-older": "the export does not answer for the trusted checkpoint; export again: it is older",
  "export-since": "the export does not answer for the trusted checkpoint; export again, with --since it",
  rewritten: "the history was written anew after the trusted checkpoint",
  "former-embedded": "an embedded ledger has no other before it",
  "key-unseen": "an access-log export does not show the enrolled key: use a chart export",
  "key-other": "the enrolled key is not the patient's",
  "pin-state": "a pinned state is not the trusted header's",
  "pin-missing": "the export does not show how the chart stood at the trusted checkpoint",
  "pin-order": "the pins are not in the order of their blocks",
  "pin-begins": "a log does not begin as it stood at a pinned block",
  "pin-other": "a proof of existence names no other leaf",
  "pin-outside": "a pinned block is not in the history",
  "pin-times": "the pinned blocks are not in the order of their times",
  "dated-back": "an entry is dated back: it was not there yet at a pinned block",
  "access-stale": "decided by a state long past",
  "former-missing": "the state does not hold that this ledger was adopted",
  "former-last": "the adopted ledger's last block is not the one that is shown",
  // An earlier export
  "earlier-chart": "the earlier export is of another chart",
  "earlier-access": "an access entry has gone, or was changed since",
  "earlier-entry": "an entry has gone, or was changed since",
  "earlier-log": "the record log is another one",
  "earlier-short": "the record log is shorter than it was",
  "earlier-history": "the earlier export is of another history",
  "earlier-withheld": "it was withheld since, and is of a type that cannot be erased",
  "earlier-dated": "a directive is dated back",
  "earlier-changed": "a directive was changed since, or revived after its revocation",
  defect: "the verifier failed: report it, and use the command line meanwhile",
} as const;

/** The name of a rule that a file breaks; stable, so that pages can say it in any language. */
export type Code = keyof typeof SENTENCES;

/** Thrown by every check: the proof does not hold, or is not written as the specification says. */
export class Refused extends Error {
  readonly code: Code;

  constructor(code: Code, where = "", detail = "") {
    super(`${where && `${where}: `}${SENTENCES[code]}${detail && `: ${detail}`}`);
    this.name = "Refused";
    this.code = code;
  }
}

/** Returns only if the condition holds. `where` is a place in the file, `detail` more about the fault: never a record's. */
export function need(condition: boolean, code: Code, where = "", detail = ""): asserts condition {
  if (!condition) throw new Refused(code, where, detail);
}
