/** Mistakes in the job and in where it publishes: told at once, by the right exit code, with nothing touched. */
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { allowedMs, listFiles, makeCase } from '../job-case.js';
import { writeParquet } from '../parquet.js';
import { type CommandResult, scoreline } from '../scoreline.js';

const job = makeCase();
const data = 'SELECT 1::FLOAT AS a, 2::FLOAT AS b';

beforeAll(() => writeParquet(join(job.input, 'x.parquet'), data));

function linesOf(result: CommandResult, exit: number): string[] {
  expect(result.exit).toBe(exit);
  expect(result.ms).toBeLessThan(allowedMs(5000));
  expect(result.stderr).not.toMatch(/^\s+at |bug:/m);
  return result.stderr.trimEnd().split('\n');
}

describe('an output that cannot be written', () => {
  test('below a file, and where the system lets nobody write', async () => {
    writeFileSync(join(job.folder, 'file'), 'x');
    const [line, ...more] = linesOf(await job.run('--set', 'output.path=file'), 2);
    expect(more).toEqual([]);
    expect(line).toMatch(/^scoreline: output\.path .*file: is a file; name a folder$/);
    const below = linesOf(await job.run('--set', 'output.path=file/out'), 2);
    expect(below).toEqual([expect.stringMatching(/^scoreline: output\.path .*file/)]);
    const [nowhere] = linesOf(await job.run('--set', 'output.path=/proc/nope/out'), 6);
    expect(nowhere).toMatch(/^scoreline: cannot create folder \/proc\/nope.*: E/);
    expect(readFileSync(join(job.folder, 'file'), 'utf8')).toBe('x');
  });

  test('that holds something else, or is of another version', async () => {
    const other = join(job.folder, 'other');
    mkdirSync(other);
    writeFileSync(join(other, 'thesis.tex'), 'x');
    for (const command of ['run', 'plan']) {
      const result = await scoreline([command, job.jobFile, '--set', 'output.path=other']);
      expect(linesOf(result, 2)).toEqual([
        expect.stringMatching(
          /^scoreline: output\.path .*other: holds something else \(thesis\.tex/,
        ),
      ]);
    }
    expect(listFiles(other)).toEqual(['thesis.tex']);
    writeFileSync(join(other, 'scoreline.json'), '{"format":99}');
    expect(linesOf(await job.run('--set', 'output.path=other'), 2)).toEqual([
      expect.stringMatching(/made by another version of scoreline/),
    ]);
    expect(listFiles(other)).toEqual(['scoreline.json', 'thesis.tex']);
  });

  test('that lies in the input, by a link too: nothing is left there', async () => {
    symlinkSync(job.input, join(job.folder, 'link'));
    for (const path of ['in/out', 'in', 'link/deep/out']) {
      linesOf(await job.run('--set', `output.path=${path}`), 2);
      expect(readdirSync(job.input)).toEqual(['x.parquet']);
    }
    const hidden = await job.run('--set', 'output.path=in/_scores');
    expect(hidden).toMatchObject({ exit: 0, report: { outcome: 'published' } });
    const again = await job.run('--set', 'output.path=in/_scores');
    expect(again).toMatchObject({ exit: 0, report: { outcome: 'unchanged', ledger: { rows: 1 } } });
  });
});

describe('a mistake in the job file', () => {
  test('is told with its line, and every other one with it', async () => {
    const path = join(job.folder, 'bad.yaml');
    writeFileSync(
      path,
      'name: bad\ninput:\n  pth: in\nmodel: {path: m.onnx}\noutput:\n  path: out\n  format: xml\nrun: {workers: 0}\n',
    );
    for (const command of ['run', 'plan']) {
      const lines = linesOf(await scoreline([command, path]), 2);
      const at = (line: number): string => `scoreline: ${path}:${line}: `;
      expect(lines).toEqual([
        expect.stringContaining(`${at(2)}input.path: is missing`),
        expect.stringContaining(`${at(3)}unknown key "input.pth" (did you mean "input.path"`),
        expect.stringContaining(`${at(7)}output.format: "xml" is not allowed`),
        expect.stringContaining(`${at(8)}run.workers: 0 is not allowed`),
      ]);
    }
  });

  test('no file, no YAML, and a value that is set on the command line', async () => {
    expect(linesOf(await scoreline(['run', join(job.folder, 'gone.yaml')]), 2)).toHaveLength(1);
    expect(linesOf(await scoreline(['run', join(job.input, 'x.parquet')]), 2)).toHaveLength(1);
    expect(linesOf(await job.run('--set', 'run.worker=2'), 2)).toEqual([
      'scoreline: --set run.worker=2: unknown key "run.worker" (did you mean "run.workers"?)',
    ]);
    expect(linesOf(await job.run('--workers', 'many'), 2)).toHaveLength(1);
  });

  test('a prediction that would have the name of a kept column', async () => {
    await writeParquet(join(job.folder, 'y', 'x.parquet'), `${data}, 3 AS "Y"`);
    const args = ['--set', 'input.path=y', '--set', 'output.keep=[Y]'];
    expect(linesOf(await job.run(...args), 2)).toEqual([
      'scoreline: output: two columns would be named "y"; give the prediction another name under output.columns',
    ]);
  });

  test('a wrong command line', async () => {
    for (const args of [['rnu'], ['run'], ['run', job.jobFile, '--nope'], ['score', 'm.onnx']]) {
      const result = await scoreline(args);
      expect(result).toMatchObject({ exit: 2, stdout: '' });
    }
    expect((await scoreline(['--version'])).exit).toBe(0);
  });
});

describe('an output that was damaged', () => {
  test('a part record or a manifest that is no longer whole is named', async () => {
    const own = makeCase();
    await writeParquet(join(own.input, 'x.parquet'), data);
    expect((await own.run()).exit).toBe(0);
    const [part] = listFiles(join(own.output, 'store', 'parts')).filter((name) =>
      name.endsWith('part.json'),
    );
    const path = join(own.output, 'store', 'parts', part!);
    chmodSync(path, 0o644);
    writeFileSync(path, '{"part":');
    expect(linesOf(await own.run(), 6)).toEqual([expect.stringMatching(/part\.json: damaged; /)]);
    const manifest = join(own.output, 'snapshots', '000001', 'manifest.json');
    chmodSync(manifest, 0o644);
    writeFileSync(manifest, '{}');
    expect(linesOf(await own.run(), 6)).toEqual([expect.stringMatching(/manifest\.json: damaged/)]);
  });
});
