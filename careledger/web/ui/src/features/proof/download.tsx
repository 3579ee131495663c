import type { ReactElement } from "react";
import { Loading } from "../../components/states.tsx";

/** On its way. */
export function Page(): ReactElement {
  return <Loading />;
}
