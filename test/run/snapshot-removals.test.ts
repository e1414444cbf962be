import { describe, expect, test } from 'vitest';
import { latestSnapshot, publish, type Snapshot } from '../../src/run/snapshot.js';
import { failure } from '../failure.js';
import { contents, output, publicationOf, publishUnits, temporary } from '../publication-case.js';

type Units = Readonly<Record<string, readonly string[]>>;

async function drop(
  removals: readonly string[],
  units: Units,
  base: Snapshot | undefined,
): Promise<number | undefined> {
  const publication = { ...(await publicationOf(units)), removals };
  return (await publish(output, publication, base, temporary))?.number;
}

const units = async (): Promise<string[]> =>
  Object.keys((await latestSnapshot(output))!.manifest.units).sort();

describe('a publication that drops units', () => {
  test('leaves them out, and the rest as it was', async () => {
    const base = await publishUnits({ a: ['1'], b: ['2'], c: ['3'] });
    expect(await drop(['b'], { c: ['4'] }, base)).toBe(2);
    expect(contents(output.path('current', 'data'))).toEqual({
      'a/flights-00000.parquet': '1',
      'c/flights-00000.parquet': '4',
    });
    expect(await drop(['b'], {}, await latestSnapshot(output))).toBeUndefined();
  });

  test('goes on top of what others published of other units', async () => {
    const base = await publishUnits({ a: ['1'], b: ['2'] });
    await publishUnits({ c: ['3'] }, base);
    expect(await drop(['b'], {}, base)).toBe(3);
    expect(await units()).toEqual(['a', 'c']);
  });

  test('is in conflict with a run that published such a unit meanwhile, with other content', async () => {
    const base = await publishUnits({ a: ['1'], b: ['2'] });
    await publishUnits({ b: ['22'] }, base);
    expect((await failure(() => drop(['b'], { a: ['9'] }, base))).code).toBe('conflict');
    expect(await units()).toEqual(['a', 'b']);
  });

  test('agrees with a run that dropped the same meanwhile', async () => {
    const base = await publishUnits({ a: ['1'], b: ['2'] });
    expect(await drop(['b'], {}, base)).toBe(2);
    expect(await drop(['b'], {}, base)).toBeUndefined();
    expect(await drop(['b'], { c: ['3'] }, base)).toBe(3);
  });

  test('is in conflict with a run that changes what it has dropped', async () => {
    const base = await publishUnits({ a: ['1'], b: ['2'] });
    await drop(['b'], {}, base);
    expect((await failure(() => publishUnits({ b: ['3'] }, base))).code).toBe('conflict');
  });
});
