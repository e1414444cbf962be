/** The receipt of each run and act: who, when, where, with what; and that it is cheap. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { command, write } from '../history-case.js';
import { allowedMs, type JobCase, makeCase, modelPath } from '../job-case.js';
import { ROOT, scoreline } from '../scoreline.js';

const shell = (text: string): string => execFileSync('bash', ['-euc', text], { encoding: 'utf8' });
const versionOf = (name: string): string =>
  JSON.parse(readFileSync(join(ROOT, name, 'package.json'), 'utf8')).version;

function chain(job: JobCase) {
  const folder = join(job.output, 'runs/chain/000');
  return readdirSync(folder)
    .sort()
    .map((name) => JSON.parse(readFileSync(join(folder, name, 'record.json'), 'utf8')));
}

describe('the record of a run', () => {
  test('says who, when, where, and with what: as the machine and sha256sum say it', async () => {
    const job = makeCase();
    write(job, 'p=2/y.csv', [3]);
    write(job, 'p=10/x.csv', [1, 2]);
    const before = new Date().toISOString();
    const { report } = await job.run('--set', 'output.keep=[a]');
    const { receipt } = report;
    expect(receipt).toMatchObject({
      user: shell('id -un').trim(),
      uid: Number(shell('id -u')),
      host: hostname(),
      versions: {
        scoreline: versionOf('.'),
        node: process.versions.node,
        onnxruntime: versionOf('node_modules/onnxruntime-node'),
        // The binding's version is that of DuckDB with a revision.
        duckdb: `v${versionOf('node_modules/@duckdb/node-bindings').replace(/-.*/, '')}`,
      },
      model: [shell(`sha256sum '${modelPath('small/linear')}'`).slice(0, 64)],
    });
    expect([before, receipt.started, receipt.ended].sort()).toEqual([
      before,
      receipt.started,
      receipt.ended,
    ]);
    const inputs = shell(
      `cd '${job.input}' && find . -type f -printf '%P\\n' | LC_ALL=C sort | xargs sha256sum | sha256sum`,
    );
    expect(receipt.inputs).toEqual({
      root: job.input,
      files: 2,
      sha256: inputs.slice(0, 64),
    });
    const kept = join(job.output, 'runs/jobs', `${receipt.job}.json`);
    expect(shell(`sha256sum '${kept}'`).slice(0, 64)).toBe(receipt.job);
    expect(JSON.parse(readFileSync(kept, 'utf8'))).toMatchObject({
      file: job.jobFile,
      baseDir: job.folder,
      job: { name: 'case', features: ['a', 'b'], output: { path: 'out', keep: ['a'] } },
    });
    expect(report.manifest).toBe(createHash('sha256').update(job.manifest()).digest('hex'));
  });

  test('is chained to the one before, also of runs that do nothing, fail, or start no worker', async () => {
    const job = makeCase();
    write(job, 'x.csv', [1]);
    shell(`touch -d '1 hour ago' '${join(job.input, 'x.csv')}'`);
    await job.run();
    await new Promise((resolve) => setTimeout(resolve, 2100));
    await job.run();
    const { report } = await job.run();
    expect(report).toMatchObject({
      outcome: 'unchanged',
      receipt: { versions: { duckdb: null, onnxruntime: null }, inputs: { files: 1 } },
    });
    writeFileSync(join(job.input, 'x.csv'), 'a\n1\n');
    expect((await job.run()).exit).toBe(4);
    rmSync(job.input, { recursive: true });
    expect((await job.run()).report).toMatchObject({ receipt: { inputs: null, model: null } });
    const records = chain(job);
    expect(records.map(({ outcome }) => outcome)).toEqual([
      'published',
      'unchanged',
      'unchanged',
      'failed',
      'failed',
    ]);
    expect(records.map((record) => record.chain.number)).toEqual([1, 2, 3, 4, 5]);
    expect(await command(job, 'verify')).toMatchObject({ exit: 0, report: { records: 5 } });
    const history = (await command(job, 'runs')).report as { user: string; host: string }[];
    expect(new Set(history.map(({ user, host }) => `${user}@${host}`))).toEqual(
      new Set([`${shell('id -un').trim()}@${hostname()}`]),
    );
  });

  test('keeps what was overridden, and why: a gate, a revert, and that something is gone', async () => {
    const job = makeCase({ quarantine: { max: 0 } });
    write(job, 'p=1/x.csv', [1, 'bad']);
    await job.run();
    const staged = (await job.run()).report;
    await command(job, 'publish', staged.runId, '--because', 'known');
    write(job, 'p=1/x.csv', [2]);
    write(job, 'p=2/x.csv', [2]);
    await job.run();
    await command(job, 'revert', '--because', 'too early');
    await job.run('--because', 'now it is time');
    await job.run('--because', 'nothing to say');
    expect(
      chain(job)
        .slice(2)
        .map(({ because, overrides, receipt }) => [because, overrides, receipt.host]),
    ).toEqual([
      ['known', [expect.stringMatching(/^quarantine\.max: 1 of 2 rows/)], hostname()],
      [null, [], hostname()],
      ['too early', [], hostname()],
      [
        'now it is time',
        ['p=1', 'p=2'].map(
          (unit) => `partition ${unit}: its content of snapshot 2, which was reverted`,
        ),
        hostname(),
      ],
      ['nothing to say', [], hostname()],
    ]);
  });

  test('of runs at the same time follow each other', async () => {
    const job = makeCase();
    for (const p of [1, 2, 3, 4]) write(job, `p=${p}/x.csv`, [p]);
    const runs = await Promise.all([1, 2, 3, 4].map((p) => job.run('--partition', `p=${p}`)));
    expect(runs.map(({ exit }) => exit)).toEqual([0, 0, 0, 0]);
    expect(chain(job)).toHaveLength(4);
    expect(await command(job, 'verify', '--all')).toMatchObject({
      exit: 0,
      report: { records: 4, damage: [] },
    });
  });

  test('that is edited is named, and the command ends with 6', async () => {
    const job = makeCase();
    write(job, 'x.csv', [1]);
    await job.run();
    await job.run();
    const path = 'runs/chain/000/000001/record.json';
    const text = readFileSync(join(job.output, path), 'utf8');
    writeFileSync(join(job.output, path), text.replace(/"user": .*/, '"user": "somebody",'));
    const { exit, stdout, stderr } = await scoreline(['verify', job.output, '--repair']);
    expect([exit, stderr]).toEqual([6, expect.stringContaining('records are never mended; bring')]);
    expect(stdout).toMatch(/^runs\/chain\/000\/000001\/record\.json: its content has changed$/m);
    expect(stdout).toMatch(/^2 records, the newest [0-9a-f]{64}$/m);
    const accepted = await scoreline(['verify', job.output, '--because', 'a test of ours']);
    expect(accepted.exit).toBe(0);
    expect(await command(job, 'verify')).toMatchObject({ exit: 0, report: { accepted: 1 } });
  });
});

test('an output of before records were chained goes on: its old records are in no chain', async () => {
  const job = makeCase();
  write(job, 'x.csv', [1]);
  const { report } = await job.run();
  const path = join(job.output, 'runs', report.runId, 'run.json');
  const {
    chain: _chain,
    digest: _digest,
    receipt: _receipt,
    ...old
  } = JSON.parse(readFileSync(path, 'utf8'));
  rmSync(path);
  writeFileSync(path, JSON.stringify(old));
  rmSync(join(job.output, 'runs/chain'), { recursive: true });
  rmSync(join(job.output, 'runs/jobs'), { recursive: true });
  expect((await command(job, 'verify')).exit).toBe(0);
  expect((await job.run()).report.outcome).toBe('unchanged');
  expect(chain(job).map(({ outcome }) => outcome)).toEqual(['unchanged']);
  expect((await command(job, 'verify')).exit).toBe(0);
  expect((await command(job, 'runs')).report).toHaveLength(2);
});

test('a run that has nothing to do stays cheap with a long chain behind it', async () => {
  const job = makeCase();
  for (let p = 1; p <= 12; p++) write(job, `p=${p}/x.csv`, [p]);
  shell(`find '${job.input}' -type f -exec touch -d '1 hour ago' {} +`);
  await new Promise((resolve) => setTimeout(resolve, 2100));
  await job.run();
  // A year of records each hour: only the last are looked at.
  shell(`cd '${join(job.output, 'runs/chain')}' && for t in 000 001 002 003 004 005 006 007; do mkdir -p $t
    for n in 002 250 500 750 999; do cp -r 000/000001 $t/$t$n; done; done`);
  const runs = [];
  for (let i = 0; i < 5; i++) runs.push(await job.run());
  expect(new Set(runs.map(({ report }) => report.outcome))).toEqual(new Set(['unchanged']));
  expect(Math.min(...runs.map(({ ms }) => ms))).toBeLessThan(allowedMs(400));
});
