// Keeps what is shown true: asks again every 2 s while the page is looked at, and tells when nobody answers.
import { Unreachable, pause } from "./client.js";

const EVERY_MS = 2_000;
const PAUSES_MS = [1_000, 2_000, 4_000, 8_000, 10_000]; // after an attempt in vain, growing
const asleep = new Set(); // what ends the pauses of all that wait

/** The connection: `lost` is true from the first call in vain to the first that is answered. */
export const connection = new (class extends EventTarget {
  lost = false;

  set(lost) {
    if (lost === this.lost) return;
    this.lost = lost;
    this.dispatchEvent(new Event("change"));
    if (!lost) wake();
  }
})();

function wake() {
  for (const end of [...asleep]) end();
}

/** Load and draw now, and again while `signal` lasts; draw only what differs. `once`: until it has been drawn.
 *
 * `load(signal)` returns a promise of answers; `problem(error or null)` shows what a tool says is wrong.
 */
export async function live(load, draw, { signal, once = false, every = EVERY_MS, problem }) {
  let drawn, attempts = 0;
  for (let wait; !signal.aborted; await rest(wait, signal)) {
    try {
      const answer = await load(signal);
      if (signal.aborted) return;
      connection.set(false);
      attempts = 0;
      wait = every;
      problem(null);
      const facts = JSON.stringify(answer, (key, value) => (key === "as_of" ? undefined : value));
      if (facts !== drawn) draw(answer);
      drawn = facts;
      if (once) return;
    } catch (error) {
      if (signal.aborted) return;
      wait = PAUSES_MS[Math.min(attempts++, 4)];
      if (error instanceof Unreachable) connection.set(true);
      else problem(error);
    }
  }
}

/** Wait, and for as long as the page is hidden; another's success, the network's return or a look at the page end it. */
async function rest(ms, signal) {
  let end;
  const woken = new Promise((done) => asleep.add((end = done)));
  await Promise.race([woken, pause(ms, signal).then(() => (document.hidden ? woken : null), () => {})]);
  asleep.delete(end);
}

addEventListener("online", wake);
addEventListener("offline", () => connection.set(true));
document.addEventListener("visibilitychange", () => document.hidden || wake());
