import { expect, it } from "vitest";
import { forgetWhenLeft } from "./leaving.ts";

function tell(name: string, persisted: boolean): void {
  dispatchEvent(Object.assign(new Event(name), { persisted }));
}

it("a page that a browser keeps for 'back' is empty, and begins anew when it comes back", () => {
  const done: string[] = [];
  forgetWhenLeft(() => done.push("cleared"), () => done.push("again"));
  tell("pageshow", false);
  tell("pagehide", false);
  expect(done).toEqual([]);
  tell("pagehide", true);
  expect(done).toEqual(["cleared"]);
  tell("pageshow", true);
  expect(done).toEqual(["cleared", "again"]);
});
