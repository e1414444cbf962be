/** How long it takes until help is there, beside Node itself, in turns: `node bench/start.mjs [--rounds 20]`. */
import { execFileSync } from 'node:child_process';
import { parseArgs } from 'node:util';

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '20' } } });
const program = new URL('../bin/scoreline.js', import.meta.url).pathname;
const commands = {
  'scoreline --help': [program, '--help'],
  'scoreline run --help': [program, 'run', '--help'],
  'node -e 0': ['-e', '0'],
};

const times = Object.fromEntries(Object.keys(commands).map((name) => [name, []]));
for (let round = 0; round < Number(values.rounds); round++) {
  for (const [name, args] of Object.entries(commands)) {
    const started = performance.now();
    execFileSync(process.execPath, args);
    times[name].push(performance.now() - started);
  }
}
for (const [name, ms] of Object.entries(times)) {
  ms.sort((a, b) => a - b);
  const [least, median, most] = [ms[0], ms[ms.length >> 1], ms.at(-1)].map(Math.round);
  console.log(`${name.padEnd(22)} ${median} ms (${least} to ${most})`);
}
