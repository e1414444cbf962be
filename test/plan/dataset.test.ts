import { chmodSync, mkdirSync, realpathSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Dataset, listDataset, listDates } from '../../src/plan/dataset.js';
import { failure } from '../failure.js';
import { asNobody, IS_ROOT } from '../nobody.js';
import { Random } from '../random.js';
import { makeFolder } from '../scoreline.js';

/** A new folder that holds files, empty ones: listing reads none. */
function folderOf(...files: readonly string[]): string {
  const root = realpathSync(makeFolder());
  for (const file of files) touch(join(root, file));
  return root;
}

function touch(path: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, '');
}

/** Lists what a job file in `baseDir` names. */
function list(baseDir: string, pathText: string, ready?: string): Promise<Dataset> {
  return listDataset({ path: resolve(baseDir, pathText), pathText, baseDir, ready, csv: false });
}

async function pathsOf(baseDir: string, pathText: string): Promise<string[]> {
  return (await list(baseDir, pathText)).files.map(({ path }) => path);
}

describe('a file', () => {
  test('is taken whatever its name, and its folder is the root', async () => {
    const root = folderOf('in/m=1/data.bin', 'in/m=1/other.parquet');
    const dataset = await list(root, 'in/m=1/data.bin');
    expect(dataset.root).toBe(join(root, 'in', 'm=1'));
    expect(dataset.files).toEqual([
      expect.objectContaining({
        path: 'data.bin',
        absolute: join(root, 'in', 'm=1', 'data.bin'),
        unit: '',
      }),
    ]);
    expect([...dataset.partitions]).toEqual([['', []]]);
  });

  test('may have a name that starts with _ or . when it is the one that is named', async () => {
    const root = folderOf('_a.parquet', '.b.parquet');
    expect(await pathsOf(root, '_a.parquet')).toEqual(['_a.parquet']);
    expect(await pathsOf(root, '.b.parquet')).toEqual(['.b.parquet']);
  });

  test('carries what the file system says of it', async () => {
    const root = folderOf();
    writeFileSync(join(root, 'a.parquet'), '12345');
    const [file] = (await list(root, 'a.parquet')).files;
    const { ino, mtimeNs } = statSync(join(root, 'a.parquet'), { bigint: true });
    expect(file?.stamp).toMatchObject({ size: 5, ino: String(ino), mtimeNs: String(mtimeNs) });
  });
});

describe('a folder', () => {
  test('gives the Parquet files below it, and names the others', async () => {
    const root = folderOf('a.parquet', 'b.PARQ', 'deep/er/c.pq', 'notes.txt', 'd.parquet.bak', 'e');
    const dataset = await list(root, '.');
    expect(dataset.files.map(({ path, unit }) => [path, unit])).toEqual([
      ['a.parquet', ''],
      ['b.PARQ', ''],
      ['deep/er/c.pq', 'deep/er'],
    ]);
    expect(dataset.passedOver).toEqual(['d.parquet.bak', 'e', 'notes.txt']);
  });

  test('hides files and folders whose names start with _ or .', async () => {
    const root = folderOf(
      'a.parquet',
      '_b.parquet',
      '.c.parquet',
      '_temporary/d.parquet',
      '.staging/e.parquet',
      'm=1/_f.parquet',
      'm=1/.g/h.parquet',
      'm=1/x_y.parquet',
    );
    const dataset = await list(root, '.');
    expect(dataset.files.map(({ path }) => path)).toEqual(['a.parquet', 'm=1/x_y.parquet']);
    expect(dataset.passedOver).toEqual([]);
  });

  test('may itself be below names that start with _ or ., and have glob characters', async () => {
    const root = folderOf('_x/.y/[z]*?{a,b}(c)!/in/a.parquet');
    const dataset = await list(root, '_x/.y/[z]*?{a,b}(c)!/in');
    expect(dataset.root).toBe(join(root, '_x/.y/[z]*?{a,b}(c)!/in'));
    expect(dataset.files.map(({ path }) => path)).toEqual(['a.parquet']);
  });

  test('lists by unit, then by path, in code units: the same whatever order it was filled in', async () => {
    const names = [
      'B.parquet',
      'a.parquet',
      'é.parquet',
      'b/1.parquet',
      'b/10.parquet',
      'b/2.parquet',
      'b-/a.parquet',
      'b/c/a.parquet',
      '\u{1f600}.parquet',
      '\uffee.parquet',
    ];
    const expected = [
      'B.parquet',
      'a.parquet',
      'é.parquet',
      '\u{1f600}.parquet',
      '\uffee.parquet',
      'b/1.parquet',
      'b/10.parquet',
      'b/2.parquet',
      'b-/a.parquet',
      'b/c/a.parquet',
    ];
    const random = new Random(3);
    for (let trial = 0; trial < 5; trial++) {
      expect(await pathsOf(folderOf(...random.shuffled(names)), '.')).toEqual(expected);
    }
  });

  test('keeps every name as it is', async () => {
    const names = [
      "it's.parquet",
      'say "hi".parquet',
      'two\nlines.parquet',
      'a b.parquet',
      'größe.parquet',
      '数据.parquet',
      'st*r.parquet',
      'wh?t.parquet',
      '[a-z].parquet',
      '{a,b}.parquet',
      'back\\slash.parquet',
      '$(rm -rf x); DROP TABLE y.parquet',
      '\u001b[31mred.parquet',
      '100%.parquet',
      '%2e%2e%2fx.parquet',
      '-rf.parquet',
      '~.parquet',
    ];
    const root = folderOf(...names);
    const { files } = await list(root, '.');
    expect(files.map(({ path }) => path)).toEqual([...names].sort());
    expect(files.map(({ absolute }) => absolute)).toEqual(
      [...names].sort().map((name) => join(root, name)),
    );
    for (const name of names) {
      expect(await pathsOf(root, name), name).toEqual([name]);
    }
  });
});

describe('a glob', () => {
  const FILES = ['y=1/a.parquet', 'y=1/b.txt', 'y=2/m=1/c.parquet', 'y=2/d.parquet', 'top.parquet'];

  test.each([
    ['in/*.parquet', ['top.parquet'], 'in'],
    ['in/*', ['top.parquet', 'y=1/a.parquet', 'y=2/d.parquet', 'y=2/m=1/c.parquet'], 'in'],
    ['in/y=[13]', ['y=1/a.parquet'], 'in'],
    ['in/*/*.parquet', ['y=1/a.parquet', 'y=2/d.parquet'], 'in'],
    [
      'in/**/*.parquet',
      ['top.parquet', 'y=1/a.parquet', 'y=2/d.parquet', 'y=2/m=1/c.parquet'],
      'in',
    ],
    ['in/y=1/*', ['a.parquet', 'b.txt'], 'in/y=1'],
    ['in/y=?/[a-c].parquet', ['y=1/a.parquet'], 'in'],
    ['./in/y=2/**', ['d.parquet', 'm=1/c.parquet'], 'in/y=2'],
    ['in/../in/y=2/*', ['d.parquet', 'm=1/c.parquet'], 'in/y=2'],
  ])(
    '%s takes files that it matches and data in folders that it matches, below the folder before its first wildcard',
    async (glob, paths, folder) => {
      const root = folderOf(
        ...FILES.map((file) => `in/${file}`),
        'in/_hidden/a.parquet',
        'in/.h.parquet',
      );
      const dataset = await list(root, glob);
      expect(dataset.files.map(({ path }) => path)).toEqual(paths);
      expect(dataset.root).toBe(join(root, folder));
      const above = await list(join(root, 'in'), glob.replace(/^(\.\/)?in\//, '../in/'));
      expect(above.files.map(({ path }) => path)).toEqual(paths);
    },
  );

  test('may be absolute', async () => {
    const root = folderOf('m=1/a.parquet');
    expect(await pathsOf('/', `${root}/*/*.parquet`)).toEqual(['m=1/a.parquet']);
  });

  test('is not confused by glob characters in the folders above the job file', async () => {
    const root = folderOf('[x] (y)/*/in/m=1/a.parquet', 'x/b/in/m=1/wrong.parquet');
    expect(await pathsOf(join(root, '[x] (y)', '*'), 'in/*/*.parquet')).toEqual(['m=1/a.parquet']);
  });

  test('is a name where a file of that name exists', async () => {
    const root = folderOf('a*.parquet', 'ab.parquet', '[ab].parquet');
    expect(await pathsOf(root, 'a*.parquet')).toEqual(['a*.parquet']);
    expect(await pathsOf(root, '[ab].parquet')).toEqual(['[ab].parquet']);
  });

  test('does not bring hidden names to light', async () => {
    const root = folderOf('a.parquet', '_b.parquet', '.c.parquet');
    expect(await pathsOf(root, '*')).toEqual(['a.parquet']);
    expect((await failure(() => list(root, '_*'))).code).toBe('input');
  });
});

describe('the folders of a unit give its partition columns', () => {
  const valuesOf = async (folder: string): Promise<[string, string | null][]> => {
    const dataset = await list(folderOf(`${folder}/a.parquet`), '.');
    return dataset.partitions.get(folder)!.map(({ name, value }) => [name, value]);
  };

  test.each([
    [
      'year=2013/month=1',
      [
        ['year', '2013'],
        ['month', '1'],
      ],
    ],
    ['raw/year=2013/v2', [['year', '2013']]],
    ['x=', [['x', '']]],
    ['x==', [['x', '=']]],
    ['x=a=b', [['x', 'a=b']]],
    ['=a', []],
    ['plain', []],
    ['x=007', [['x', '007']]],
    ['x=a%20b', [['x', 'a b']]],
    ['x=%C3%A9%f0%9f%98%80', [['x', 'é\u{1f600}']]],
    ['x=2013-01-01 00%3A00%3A00', [['x', '2013-01-01 00:00:00']]],
    ['a%3Db=1', [['a=b', '1']]],
    ['x=100%', [['x', '100%']]],
    ['x=%zz%2', [['x', '%zz%2']]],
    ['x=%25', [['x', '%']]],
    ['x=%2520', [['x', '%20']]],
    ['x=a+b', [['x', 'a+b']]],
    ['x=%27; DROP', [['x', "'; DROP"]]],
    ['x=..', [['x', '..']]],
    ['x=__HIVE_DEFAULT_PARTITION__', [['x', null]]],
    ['x=__hive_default_partition__', [['x', '__hive_default_partition__']]],
    ['x=NULL', [['x', 'NULL']]],
    ['größe=数据', [['größe', '数据']]],
    [
      'constructor=1/toString=2',
      [
        ['constructor', '1'],
        ['toString', '2'],
      ],
    ],
  ])('%s', async (folder, expected) => {
    expect(await valuesOf(folder)).toEqual(expected);
  });

  test.each([
    ['x=a%2Fb', 'the value has a path separator (/ or \\) after its % escapes'],
    ['x=..%2F..%2Fetc', 'the value has a path separator'],
    ['x=%5C', 'the value has a path separator (/ or \\) after its % escapes'],
    ['x=a%00b', 'the value has a NUL character after its % escapes'],
    ['a%2fb=1', 'the name has a path separator'],
    ['x=%FF', 'not UTF-8 after its % escapes'],
    ['x=%C3', 'not UTF-8 after its % escapes'],
    ['x=%ED%A0%80', 'not UTF-8 after its % escapes'],
    ['x=1/x=2', 'column "x" is given twice by its folders'],
    ['x=1/y=2/X=3', 'column "X" is given twice by its folders'],
    ['a b=1/a%20b=2', 'column "a b" is given twice by its folders'],
  ])('%s is refused', async (folder, why) => {
    const error = await failure(() => valuesOf(folder));
    expect([error.code, error.message]).toEqual(['input', expect.stringContaining(why)]);
  });

  test('the same for every file of a folder; and folders above the input give none', async () => {
    const root = folderOf('x=1/in/m=1/a.parquet', 'x=1/in/m=1/b.parquet', 'x=1/in/m=2/a.parquet');
    const dataset = await list(root, 'x=1/in');
    expect([...dataset.partitions]).toEqual([
      ['m=1', [{ name: 'm', value: '1' }]],
      ['m=2', [{ name: 'm', value: '2' }]],
    ]);
    expect((await list(root, 'x=1/in/m=1')).partitions.get('')).toEqual([]);
  });
});

describe('a ready file', () => {
  test('keeps the folders back that lack it, and they are named', async () => {
    const root = folderOf('m=1/a.parquet', 'm=1/_SUCCESS', 'm=2/a.parquet', 'm=10/a.parquet');
    const dataset = await list(root, '.', '_SUCCESS');
    expect(dataset.files.map(({ path }) => path)).toEqual(['m=1/a.parquet']);
    expect([...dataset.partitions.keys()]).toEqual(['m=1']);
    expect(dataset.notReady).toEqual(['m=10', 'm=2']);
  });

  test('that is missing everywhere is no error: nothing is there yet', async () => {
    const dataset = await list(folderOf('m=1/a.parquet'), '.', '_SUCCESS');
    expect([dataset.files, dataset.notReady]).toEqual([[], ['m=1']]);
  });

  test('is looked for in the root of a flat input, and nowhere above a folder', async () => {
    const flat = await list(folderOf('a.parquet', 'DONE'), '.', 'DONE');
    expect([flat.files.length, flat.notReady]).toEqual([1, []]);
    const above = await list(folderOf('m=1/a.parquet', '_SUCCESS'), '.', '_SUCCESS');
    expect(above.notReady).toEqual(['m=1']);
  });
});

describe('links', () => {
  test('to files of the input are read', async () => {
    const root = folderOf('in/b.parquet', 'in/m=1/c.parquet');
    symlinkSync(join('m=1', 'c.parquet'), join(root, 'in', 'link.parquet'));
    expect(await pathsOf(root, 'in/*.parquet')).toEqual(['b.parquet', 'link.parquet']);
  });

  test.each([
    ['in', 'm=2', '../away'],
    ['in', 'm=2', 'm=1'],
    ['in', 'm=1/old', '../../away'],
    ['in', 'loop', '.'],
    ['in', 'm=2.parquet', '../away'],
    ['in/*/*.parquet', 'm=2', '../away'],
    ['in/*', 'm=2', '../away'],
    ['in/m=*', 'm=1/old', '../../away'],
    ['in/**/*.parquet', 'm=1/old', '../../away'],
    ['in/m=[12]/**', 'm=2', '../away'],
  ])('to folders are refused: %s, of which %s leads to %s', async (path, name, target) => {
    const root = folderOf('away/a.parquet', 'in/b.parquet', 'in/m=1/c.parquet');
    symlinkSync(target, join(root, 'in', name));
    const error = await failure(() => list(root, path));
    expect([error.code, error.message]).toEqual([
      'input',
      `${name}: is a link to a folder, which is not followed; put the folder itself there, or begin the link's name with "_" to leave it out`,
    ]);
  });

  test('to nothing that are named as folders are refused: what they led to may be away', async () => {
    for (const name of ['m=2', 'm=1.5', 'old']) {
      const root = folderOf('in/b.parquet');
      symlinkSync('../away', join(root, 'in', name));
      const error = await failure(() => list(root, 'in'));
      expect([error.code, error.message]).toEqual([
        'input',
        expect.stringContaining(`${name}: is a link that leads nowhere`),
      ]);
    }
  });

  test('to folders do not matter where the input means nothing below them', async () => {
    const root = folderOf('away/a.parquet', 'in/b.parquet', 'in/m=1/c.parquet');
    for (const name of ['_old', '.old', 'old', 'm=1/old'])
      symlinkSync(join(root, 'away'), join(root, 'in', name));
    expect(await pathsOf(root, 'in/*.parquet')).toEqual(['b.parquet']);
    expect(await pathsOf(root, 'in/m=*/*.parquet')).toEqual(['m=1/c.parquet']);
  });

  test('to files outside the input are refused', async () => {
    const root = folderOf('in-other/a.parquet', 'in/b.parquet');
    symlinkSync(join('..', 'in-other', 'a.parquet'), join(root, 'in', 'link.parquet'));
    const error = await failure(() => list(root, 'in'));
    expect([error.code, error.message]).toEqual([
      'input',
      expect.stringMatching(/^link\.parquet: is a link to a file outside the input/),
    ]);
  });

  test.each(['nowhere', 'link.parquet'])('to nothing are refused: %s', async (target) => {
    const root = folderOf('in/b.parquet');
    symlinkSync(target, join(root, 'in', 'link.parquet'));
    const error = await failure(() => list(root, 'in'));
    expect(error.code).toBe('input');
    expect(error.message).toContain('link.parquet');
  });

  test('to nothing do not matter where they would not be data', async () => {
    const root = folderOf('in/b.parquet');
    symlinkSync('nowhere', join(root, 'in', '_link.parquet'));
    symlinkSync('nowhere', join(root, 'in', 'notes.txt'));
    symlinkSync('nowhere', join(root, 'in', 'link.parquet'));
    expect(await pathsOf(root, 'in/b*.parquet')).toEqual(['b.parquet']);
  });

  test.skipIf(!IS_ROOT)('to where one may not look are the fault of the environment', async () => {
    const [root, other] = [folderOf('in/b.parquet'), folderOf('in/a.parquet')];
    symlinkSync(join(root, 'in', 'b.parquet'), join(other, 'in', 'link.parquet'));
    chmodSync(root, 0o700);
    for (const folder of [dirname(other), other]) chmodSync(folder, 0o755);
    const error = await asNobody(() => failure(() => list(other, 'in')));
    chmodSync(dirname(other), 0o700);
    expect(error.code).toBe('environment');
  });

  test('in the path of the input are resolved, so that the root is the folder itself', async () => {
    const root = folderOf('v1/m=1/a.parquet');
    symlinkSync('v1', join(root, 'latest'));
    for (const path of ['latest', 'latest/*/*.parquet']) {
      expect((await list(root, path)).root, path).toBe(join(root, 'v1'));
      expect(await pathsOf(root, path)).toEqual(['m=1/a.parquet']);
    }
  });
});

describe('dates', () => {
  const listDay = (baseDir: string, pathText: string): Promise<Dataset> =>
    listDates({
      pathText,
      baseDir,
      ready: undefined,
      csv: false,
      dates: ['2024-01-02'],
      allowMissing: false,
    });

  test.each([
    ['in/d={date:yyyy-MM-dd}', 'd=2024-01-02', 'd=2024-01-01'],
    ['in/d={date:yyyy-MM-dd}/*.parquet', 'd=2024-01-02', 'd=2024-01-01'],
    ['in/{date:yyyy}/x/{date:MM-dd}.parquet', '2024', 'd=2024-01-01'],
  ])('%s: a folder that is a link is refused, wherever it leads', async (path, name, target) => {
    const root = folderOf('in/d=2024-01-01/a.parquet', 'in/d=2024-01-01/x/01-02.parquet');
    symlinkSync(target, join(root, 'in', name));
    const error = await failure(() => listDay(root, path));
    expect([error.code, error.message]).toEqual([
      'input',
      expect.stringContaining(`${name}: is a link to a folder, which is not followed`),
    ]);
  });

  test('the folder above them may be a link', async () => {
    const root = folderOf('v1/d=2024-01-02/a.parquet');
    symlinkSync('v1', join(root, 'latest'));
    const { files } = await listDay(root, 'latest/d={date:yyyy-MM-dd}');
    expect(files.map(({ path }) => path)).toEqual(['d=2024-01-02/a.parquet']);
  });

  test('of a table are refused, too', async () => {
    const root = folderOf('in/_delta_log/0.json', 'in/d=2024-01-02/a.parquet');
    const error = await failure(() => listDay(root, 'in/d={date:yyyy-MM-dd}'));
    expect(error.message).toContain('belongs to a table (Delta Lake)');
  });
});

describe('a table', () => {
  const DELTA = ['_delta_log/00000000000000000000.json', 'p=1/a.parquet', 'b.parquet'];
  const HUDI = [
    '.hoodie/hoodie.properties',
    '2024/01/a.parquet',
    '2024/01/.hoodie_partition_metadata',
  ];
  const ICEBERG = ['metadata/v1.metadata.json', 'data/p=1/a.parquet', 'p=1/a.parquet'];
  const uuid = '5f0c1e9a-6f0f-4d55-8a05-b5d5ee1ab9e9';

  test.each([
    ['Delta Lake', DELTA, 't'],
    ['Delta Lake', DELTA, '.'],
    ['Delta Lake', DELTA, 't/*.parquet'],
    ['Delta Lake', DELTA, '*'],
    ['Delta Lake', DELTA, 't/p=1'],
    ['Delta Lake', DELTA, 't/p=1/*.parquet'],
    ['Apache Hudi', HUDI, 't'],
    ['Apache Hudi', HUDI, 't/2024/01'],
    ['Apache Iceberg', ICEBERG, 't'],
    ['Apache Iceberg', ICEBERG, '.'],
    ['Apache Iceberg', ICEBERG, 't/data'],
    ['Apache Iceberg', ICEBERG, 't/p=1'],
    ['Apache Iceberg', [`metadata/00001-${uuid}.metadata.json`, 'data/a.parquet'], 't'],
    ['Apache Iceberg', [`metadata/00001-${uuid}.gz.metadata.json`, 'data/a.parquet'], 't'],
  ])('of %s (%j) is refused as %s', async (format, files, path) => {
    const root = folderOf('z.parquet', ...files.map((file) => `t/${file}`));
    const error = await failure(() => list(root, path));
    expect(error.code).toBe('input');
    expect(error.message).toMatch(
      new RegExp(
        `^input\\.path: \\S+ belongs to a table \\(${format}\\), whose files alone do not say which rows are current; export the table's current rows to Parquet and score those, or name a single file of it$`,
      ),
    );
  });

  test('is none of the input where no file of it is', async () => {
    const root = folderOf('z.parquet', ...DELTA.map((file) => `t/${file}`), 'y/a.parquet');
    expect(await pathsOf(root, '[xy]/*.parquet')).toEqual(['y/a.parquet']);
    expect(await pathsOf(root, '*.parquet')).toEqual(['z.parquet']);
  });

  test('may give a file that is named by itself', async () => {
    const root = folderOf(...DELTA.map((file) => `t/${file}`));
    expect(await pathsOf(root, 't/b.parquet')).toEqual(['b.parquet']);
    expect(await pathsOf(root, 't/p=1/a.parquet')).toEqual(['a.parquet']);
  });

  test('is not made by a folder "metadata" of other files', async () => {
    const root = folderOf('metadata/a.metadata.json', 'metadata/notes.json', 'data/a.parquet');
    expect(await pathsOf(root, '.')).toEqual(['data/a.parquet']);
  });
});

describe('what cannot be listed', () => {
  test.each([
    ['a path that is not there', 'absent', 'no such file or folder'],
    ['a file below a file', 'a.txt/b', 'no such file or folder'],
    ['a name that is too long', 'x'.repeat(300), 'no such file or folder'],
    ['a glob in a folder that is not there', 'absent/*.parquet', 'no folder'],
    ['a glob that matches nothing', 'in/*.nothing', 'no .parquet or .csv file found'],
    ['an empty folder', 'empty', 'no .parquet or .csv file found'],
    ['a folder of other files', 'in', 'no .parquet or .csv file found, but a.tsv, deep/b.txt'],
  ])('%s', async (_name, path, why) => {
    const root = folderOf('in/a.tsv', 'in/deep/b.txt', 'a.txt');
    mkdirSync(join(root, 'empty'));
    const error = await failure(() => list(root, path));
    expect([error.code, error.message]).toEqual(['input', expect.stringContaining(why)]);
    expect(error.message).toMatch(/^input\.path /);
  });

  test('a name is shown without what would act on a terminal', async () => {
    const error = await failure(() => list(folderOf(), 'a\u001b[31m\n*/b'));
    expect(error.message).toContain('a\\u{1b}[31m\\u{a}');
  });

  test.skipIf(!IS_ROOT)(
    'a folder that may not be entered is the fault of the environment',
    async () => {
      const root = folderOf('in/a.parquet');
      const error = await asNobody(() => failure(() => list(root, 'in')));
      expect(error.code).toBe('environment');
    },
  );
});
