import type { Heads } from "../../lib/proof/index.ts";

/**
 * What this device keeps of a chart between two visits: the trust file, which is public, sizes and roots of the two logs,
 * and when it looked. Nothing of what is in the record, unless its owner wants the whole export kept: then sealed by
 * AES-256-GCM under a key that this browser made and gives out to nobody, not to this page's scripts either. Whoever can use
 * this browser's profile can still open it here: it is for one's own devices.
 */
export interface Kept {
  readonly trust: Bytes;
  readonly heads: Heads;
  readonly handle: string;
  readonly checkedMs: number;
  readonly height: number;
  readonly export?: Sealed;
}

type Bytes = Uint8Array<ArrayBuffer>;

export interface Sealed {
  readonly nonce: Bytes;
  readonly data: ArrayBuffer;
  readonly size: number;
}

const NAME = "careledger-proof";
const KEPT = "kept";
const KEYS = "keys";
const NONCE_BYTES = 12;

/** Under which name a patient's things are kept: the id is a random one, and not to be read from it. */
export async function nameOf(patient: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(`careledger-kept\n${location.origin}\n${patient}`));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** What is kept; undefined if nothing is, or the browser keeps nothing (a private window). */
export async function readKept(name: string): Promise<Kept | undefined> {
  return await use<Kept | undefined>(KEPT, "readonly", (store) => store.get(name)).catch(() => undefined);
}

/** False if the browser keeps nothing. */
export async function keep(name: string, kept: Kept): Promise<boolean> {
  return await use(KEPT, "readwrite", (store) => store.put(kept, name)).then(() => true, () => false);
}

/** Nothing of that patient is left on this device, its key included. */
export async function forget(name: string): Promise<void> {
  await use(KEPT, "readwrite", (store) => store.delete(name));
  await use(KEYS, "readwrite", (store) => store.delete(name));
}

/** The export, sealed for this device. */
export async function seal(name: string, data: Bytes): Promise<Sealed> {
  const known = await readKey(name);
  const key = known ?? (await crypto.subtle.generateKey({ name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]));
  if (known === undefined) await use(KEYS, "readwrite", (store) => store.put(key, name));
  const nonce = crypto.getRandomValues(new Uint8Array(NONCE_BYTES));
  const sealed = await crypto.subtle.encrypt({ name: "AES-GCM", iv: nonce, additionalData: aad(name) }, key, data);
  return { nonce, data: sealed, size: data.length };
}

/** The export as it was sealed. Throws if the seal is broken, or its key is gone. */
export async function open(name: string, sealed: Sealed): Promise<Bytes> {
  const key = await readKey(name);
  if (key === undefined) throw new Error("the key of the kept copy is gone");
  return new Uint8Array(await crypto.subtle.decrypt({ name: "AES-GCM", iv: sealed.nonce, additionalData: aad(name) }, key, sealed.data));
}

async function readKey(name: string): Promise<CryptoKey | undefined> {
  return await use<CryptoKey | undefined>(KEYS, "readonly", (store) => store.get(name));
}

function aad(name: string): Bytes {
  return new TextEncoder().encode(name);
}

/** One act in one store. */
async function use<T>(store: string, mode: IDBTransactionMode, act: (store: IDBObjectStore) => IDBRequest): Promise<T> {
  const base = await connect();
  try {
    return await new Promise<T>((resolve, reject) => {
      const transaction = base.transaction(store, mode);
      const request = act(transaction.objectStore(store));
      transaction.oncomplete = () => resolve(request.result as T);
      transaction.onabort = () => reject(transaction.error ?? new Error("not kept"));
    });
  } finally {
    base.close();
  }
}

function connect(): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore(KEPT);
      request.result.createObjectStore(KEYS);
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("not kept"));
  });
}
