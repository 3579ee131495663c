import { createContext, useContext } from "react";
import type { Beginning } from "./beginning.ts";

export const BeginningContext = createContext<Beginning>({ house: undefined, session: null, node: null });

/** What the application began with. */
export function useBeginning(): Beginning {
  return useContext(BeginningContext);
}
