/** The verifier's Web Worker, so that pages stay responsive: a `Question` in, its `Answer` out. */

import { answer, type Question } from "./answering.ts";

self.addEventListener("message", (event: MessageEvent<Question>) => {
  void answer(event.data).then((found) => self.postMessage(found));
});
