/** Names with quotes, SQL, HTML, glob characters, terminal escapes or paths in them are only ever names. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { makeCase, modelPath } from '../job-case.js';
import { node, tensor, writeModel } from '../onnx.js';
import { columns, query, writeParquet } from '../parquet.js';
import { scoreline } from '../scoreline.js';

const ESC = '\u001b';

const HOSTILE = [
  'plain',
  'with space',
  "o'clock",
  '"quoted"',
  'star*',
  'what?',
  '[abc]',
  '[',
  '{a,b}',
  'back\\slash',
  'per%cent',
  'new\nline',
  `red${ESC}[31m`,
  'ünïcødé 東京 🛫',
  "'); DROP TABLE scores; --",
  '<img src=x onerror=alert(1)>',
  '$(touch pwned)',
  '~',
  '#hash',
];

describe('names of files and folders', () => {
  test('bite nobody: each file is read once, as itself', async () => {
    const job = makeCase({ output: { path: 'out', keep: ['id', 'where'] } });
    for (const [id, name] of HOSTILE.entries()) {
      // Neighbours that a glob would take instead, or as well.
      for (const [at, file] of [name, 'a', 'ab'].entries()) {
        await writeParquet(
          join(job.input, name, `${file}.parquet`),
          `SELECT ${3 * id + at} AS id, ${id}::FLOAT AS a, ${at}::FLOAT AS b, ${id} AS "where"`,
        );
      }
    }
    const result = await job.run();
    expect(result).toMatchObject({
      exit: 0,
      report: { ledger: { rows: 3 * HOSTILE.length, scored: 3 * HOSTILE.length } },
    });
    expect(job.files().sort()).toEqual(HOSTILE.map((name) => `${name}/case-00000.parquet`).sort());
    const rows = await columns(`SELECT * FROM read_parquet(${job.published()}) ORDER BY id`);
    expect(rows.id).toEqual(Array.from({ length: 3 * HOSTILE.length }, (_, i) => i));
    expect(rows.y).toEqual(
      rows.id!.map((id) => 2 * Math.trunc(Number(id) / 3) + 3 * (Number(id) % 3) + 1),
    );
    expect((await job.run()).report.outcome).toBe('unchanged');
    const plan = await scoreline(['plan', job.jobFile, '--hash']);
    expect(plan.stdout).not.toContain(ESC);
    expect(plan.stdout).toContain('red\\u{1b}[31m');
    expect(plan.stdout.trim().split('\n')).toHaveLength(HOSTILE.length + 3);
  });

  test('stand in quarantine files as they are, and in messages escaped', async () => {
    const job = makeCase({
      model: { path: modelPath('small/nan-out') },
      features: ['x'],
      quarantine: { max: 0 },
    });
    const unit = `p=a${ESC}[2J`;
    const name = `it's [x]* ${ESC}]0;title.parquet`;
    await writeParquet(join(job.input, unit, name), 'SELECT -1::FLOAT AS x');
    for (const args of [[], ['--verbose'], ['--log-format', 'json']]) {
      const refused = await scoreline(['run', job.jobFile, ...args]);
      expect(refused.exit).toBe(3);
      expect(refused.stderr + refused.stdout).not.toContain(ESC);
      expect(refused.stderr).toContain('quarantine.max: 1 of 1 rows');
    }
    expect(
      (await job.run('--set', 'quarantine.max=1', '--set', 'output.empty_partitions=publish')).exit,
    ).toBe(0);
    const [row] = await query(`SELECT * FROM read_parquet(${job.published('quarantine')})`);
    expect(row).toMatchObject({ scoreline_file: `${unit}/${name}`, scoreline_row: '0' });
  });

  test('are escaped when a file is refused, under --verbose too', async () => {
    const job = makeCase();
    mkdirSync(join(job.input, `bad${ESC}[31m`));
    writeFileSync(
      join(job.input, `bad${ESC}[31m`, `${ESC}x.parquet`),
      'not Parquet at all, but long enough',
    );
    await writeParquet(join(job.input, `cols${ESC}[31m`, 'x.parquet'), `SELECT 1 AS "a${ESC}[31m"`);
    for (const args of [[], ['--verbose'], ['--log-format', 'json']]) {
      for (const command of ['run', 'plan']) {
        const { exit, stdout, stderr } = await scoreline([
          command,
          job.jobFile,
          '--workers',
          '1',
          ...args,
        ]);
        expect(exit).toBe(4);
        expect(stdout + stderr).not.toContain(ESC);
        expect(stdout + stderr).toMatch(/bad\\+u\{1b\}\[31m/);
      }
    }
  });
});

describe('names of columns', () => {
  test('that bite feed the model, are kept and are filtered by', async () => {
    const names = [
      'a"b',
      "'; --",
      '<b>',
      `${ESC}[31m`,
      'ü 東',
      'select',
      'a b',
      'x\ny',
      '{}',
      '$1',
      'a.b',
      'filename ',
    ];
    const sql = names.map(
      (name, i) => `(${i} + i)::DOUBLE + 0.1 AS "${name.replaceAll('"', '""')}"`,
    );
    const job = makeCase({ features: [names[3], names[0]] });
    await writeParquet(join(job.input, 'x.parquet'), `SELECT ${sql.join(', ')} FROM range(3) t(i)`);
    job.change({
      input: { path: 'in', where: '"a""b" > 1 AND "<b>" < 4' },
      output: { path: 'out', keep: names, columns: { [`"score${ESC}"`]: 'y' } },
    });
    const { exit, stdout, stderr } = await scoreline(['run', job.jobFile]);
    expect({ exit, stderr }).toEqual({ exit: 0, stderr: '' });
    // The lossy casts of a column are told by its name.
    expect(stdout).toMatch(/a cast changed 1 value/);
    expect(stdout).not.toContain(ESC);
    const rows = await columns(`FROM read_parquet(${job.published()})`);
    expect(Object.keys(rows)).toEqual([...names, `"score${ESC}"`]);
    expect(rows['a"b']).toEqual([1.1]);
    expect(rows[`"score${ESC}"`]).toEqual([Math.fround(2 * 4.1 + 3 * 1.1 + 1)]);
  });
});

test('an output named __proto__, which the Node binding loses, is refused with the reason', async () => {
  const path = writeModel({
    inputs: [tensor('x', 'float', ['N', 2])],
    outputs: [tensor('y', 'float', ['N', 2]), tensor('__proto__', 'float', ['N', 2])],
    nodes: [node('Neg', ['x'], ['__proto__']), node('Abs', ['x'], ['y'])],
  });
  const job = makeCase({ model: { path }, output: { path: 'out', columns: { z: 'y' } } });
  await writeParquet(join(job.input, 'x.parquet'), 'SELECT -1::FLOAT AS a, 2::FLOAT AS b');
  const { exit, stderr } = await job.run();
  expect([exit, stderr]).toEqual([
    5,
    'scoreline: model model.onnx: has an output named __proto__, which the Node binding of ONNX Runtime loses; rename it in the model\n',
  ]);
});
