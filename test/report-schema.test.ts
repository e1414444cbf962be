/** The JSON Schema of `report.json`, as it is documented, is that of the program. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseQuality, qualityJsonSchema } from '../src/report/quality-schema.js';
import { ROOT } from './scoreline.js';

test('docs/report.schema.json is what the program writes reports by', () => {
  const documented: unknown = JSON.parse(
    readFileSync(join(ROOT, 'docs', 'report.schema.json'), 'utf8'),
  );
  expect(documented).toEqual(JSON.parse(JSON.stringify(qualityJsonSchema())));
});

test('a report of another format is none', () => {
  expect(parseQuality('{"format":2}')).toBeUndefined();
  expect(parseQuality('{')).toBeUndefined();
});
