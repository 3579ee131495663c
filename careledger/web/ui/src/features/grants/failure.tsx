import { Trans } from "@lingui/react/macro";
import type { ReactElement } from "react";
import { Problem } from "../../components/states.tsx";
import { NoGesture, NoKeys, NotItsKey } from "./signing.ts";

/** Why nothing was signed, or handed in; nothing was changed in either case. */
export function Failure({ error }: { readonly error: unknown }): ReactElement {
  if (error instanceof NoGesture) return <p className="notice warn" role="alert"><Trans>Your device did not sign: you stopped it, or this passkey is on another device. Nothing was changed.</Trans></p>;
  if (error instanceof NoKeys) return <p className="notice warn" role="alert"><Trans>This device's passkey cannot make keys (PRF), so it cannot decide. Use a newer phone or security key, or a key file on the command line. Nothing was changed.</Trans></p>;
  if (error instanceof NotItsKey) return <p className="notice warn" role="alert"><Trans>Another passkey made this decision. Use that one, or the code that was printed. Nothing was changed.</Trans></p>;
  if (error instanceof RangeError) return <p className="notice warn" role="alert"><Trans>This is no such code: it has 64 digits and letters from a to f.</Trans></p>;
  return <Problem error={error} />;
}
