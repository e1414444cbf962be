import {
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { manifestText } from '../../src/plan/manifest.js';
import {
  latestSnapshot,
  type Publication,
  publish,
  type Snapshot,
} from '../../src/run/snapshot.js';
import { failure } from '../failure.js';
import {
  contents,
  current,
  makePart,
  output,
  publicationOf,
  publishUnits,
  recordOf,
  temporary,
  useNewOutput,
} from '../publication-case.js';

describe('publishing', () => {
  test('makes snapshot 1, and current names it', async () => {
    const snapshot = await publishUnits({ 'month=1': ['a', 'b'], '': ['top'] });
    expect(snapshot).toMatchObject({ number: 1, folder: output.path('snapshots', '000001') });
    expect(current()).toBe('snapshots/000001');
    expect(contents(output.path('current', 'data'))).toEqual({
      'flights-00000.parquet': 'top',
      'month=1/flights-00000.parquet': 'a',
      'month=1/flights-00001.parquet': 'b',
    });
    expect(snapshot).toEqual({ ...(await latestSnapshot(output)), files: {} });
    expect(readFileSync(output.path('current', 'manifest.json'), 'utf8')).toBe(
      manifestText(snapshot!.manifest),
    );
  });

  test('links the parts of the store, read-only, and leaves nothing in the temporary folder', async () => {
    const publication = await publicationOf({ u: ['a'] });
    await publish(output, publication, undefined, temporary);
    const [part] = publication.units.get('u')!.parts;
    const published = output.path('current', 'data', 'u', 'flights-00000.parquet');
    const stored = join(output.partFolder(part!.key), 'data.parquet');
    expect(statSync(published).ino).toBe(statSync(stored).ino);
    expect(statSync(published).mode & 0o777).toBe(0o444);
    expect(statSync(output.path('current', 'manifest.json')).mode & 0o777).toBe(0o444);
    expect(readdirSync(temporary)).toEqual([]);
  });

  test('makes no snapshot for types alone that a record of before does not have', async () => {
    const first = await publishUnits({ a: ['1'], b: ['2'] });
    const typed = async (units: Record<string, string[]>): Promise<Publication> => {
      const publication = await publicationOf(units);
      for (const unit of publication.units.values()) unit.types = ['FLOAT'];
      return publication;
    };
    const same = await typed({ a: ['1'], b: ['2'] });
    expect(await publish(output, same, first, temporary)).toBeUndefined();
    const other = await publish(output, await typed({ a: ['1'], b: ['3'] }), first, temporary);
    const { a, b } = other!.manifest.units;
    expect([a?.types, b?.types]).toEqual([undefined, ['FLOAT']]);
  });

  test('puts rows that were set aside beside the data', async () => {
    const units = new Map([['u', recordOf([await makePart('good', 'parquet', 'bad')])]]);
    await publish(output, { name: 'flights', extension: 'parquet', units }, undefined, temporary);
    expect(contents(output.path('current', 'quarantine'))).toEqual({
      'u/flights-00000.parquet': 'bad',
    });
  });

  test('replaces all parts of its units and keeps the others', async () => {
    const first = await publishUnits({ a: ['1', '2', '3'], b: ['4'] });
    const second = await publishUnits({ a: ['5'], c: ['6'] }, first);
    expect(second?.number).toBe(2);
    expect(contents(output.path('current', 'data'))).toEqual({
      'a/flights-00000.parquet': '5',
      'b/flights-00000.parquet': '4',
      'c/flights-00000.parquet': '6',
    });
    expect(Object.keys(contents(output.path('snapshots', '000001', 'data')))).toHaveLength(4);
  });

  test('of what is published already changes nothing and makes no snapshot', async () => {
    const first = await publishUnits({ a: ['1'], b: ['2'] });
    expect(await publishUnits({ a: ['1'] }, first)).toBeUndefined();
    expect(await publishUnits({ b: ['2'], a: ['1'] }, first)).toBeUndefined();
    expect(await publishUnits({ a: ['1'] }, undefined)).toBeUndefined();
    expect(readdirSync(output.path('snapshots'))).toEqual(['000001']);
    expect(readdirSync(temporary)).toEqual([]);
  });

  test('of a unit without parts empties it', async () => {
    const first = await publishUnits({ a: ['1'], b: ['2'] });
    await publishUnits({ a: [] }, first);
    expect(contents(output.path('current', 'data'))).toEqual({ 'b/flights-00000.parquet': '2' });
  });

  test('may hold the same part in two units', async () => {
    await publishUnits({ a: ['same'], b: ['same'] });
    expect(contents(output.path('current', 'data'))).toEqual({
      'a/flights-00000.parquet': 'same',
      'b/flights-00000.parquet': 'same',
    });
  });

  test('gives the same bytes for the same content, whatever came before', async () => {
    await publishUnits({ a: ['1'], b: ['2'] });
    const text = readFileSync(output.path('current', 'manifest.json'), 'utf8');
    await useNewOutput();
    const first = await publishUnits({ b: ['old'] });
    await publishUnits({ b: ['2'], a: ['1'] }, first);
    expect(current()).toBe('snapshots/000002');
    expect(readFileSync(output.path('current', 'manifest.json'), 'utf8')).toBe(text);
  });

  test.each(['constructor', 'toString', 'valueOf', 'hasOwnProperty', 'x/constructor'])(
    'takes a unit of the name %s for a unit',
    async (unit) => {
      const first = await publishUnits({ plain: ['1'] });
      const second = await publish(
        output,
        await publicationOf({ [unit]: ['2'] }),
        first,
        temporary,
      );
      expect(second?.number).toBe(2);
      const third = await publish(
        output,
        await publicationOf({ [unit]: ['3'] }),
        second,
        temporary,
      );
      expect(third?.number).toBe(3);
      expect(contents(output.path('current', 'data'))).toEqual({
        'plain/flights-00000.parquet': '1',
        [`${unit}/flights-00000.parquet`]: '3',
      });
    },
  );

  test('takes any other name of a folder for a unit', async () => {
    const names = [
      "it's",
      '"q"',
      'two\nlines',
      '\x1b[31m',
      '数据',
      '*?[x]',
      'back\\slash',
      'a=%2F',
      '...',
    ];
    await publishUnits(Object.fromEntries(names.map((name) => [name, [name]])));
    expect(contents(output.path('current', 'data'))).toEqual(
      Object.fromEntries(names.map((name) => [`${name}/flights-00000.parquet`, name])),
    );
  });

  test('takes a part that the store has lost from the snapshot before', async () => {
    const first = await publishUnits({ a: ['1', '2'], b: ['3'] });
    for (const { key } of [...first!.manifest.units.a!.parts, ...first!.manifest.units.b!.parts]) {
      rmSync(output.partFolder(key), { recursive: true });
    }
    await publishUnits({ c: ['4'] }, first);
    expect(contents(output.path('current', 'data'))).toEqual({
      'a/flights-00000.parquet': '1',
      'a/flights-00001.parquet': '2',
      'b/flights-00000.parquet': '3',
      'c/flights-00000.parquet': '4',
    });
  });

  test('fails when a part is nowhere, and what was published stays', async () => {
    const first = await publishUnits({ a: ['1'] });
    const publication = await publicationOf({ b: ['2'] });
    rmSync(output.partFolder(publication.units.get('b')!.parts[0]!.key), { recursive: true });
    const error = await failure(() => publish(output, publication, first, temporary));
    expect([error.code, error.message]).toEqual([
      'environment',
      expect.stringMatching(/^data\/b\/flights-00000\.parquet: is gone from the store, /),
    ]);
    expect(readdirSync(output.path('snapshots'))).toEqual(['000001']);
    expect(current()).toBe('snapshots/000001');
  });

  test('names the files of all units after the job, also those that it took over', async () => {
    const first = await publishUnits({ a: ['1'], b: ['2'] });
    const renamed = { ...(await publicationOf({ a: ['3'] })), name: 'other' };
    await publish(output, renamed, first, temporary);
    expect(contents(output.path('current', 'data'))).toEqual({
      'a/other-00000.parquet': '3',
      'b/other-00000.parquet': '2',
    });
  });

  test('in another format is refused while other units have the old one', async () => {
    const first = await publishUnits({ a: ['1'], b: ['2'] });
    const csv: Publication = {
      name: 'flights',
      extension: 'csv',
      units: new Map([['a', recordOf([await makePart('x', 'csv')])]]),
    };
    const error = await failure(() => publish(output, csv, first, temporary));
    expect([error.code, error.message]).toEqual([
      'usage',
      'output.format: 1 published partitions outside this run are .parquet; publish .csv to an output of its own',
    ]);
    const both = new Map([...csv.units, ['b', recordOf([await makePart('y', 'csv')])] as const]);
    await publish(output, { ...csv, units: both }, first, temporary);
    expect(contents(output.path('current', 'data'))).toEqual({
      'a/flights-00000.csv': 'x',
      'b/flights-00000.csv': 'y',
    });
  });
});

describe('a manifest that is not what it should be', () => {
  /** Publishes one unit, then changes the text of its manifest. */
  async function tamper(change: (text: string) => string): Promise<Snapshot> {
    const snapshot = await publishUnits({ unit: ['1'] });
    const path = output.path('snapshots', '000001', 'manifest.json');
    const text = readFileSync(path, 'utf8');
    unlinkSync(path);
    writeFileSync(path, change(text));
    return snapshot!;
  }

  test.each(['../x', '/tmp', 'a/../../../x', '..'])(
    'is refused when a unit leads out of the output: %j',
    async (unit) => {
      const base = await tamper((text) => text.replace('"unit":{', `${JSON.stringify(unit)}:{`));
      expect((await failure(() => latestSnapshot(output))).code).toBe('environment');
      const error = await failure(() => publishUnits({ other: ['2'] }, base));
      expect([error.code, error.message]).toEqual([
        'environment',
        expect.stringMatching(/manifest\.json: damaged manifest; /),
      ]);
      expect(readdirSync(output.path('snapshots'))).toEqual(['000001']);
      expect(existsSync(output.path('x'))).toBe(false);
    },
  );

  test.each([
    ['cut short', (text: string) => text.slice(0, 100)],
    ['empty', () => ''],
    ['of another format', (text: string) => text.replace('"format":1', '"format":2')],
    ['with a path for a name', (text: string) => text.replace('"flights"', '"../flights"')],
    [
      'with a path for a key',
      (text: string) => text.replace(/"key":"[0-9a-f]{64}"/, '"key":"../../x"'),
    ],
  ])('is refused when it is %s', async (_name, change) => {
    await tamper(change);
    expect((await failure(() => latestSnapshot(output))).code).toBe('environment');
  });

  test('is refused when it is missing, and what is there is left alone', async () => {
    await publishUnits({ a: ['1'] });
    unlinkSync(output.path('snapshots', '000001', 'manifest.json'));
    const error = await failure(() => publishUnits({ b: ['2'] }));
    expect([error.code, error.message]).toEqual(['environment', expect.stringMatching(/ENOENT$/)]);
    expect(current()).toBe('snapshots/000001');
  });
});
