type Bytes = Uint8Array<ArrayBuffer>;

interface Opened {
  readonly salt: string;
  readonly header: { readonly org: string; readonly handle: string; readonly kind: string; readonly type: string; readonly id: string; readonly version: number; readonly time: number; readonly author: string; readonly body: string };
}

/** The seal of the entry that a receipt tells of: its commitment, base64url. The receipt must have been verified. */
export async function sealOf(receipt: Bytes): Promise<string> {
  const [{ commitment, KINDS }, { toBytes, toText }] = await Promise.all([import("../../lib/proof/receipts.ts"), import("../../lib/base64url.ts")]);
  const { salt, header } = JSON.parse(new TextDecoder().decode(receipt)) as Opened;
  const kind = header.kind as keyof typeof KINDS;
  return toText(commitment(toBytes(header.org), toBytes(header.handle), toBytes(salt), { ...header, kind }, toBytes(header.body)));
}
