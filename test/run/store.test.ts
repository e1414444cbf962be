import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { sha256 } from '../../src/base/hash.js';
import { processSpace } from '../../src/base/identity.js';
import { Output } from '../../src/run/store.js';
import { sweep } from '../../src/run/unrecorded.js';
import { failure } from '../failure.js';
import { asNobody, IS_ROOT } from '../nobody.js';
import { makeFolder, ROOT } from '../scoreline.js';

/** A folder with files of these names. */
function folderWith(files: Readonly<Record<string, string>>): string {
  const root = makeFolder();
  for (const [name, text] of Object.entries(files)) writeFileSync(join(root, name), text);
  return root;
}

const MARKER = 'scoreline.json';
const KEY = sha256('key');

describe('an output', () => {
  test('is made where nothing is, with the folders above it', async () => {
    const root = join(makeFolder(), 'a', 'b');
    expect(await Output.find(root)).toBeUndefined();
    const output = await Output.open(root);
    expect(output.root).toBe(root);
    expect(readdirSync(root).sort()).toEqual([
      'cache',
      'runs',
      MARKER,
      'snapshots',
      'staged',
      'store',
      'tmp',
    ]);
    expect(readFileSync(join(root, MARKER), 'utf8')).toBe('{"format":1}\n');
  });

  test('is made in an empty folder', async () => {
    const root = makeFolder();
    expect(await Output.find(root)).toBeUndefined();
    await Output.open(root);
    expect((await Output.find(root))?.root).toBe(root);
  });

  test('is found again, and nothing in it is lost', async () => {
    const root = makeFolder();
    await Output.open(root);
    writeFileSync(join(root, 'store', 'x'), 'kept');
    await Output.open(root);
    expect(readFileSync(join(root, 'store', 'x'), 'utf8')).toBe('kept');
  });

  test('is opened by many at once, also where nothing was', async () => {
    const root = join(makeFolder(), 'out');
    const opened = await Promise.all(Array.from({ length: 8 }, () => Output.open(root)));
    expect(opened.map((output) => output.root)).toEqual(Array(8).fill(root));
    expect(readdirSync(root)).toContain(MARKER);
  });

  test('whose maker was killed at its first step is made anew', async () => {
    const root = folderWith({ [`${MARKER}.4711.k3f9.tmp`]: '' });
    await Output.open(root);
    expect(readFileSync(join(root, MARKER), 'utf8')).toBe('{"format":1}\n');
  });

  test('whose folders are missing in part gets them back', async () => {
    const root = folderWith({ [MARKER]: '{"format":1}' });
    await Output.open(root);
    expect(readdirSync(root)).toContain('tmp');
  });
});

describe('an output is refused, and nothing is written, where', () => {
  async function refusal(root: string): Promise<string> {
    const before = names(root);
    const [found, opened] = [
      await failure(() => Output.find(root)),
      await failure(() => Output.open(root)),
    ];
    expect([found.code, opened.code]).toEqual(['usage', 'usage']);
    expect(opened.message).toBe(found.message);
    expect(names(root)).toEqual(before);
    return found.message;
  }

  function names(root: string): string[] {
    try {
      return readdirSync(root);
    } catch {
      return [];
    }
  }

  test('somebody else has files', async () => {
    const root = folderWith({ 'b.txt': '', 'a\x1b.txt': '' });
    expect(await refusal(root)).toBe(
      `output.path ${root}: holds something else (a\\u{1b}.txt …); name a folder of scoreline's own`,
    );
  });

  test('somebody else has hidden files', async () => {
    expect(await refusal(folderWith({ '.git': '' }))).toMatch(/holds something else \(\.git …\)/);
  });

  test('a file is', async () => {
    const root = join(folderWith({ file: 'mine' }), 'file');
    expect(await refusal(root)).toBe(`output.path ${root}: is a file; name a folder`);
    expect(readFileSync(root, 'utf8')).toBe('mine');
  });

  test('a folder above it is a file', async () => {
    expect(await refusal(join(folderWith({ file: '' }), 'file', 'out'))).toMatch(/is a file/);
  });

  test.each([
    ['another format', '{"format":2}'],
    ['no format', '{}'],
    ['a format that is text', '{"format":"1"}'],
    ['no JSON', 'scoreline'],
    ['nothing', ''],
  ])('the marker says %s', async (_name, text) => {
    expect(await refusal(folderWith({ [MARKER]: text }))).toMatch(
      /: made by another version of scoreline \(scoreline\.json does not say format 1\)$/,
    );
  });

  test('empty folders of a run whose output was taken away are nothing', async () => {
    const root = makeFolder();
    mkdirSync(join(root, 'store', 'csv'), { recursive: true });
    mkdirSync(join(root, 'runs'));
    expect(await Output.find(root)).toBeUndefined();
    writeFileSync(join(root, 'runs', 'mine.txt'), 'x');
    expect(await refusal(root)).toMatch(/: holds something else \(runs …\)/);
  });

  test.skipIf(!IS_ROOT)('nobody may look: that is the fault of the environment', async () => {
    const root = makeFolder();
    const error = await asNobody(() => failure(() => Output.open(root)));
    expect([error.code, error.message]).toEqual(['environment', expect.stringMatching(/EACCES$/)]);
  });

  test.skipIf(!IS_ROOT)(
    'the marker may not be read: that is the fault of the environment',
    async () => {
      // Another user may enter the folders for once: only the marker itself is locked.
      const root = folderWith({ [MARKER]: '{"format":1}' });
      chmodSync(join(root, MARKER), 0o000);
      const parents = [root, join(root, '..')];
      for (const folder of parents) chmodSync(folder, 0o755);
      const error = await asNobody(() => failure(() => Output.find(root))).finally(() => {
        chmodSync(join(root, '..'), 0o700);
      });
      expect(error.code).toBe('environment');
    },
  );
});

describe('a part in the store', () => {
  const LEDGER = { rows: 1, scored: 1, quarantined: 0, filtered: 0 };
  const STORED = {
    part: {
      key: KEY,
      scoreKey: KEY,
      ledger: LEDGER,
      data: { sha256: KEY, bytes: 1, rows: 1 },
      quarantine: null,
    },
    inputs: [{ path: 'a.parquet', ledger: LEDGER }],
  };

  async function outputWith(text: string): Promise<Output> {
    const output = await Output.open(makeFolder());
    mkdirSync(output.partFolder(KEY), { recursive: true });
    writeFileSync(join(output.partFolder(KEY), 'part.json'), text);
    return output;
  }

  test('is found by its key', async () => {
    const output = await outputWith(JSON.stringify(STORED));
    expect(await output.readPart(KEY)).toEqual(STORED);
    expect(output.partFolder(KEY)).toBe(output.path('store', 'parts', KEY.slice(0, 2), KEY));
  });

  test('is not there when its folder or its record is not', async () => {
    const output = await outputWith(JSON.stringify(STORED));
    expect(await output.readPart(sha256('other'))).toBeUndefined();
    unlinkSync(join(output.partFolder(KEY), 'part.json'));
    expect(await output.readPart(KEY)).toBeUndefined();
  });

  test.each([
    ['cut short', JSON.stringify(STORED).slice(0, 50)],
    ['empty', ''],
    [
      'the record of another key',
      JSON.stringify({ ...STORED, part: { ...STORED.part, key: sha256('x') } }),
    ],
    ['without inputs', JSON.stringify({ part: STORED.part })],
  ])('is damaged when its record is %s', async (_name, text) => {
    const output = await outputWith(text);
    const error = await failure(() => output.readPart(KEY));
    expect([error.code, error.message]).toEqual([
      'environment',
      expect.stringMatching(
        /part\.json: damaged; "scoreline verify --repair" removes it, then run again$/,
      ),
    ]);
  });

  test('and its scores are told apart', async () => {
    const output = await Output.open(makeFolder());
    expect(await output.hasScores(KEY)).toBe(false);
    mkdirSync(output.scoreFolder(KEY), { recursive: true });
    expect(await output.hasScores(KEY)).toBe(false);
    writeFileSync(join(output.scoreFolder(KEY), 'scores.json'), '{}');
    expect(await output.hasScores(KEY)).toBe(true);
    expect(output.scoreFolder(KEY)).not.toBe(output.partFolder(KEY));
  });
});

describe('the sweep of temporary folders', () => {
  const HERE = processSpace();

  /** The number of a process that is gone. */
  function deadProcess(): number {
    return spawnSync(process.execPath, ['-e', '']).pid;
  }

  /** What is left of temporary folders of these names when the output is opened again. */
  async function swept(names: readonly string[]): Promise<string[]> {
    const output = await Output.open(makeFolder());
    for (const name of names) {
      mkdirSync(output.path('tmp', name, 'deep'), { recursive: true });
      writeFileSync(output.path('tmp', name, 'deep', 'file'), '', { mode: 0o444 });
    }
    await sweep(output, new Date());
    return readdirSync(output.path('tmp')).sort();
  }

  test('takes those of processes of this host that are gone', async () => {
    const pid = deadProcess();
    expect(await swept([`${HERE}-${pid}-123-abc`, `${HERE}-${pid}-unknown-abc`])).toEqual([]);
  });

  test('takes those of an earlier process that had the number of one that lives', async () => {
    expect(await swept([`${HERE}-${process.pid}-1-abc`])).toEqual([]);
  });

  test('leaves those of processes that live', async () => {
    const output = await Output.open(makeFolder());
    const [mine, other] = [await output.makeTemporary(), await output.makeTemporary()];
    expect(mine).not.toBe(other);
    await sweep(output, new Date());
    expect(readdirSync(output.path('tmp'))).toHaveLength(2);
    const unknown = `${HERE}-${process.pid}-unknown-abc`;
    expect(await swept([unknown])).toEqual([unknown]);
  });

  test('leaves those of other hosts, of which nothing is known, until they are old', async () => {
    const names = [`${sha256('another host').slice(0, 12)}-${deadProcess()}-123-abc`];
    expect(await swept(names)).toEqual(names);
    const output = await Output.open(makeFolder());
    const [fresh, old] = ['ffffffffffff-1-123-fresh', 'ffffffffffff-1-123-old'];
    for (const [name, days] of [[fresh, 6] as const, [old, 8] as const]) {
      mkdirSync(output.path('tmp', name));
      daysOld(output.path('tmp', name), days);
    }
    await sweep(output, new Date());
    expect(readdirSync(output.path('tmp'))).toEqual([fresh]);
  });

  function daysOld(path: string, days: number): void {
    const then = new Date(Date.now() - days * 24 * 60 * 60 * 1000);
    lutimesSync(path, then, then);
  }

  test.skipIf(spawnSync('unshare', ['--pid', '--fork', 'true']).status !== 0)(
    'leaves those of another container of the same host name, though it does not see their processes',
    async () => {
      const output = await Output.open(makeFolder());
      const mine = await output.makeTemporary();
      const built = (name: string): string => JSON.stringify(join(ROOT, 'dist', 'run', name));
      const script = [
        `import { Output } from ${built('store.js')};`,
        `import { sweep } from ${built('unrecorded.js')};`,
        `await sweep(await Output.open(${JSON.stringify(output.root)}), new Date());`,
      ].join('\n');
      const node = [process.execPath, '--input-type=module', '-e', script];
      const { status, stderr } = spawnSync(
        'unshare',
        ['--pid', '--fork', '--mount-proc', ...node],
        { encoding: 'utf8' },
      );
      expect([status, stderr]).toEqual([0, '']);
      expect(readdirSync(output.path('tmp'))).toEqual([mine.split('/').at(-1)]);
    },
  );

  test('takes old links that were to become "current"', async () => {
    const output = await Output.open(makeFolder());
    for (const [name, days] of [
      ['current.4711.k3f9.tmp', 8],
      ['current.4712.k3f9.tmp', 6],
      ['current.mine.tmp', 8],
    ] as const) {
      symlinkSync('snapshots/000001', output.path(name));
      daysOld(output.path(name), days);
    }
    await sweep(output, new Date());
    expect(readdirSync(output.root).filter((name) => name.startsWith('current'))).toEqual([
      'current.4712.k3f9.tmp',
      'current.mine.tmp',
    ]);
  });

  test('leaves what scoreline did not make', async () => {
    const names = ['notes', HERE, 'a-b-c'];
    expect(await swept(names)).toEqual(names.toSorted());
  });
});
