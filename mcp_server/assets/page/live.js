// Asks again every 2 s while the page is looked at, and tells when nobody answers.
import { ToolProblem, Unreachable, pause } from "./client.js";

const EVERY_MS = 2_000;
const PAUSES_MS = [1_000, 2_000, 4_000, 8_000, 10_000]; // after attempts in vain
const wakers = new Set();

/** `lost` from the first call in vain to the first that is answered; `tell` is the shell's. */
export const connection = {
  lost: false,
  tell() {},
  set(lost) {
    if (lost === this.lost) return;
    this.lost = lost;
    this.tell();
    if (!lost) wake();
  },
};

function wake() {
  for (const end of [...wakers]) end();
}

/** Load and draw now, and again for as long as `signal` lasts (`once`: until it is drawn); draw only what differs.
 *
 * `load(signal)` promises answers; `problem(error or null)` shows what a tool says is wrong. Other errors are thrown.
 */
export async function live(load, draw, { signal, once, every = EVERY_MS, problem }) {
  for (let drawn, wait, attempts = 0; !signal.aborted; await rest(wait, signal)) {
    try {
      const answer = await load(signal);
      if (signal.aborted) return;
      connection.set(false);
      [attempts, wait] = [0, every];
      problem(null);
      const facts = JSON.stringify(answer, (key, value) => (key === "as_of" ? undefined : value));
      if (facts !== drawn) draw(answer);
      drawn = facts;
      if (once) return;
    } catch (error) {
      if (signal.aborted) return;
      wait = PAUSES_MS[Math.min(attempts++, 4)];
      if (error instanceof Unreachable) connection.set(true);
      else if (error instanceof ToolProblem) problem(error);
      else throw error;
    }
  }
}

/** Wait, and for as long as the page is hidden; what wakes all ends it. */
async function rest(ms, signal) {
  let end;
  const woken = new Promise((done) => wakers.add((end = done)));
  const over = pause(ms, signal).then(() => document.hidden && woken, () => {});
  await Promise.race([woken, over]);
  wakers.delete(end);
}

for (const name of ["online", "offline", "visibilitychange"]) addEventListener(name, () => document.hidden || wake());
