/** The flights of a month as columns: the features of the model, what it says, and texts beside them. */
import { join } from 'node:path';
import { CategoryBuilder } from '../../src/stats/category.js';
import type { ColumnStatistics, Statistics } from '../../src/stats/column.js';
import { NumericBuilder } from '../../src/stats/numeric-builder.js';
import { columns } from '../parquet.js';
import { FIXTURES } from '../scoreline.js';

const FEATURES = [
  'day',
  'weekday',
  'hour',
  'minute',
  'dep_delay',
  'distance',
  'air_time',
  'carrier_code',
  'origin_code',
  'dest_code',
  'sched_arr_time',
];
const TEXTS = ['carrier', 'dest', 'tailnum'];

/** The rows of a month. */
export interface Month {
  readonly rows: number;
  readonly numbers: ReadonlyMap<string, Float32Array>;
  readonly texts: ReadonlyMap<string, readonly (string | null)[]>;
}

/** Reads a month, with the predictions that Python made. */
export async function readMonth(month: number): Promise<Month> {
  const path = (name: string): string => `read_parquet('${join(FIXTURES, name)}')`;
  const found = await columns(
    `SELECT flights.*, expected.* EXCLUDE (flight_id) FROM ${path(`flights/month=${month}/flights.parquet`)} flights ` +
      `JOIN ${path('expected/flights.parquet')} expected USING (flight_id) ORDER BY flight_id`,
  );
  const [score] = Object.keys(found).slice(-1);
  const numbers = [...FEATURES, score!].map((name) => {
    const values = found[name]!.map((value) => (value === null ? Number.NaN : Number(value)));
    return [name === score ? 'score' : name, Float32Array.from(values)] as const;
  });
  const texts = TEXTS.map((name) => [name, found[name] as (string | null)[]] as const);
  return { rows: numbers[0]![1].length, numbers: new Map(numbers), texts: new Map(texts) };
}

/** The statistics of some rows of a month, by their places; of all of them without. */
export function statisticsOf(month: Month, places?: Int32Array): Statistics {
  const rows = places?.length ?? month.rows;
  const found: ColumnStatistics[] = [];
  for (const [name, values] of month.numbers) {
    const builder = new NumericBuilder('float32');
    const chosen = places === undefined ? values : new Float32Array(rows);
    if (places !== undefined) for (let i = 0; i < rows; i++) chosen[i] = values[places[i]!]!;
    builder.add(chosen, { rows });
    found.push({ name, role: name === 'score' ? 'output' : 'feature', sketch: builder.finish() });
  }
  for (const [name, values] of month.texts) {
    const builder = new CategoryBuilder();
    builder.add(places === undefined ? values : Array.from(places, (place) => values[place]!));
    found.push({ name, role: 'kept', sketch: builder.finish() });
  }
  return { rows, columns: found };
}
