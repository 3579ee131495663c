import { CopyRefused, KIT, openCopy, PASSKEY, prfInput, readHeader, unwrapKey } from "../../lib/copies.ts";
import { readKit } from "../../lib/directives.ts";
import { ask, NoGesture } from "../../lib/gesture.ts";
import { type Chosen, readData } from "./judging.ts";
import { NAMES } from "./taking.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** The copy opened by her passkey, by one gesture; nothing leaves this device. Throws NoGesture, CopyRefused. */
export async function openByPasskey(data: Bytes): Promise<readonly Chosen[]> {
  const header = readHeader(data);
  const wrap = header.wraps.find((one) => one.kind === PASSKEY);
  if (wrap === undefined) throw new CopyRefused("not-yours");
  const input = prfInput(wrap.salt);
  const { secrets } = await ask(wrap.credential, crypto.getRandomValues(new Uint8Array(32)), [input, input]);
  if (secrets === undefined) throw new NoGesture();
  return await open(data, await unwrapKey(header, PASSKEY, secrets.seed));
}

/** The copy opened by the code of her printed kit. Throws RangeError for what is none, CopyRefused. */
export async function openByKit(data: Bytes, code: string): Promise<readonly Chosen[]> {
  return await open(data, await unwrapKey(readHeader(data), KIT, readKit(code).secret));
}

async function open(data: Bytes, key: Bytes): Promise<readonly Chosen[]> {
  const [record, looks] = await openCopy(data, key);
  return [await readData(NAMES.record, record), await readData(NAMES.looks, looks)];
}
