type Bytes = Uint8Array<ArrayBuffer>;

const ALGORITHM = "ed25519";

/**
 * What to add to the path of a receipt or an export that `trust` will be held against: the node puts in the lines of just
 * those witnesses that the file names, because a line by any other key would have to be refused. Empty if it names none.
 */
export function cosignedBy(trust: Bytes): string {
  const said = JSON.parse(new TextDecoder().decode(trust)) as { readonly witnesses?: { readonly keys?: readonly { readonly alg: string; readonly public: string }[] } };
  const keys = (said.witnesses?.keys ?? []).filter((key) => key.alg === ALGORITHM).map((key) => key.public);
  return keys.length === 0 ? "" : `?witnesses=${keys.map(encodeURIComponent).join(",")}`;
}
