import { MutationObserver, onlineManager, QueryObserver } from "@tanstack/react-query";
import { afterEach, expect, it } from "vitest";
import { Refusal } from "../lib/refusal.ts";
import { createQueries } from "./queries.ts";

afterEach(() => onlineManager.setOnline(true));

const offline = (): Promise<never> => Promise.reject(new Refusal(400, "x", "", ""));

it("what is pressed without a network fails at once, and is not sent behind anybody's back when there is one again", async () => {
  onlineManager.setOnline(false);
  let sent = 0;
  const writing = new MutationObserver(createQueries(), { mutationFn: () => { sent += 1; return offline(); } });
  void writing.mutate().catch(() => undefined);
  await expect.poll(() => writing.getCurrentResult().status).toBe("error");
  onlineManager.setOnline(true);
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(sent).toBe(1);
});

it("a page without a network says so, and does not wait for ever", async () => {
  onlineManager.setOnline(false);
  const reading = new QueryObserver(createQueries(), { queryKey: ["chart"], queryFn: offline });
  const stop = reading.subscribe(() => undefined);
  await expect.poll(() => reading.getCurrentResult().status).toBe("error");
  stop();
});
