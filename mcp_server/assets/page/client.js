// One call of a tool is one POST to /mcp, protocol 2026-07-28: no session, four headers, JSON or SSE back.
import { setClock } from "./format.js";

const PROTOCOL = "2026-07-28";
export const ANSWER_MS = 40_000; // a tool gets 29 s
const UNLIKE_AN_ANSWER = {
  problem: "The server's answer could not be read.",
  remedy: "Reload the page. If that does not help, look at the server's log.",
};

/** What a tool says is wrong, in two parts. */
export class ToolProblem extends Error {
  constructor({ problem, remedy = "", kind = "", retryable = false }) {
    super(`${problem} ${remedy}`.trim());
    Object.assign(this, { problem, remedy, kind, retryable });
  }
}

/** The server wants a token. */
export class SignedOut extends Error {}

/** Nobody answered, or something between here and the server did. */
export class Unreachable extends Error {}

/** Return the rows of an answer as objects. */
export const rowsOf = (answer) =>
  (answer?.rows ?? []).map((row) => Object.fromEntries(answer.columns.map((column, at) => [column, row[at]])));

/** Return a tool's structured answer, or throw what it says is wrong. */
export function resultOf(result) {
  if (!result || typeof result !== "object") throw new ToolProblem(UNLIKE_AN_ANSWER);
  if (result.isError) {
    const of = (key) => result._meta?.[`claude-trader/${key}`];
    const text = result.content?.[0]?.text || "The tool failed and did not say why.";
    throw new ToolProblem({
      problem: of("problem") ?? text, remedy: of("remedy"), kind: of("kind"), retryable: of("retryable") === true,
    });
  }
  if (!result.structuredContent) throw new ToolProblem(UNLIKE_AN_ANSWER);
  return result.structuredContent;
}

/** Return a client that answers as of a moment (null: now). */
export function httpClient({ asOf } = {}) {
  return {
    async call(tool, args = {}, { signal } = {}) {
      const answer = await postCall(tool, args, asOf, signal);
      if (!asOf && tool === "list_strategies") setClock(answer.as_of);
      return answer;
    },
  };
}

async function postCall(tool, args, asOf, signal, tries = 3) {
  const within = AbortSignal.any([AbortSignal.timeout(ANSWER_MS), ...(signal ? [signal] : [])]);
  let response, text;
  try {
    response = await fetch("/mcp", { method: "POST", signal: within, ...requestOf(tool, args, asOf) });
    text = await response.text();
  } catch (error) {
    signal?.throwIfAborted();
    throw new Unreachable(error.message);
  }
  reloadIfOlder(response.headers.get("X-Trader-Page"));
  if (response.status === 401) throw new SignedOut();
  if (response.status >= 500) throw new Unreachable(`status ${response.status}`);
  if (response.status === 429 && tries > 1) {
    await pause((Number(response.headers.get("Retry-After")) || 1) * 1000, signal);
    return postCall(tool, args, asOf, signal, tries - 1);
  }
  const { result, error } = messageOf(text, response.headers.get("Content-Type") ?? "");
  if (error) throw new ToolProblem({ problem: error.message ?? UNLIKE_AN_ANSWER.problem, retryable: response.status === 429 });
  return resultOf(result);
}

/** Load the page anew where the server has another version, once: servers of two may take turns. */
function reloadIfOlder(version) {
  const own = document.querySelector("meta[name=version]")?.content;
  if (!version || version === own || sessionStorage.getItem("reloaded-for") === version) return;
  sessionStorage.setItem("reloaded-for", version);
  location.reload();
}

function requestOf(name, args, asOf) {
  const headers = {
    "Content-Type": "application/json", Accept: "application/json, text/event-stream",
    "MCP-Protocol-Version": PROTOCOL, "MCP-Method": "tools/call", "MCP-Name": name,
  };
  if (asOf) headers["X-Trader-As-Of"] = asOf;
  const _meta = {
    "io.modelcontextprotocol/protocolVersion": PROTOCOL, "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": { name: "claude-trader-page", version: "1" },
  };
  const params = { name, arguments: args, _meta };
  return { headers, body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params }) };
}

/** Return the response in a body: JSON, or the last message with an id of a stream. */
function messageOf(text, type) {
  const bodies = type.includes("event-stream") ? text.split(/\r?\n\r?\n/).map(dataOf).filter(Boolean) : [text];
  try {
    const message = bodies.map((body) => JSON.parse(body)).findLast((message) => "id" in message);
    if (message.result || message.error) return message;
  } catch {} // told below: it is no JSON, or not of this protocol
  throw new ToolProblem(UNLIKE_AN_ANSWER);
}

const dataOf = (event) =>
  event.split(/\r?\n/).filter((line) => line.startsWith("data:")).map((line) => line.slice(5)).join("\n");

/** Wait; throws what aborted it. */
export function pause(ms, signal) {
  return new Promise((done, fail) => {
    const stop = () => (clearTimeout(timer), fail(signal.reason));
    const timer = setTimeout(() => (signal?.removeEventListener("abort", stop), done()), ms);
    signal?.addEventListener("abort", stop);
  });
}
