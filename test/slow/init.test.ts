/** `scoreline init`: the job files that it writes run, or say what a person has to add. */
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadJob } from '../../src/index.js';
import { modelPath } from '../job-case.js';
import { literal, query, writeParquet } from '../parquet.js';
import { atTerminal } from '../pty.js';
import { makeFolder, scoreline } from '../scoreline.js';

const A = 'a: b # "c"\n';
const B = "'ü\u202e";
const name = (text: string): string => `"${text.replaceAll('"', '""')}"`;
const ROWS = `SELECT i AS order_id, (i * 0.5)::FLOAT AS ${name(A)}, i::FLOAT AS ${name(B)}, 'x' || i AS note FROM range(1000) r(i)`;

/** A folder with the model `linear`, of two columns. */
function makeDesk(): string {
  const folder = makeFolder();
  copyFileSync(modelPath('small/linear'), join(folder, 'm.onnx'));
  return folder;
}

/** Takes the "# " away from the features, as a person does who knows that their order is that of the training. */
function confirm(file: string): void {
  const text = readFileSync(file, 'utf8');
  writeFileSync(file, text.replace('# features:', 'features:').replace(/^# {3}- /gm, '  - '));
}

describe('init', () => {
  it('writes a job that runs once the order of its columns is confirmed, whatever columns and folders are called', async () => {
    const cwd = makeDesk();
    const folder = "da:ta #1 [x] 'y'";
    await writeParquet(join(cwd, folder, 'date=2024-02-28', 'p.parquet'), ROWS);
    await writeParquet(join(cwd, folder, 'date=2024-02-29', 'p.parquet'), ROWS);

    const init = await scoreline(['init', 'm.onnx', folder, '-o', 'jobs/my job.yaml'], { cwd });
    expect(init).toMatchObject({ exit: 0, stderr: '' });
    expect(init.stdout).toContain(
      "edit       jobs/my job.yaml\nthen       scoreline plan 'jobs/my job.yaml'\n",
    );
    confirm(join(cwd, 'jobs', 'my job.yaml'));

    const job = await loadJob(join(cwd, 'jobs', 'my job.yaml'), []);
    expect(job).toMatchObject({
      name: 'm',
      input: { path: join(cwd, folder), key: 'order_id' },
      features: { by: 'list', columns: [A, B] },
      output: { path: join(cwd, 'out', 'm'), keep: ['order_id', 'note'] },
    });
    const run = await scoreline(['run', 'jobs/my job.yaml'], { cwd });
    expect(run.exit).toBe(0);
    expect(run.stdout).toContain('2,000 = 2,000 scored + 0 quarantined + 0 filtered');

    // The dates that it proposes are those of the folders.
    const [, path = '', day = ''] =
      /# path: "(.*?)" .*--date (\S+)/.exec(
        readFileSync(join(cwd, 'jobs', 'my job.yaml'), 'utf8'),
      ) ?? [];
    const args = [
      'plan',
      'jobs/my job.yaml',
      '--json',
      '--set',
      `input.path=${path}`,
      '--date',
      day,
    ];
    expect(JSON.parse((await scoreline(args, { cwd })).stdout)).toMatchObject({
      units: [{ unit: 'date=2024-02-29', rows: 1000 }],
    });
  });

  it('gives each job a folder of its own: of one model and two inputs, before and after they ran', async () => {
    const cwd = makeDesk();
    for (const folder of ['eu', 'us', 'asia'])
      await writeParquet(join(cwd, folder, 'p.parquet'), ROWS);
    const outputOf = async (folder: string, file: string, ...args: string[]): Promise<string> => {
      const init = await scoreline(['init', 'm.onnx', folder, '-o', file, ...args], { cwd });
      expect(init.exit).toBe(0);
      const { name, output } = await loadJob(join(cwd, file), []);
      expect(output.path).toBe(join(cwd, 'out', name));
      return name;
    };
    expect(await outputOf('eu', 'eu.yaml')).toBe('m');
    expect(await outputOf('us', 'us.yaml')).toBe('m-2');
    confirm(join(cwd, 'eu.yaml'));
    expect((await scoreline(['run', 'eu.yaml'], { cwd })).exit).toBe(0);
    rmSync(join(cwd, 'eu.yaml'));
    expect(await outputOf('asia', 'jobs/asia.yaml')).toBe('m-3');
    // What a job published is its own, whatever its file is called.
    expect(await outputOf('eu', 'again.yaml')).toBe('m');
  });

  it('writes how CSV files are written, and a job of one file beside its output runs', async () => {
    const cwd = makeDesk();
    const records = Array.from({ length: 50 }, (_, i) => `${i};${i}.5;00${i};2024-01-01`);
    writeFileSync(join(cwd, 'p.csv'), ['a;b;code;day', ...records].join('\n'));
    const init = await scoreline(['init', './m.onnx', './p.csv'], { cwd });
    expect(init).toMatchObject({ exit: 0, stderr: '' });
    const file = join(cwd, 'job.yaml');
    confirm(file);
    expect(await loadJob(file, [])).toMatchObject({
      input: { pathText: 'p.csv', key: undefined, csv: { delimiter: ';' } },
      features: { by: 'list', columns: ['a', 'b'] },
      output: { keep: ['code', 'day'] },
    });
    expect(readFileSync(file, 'utf8')).toContain('  # types:\n  #   day: DATE\n');
    const run = await scoreline(['run', 'job.yaml', '--set', 'input.types={day: DATE}'], { cwd });
    expect(run.stdout).toContain('50 = 50 scored + 0 quarantined + 0 filtered');
    const published = literal(join(cwd, 'out/m/current/data/*.parquet'));
    expect(await query(`SELECT typeof(day) AS t, code FROM ${published} LIMIT 1`)).toEqual([
      { t: 'DATE', code: '000' },
    ]);
  });

  it('leaves open what is not settled, says so, and plan says what is to be done', async () => {
    const cwd = makeDesk();
    mkdirSync(join(cwd, 'in'));
    await writeParquet(join(cwd, 'in', 'p.parquet'), 'SELECT 1.0 AS a, 2.0 AS b, 3.0 AS target');
    const init = await scoreline(['init', 'm.onnx', 'in/*.parquet'], { cwd });
    expect(init).toMatchObject({ exit: 0, stderr: '' });
    expect(init.stdout).toContain('edit       job.yaml\nthen       scoreline plan job.yaml\n');
    expect(await scoreline(['plan', 'job.yaml'], { cwd })).toMatchObject({
      exit: 5,
      stderr:
        'scoreline: model m.onnx: input "x" has shape [N, 2]: list its 2 columns under features, in order\n',
    });
    const file = join(cwd, 'job.yaml');
    const mended = readFileSync(file, 'utf8')
      .replace('# features:', 'features:')
      .replace('#   - b ', '  - b ')
      .replace('#   - target ', '  - target ');
    writeFileSync(file, mended);
    const run = await scoreline(['run', 'job.yaml'], { cwd });
    expect(run.stdout).toContain('1 = 1 scored');
  });

  it('asks at a terminal where to publish and which column names a row, and takes what is answered', async () => {
    const cwd = makeDesk();
    await writeParquet(
      join(cwd, 'p.parquet'),
      'SELECT i AS id, i::FLOAT AS a, 2.0::FLOAT AS b, i + 1 AS other FROM range(9) r(i)',
    );
    const answered = async (file: string, folder: string, key: string, proposed = 'out/m') => {
      const { exit, text } = await atTerminal(['init', 'm.onnx', 'p.parquet', '-o', file], {
        columns: 80,
        cwd,
        types: [
          // The folder of a job that was written before is not proposed again.
          [`Folder to publish in [${proposed}]: `, `${folder}\r`],
          ['Column that names a row [id]: ', `${key}\r`],
        ],
      });
      expect(exit).toBe(0);
      expect(text).toContain(`wrote      ${file}, and`);
      return loadJob(join(cwd, file), []);
    };
    expect(await answered('1.yaml', '', '')).toMatchObject({
      input: { key: 'id' },
      output: { path: join(cwd, 'out/m') },
    });
    expect(await answered('2.yaml', 'else/where', 'other', 'out/m-2')).toMatchObject({
      input: { key: 'other' },
      output: { path: join(cwd, 'else/where') },
    });
    expect(await answered('3.yaml', '', 'none', 'out/m-2')).toMatchObject({
      input: { key: undefined },
    });
    const quiet = await atTerminal(['init', 'm.onnx', 'p.parquet', '-o', '4.yaml', '--quiet'], {
      columns: 80,
      cwd,
    });
    expect(quiet).toEqual({ exit: 0, text: '' });
    const gone = await atTerminal(['init', 'm.onnx', 'p.parquet', '-o', '5.yaml'], {
      columns: 80,
      cwd,
      types: [['publish in', '\u0003']],
    });
    expect([gone.exit, existsSync(join(cwd, '5.yaml'))]).toEqual([130, false]);
  });

  it('replaces nothing unasked, asks nothing where there is no terminal, and refuses what it cannot draft from', async () => {
    const cwd = makeDesk();
    await writeParquet(join(cwd, 'p.parquet'), 'SELECT 1.0 AS a, 2.0 AS b');
    writeFileSync(join(cwd, 'job.yaml'), 'mine');
    expect(await scoreline(['init', 'm.onnx', 'p.parquet'], { cwd })).toMatchObject({
      exit: 2,
      stdout: '',
      stderr: 'scoreline: job.yaml: is there already; --force replaces it, -o writes another\n',
    });
    expect(readFileSync(join(cwd, 'job.yaml'), 'utf8')).toBe('mine');
    const forced = await scoreline(['init', 'm.onnx', 'p.parquet', '--force', '--json'], { cwd });
    expect(JSON.parse(forced.stdout)).toEqual({
      file: 'job.yaml',
      schema: 'scoreline.schema.json',
      features: 'open',
      key: null,
      output: 'out/m',
      rows: null,
      partitions: null,
      problems: [
        'model m.onnx: input "x" has shape [N, 2]: list its 2 columns under features, in order',
      ],
    });
    const refused: [string[], number, string][] = [
      [
        ['p.parquet', 'm.onnx'],
        5,
        'p.parquet: is Parquet, not a model; the model comes first, then the data',
      ],
      [
        ['m.onnx', 'in/{date:yyyy-MM-dd}'],
        2,
        'data in/{date:yyyy-MM-dd}: name the folder or files that are there; the job file then proposes {date:…}',
      ],
      [['m.onnx', 'none/*.csv'], 4, `input.path none/*.csv: no folder ${join(cwd, 'none')}`],
    ];
    for (const [args, exit, message] of refused) {
      const result = await scoreline(['init', ...args, '-o', 'new.yaml'], { cwd });
      expect(result).toMatchObject({ exit, stderr: `scoreline: ${message}\n` });
    }
  });
});
