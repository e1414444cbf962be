/** Python's onnxruntime and pyarrow, of pinned versions, on the same data: the second opinion. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { pythonWith } from '../python.js';
import { FIXTURES, makeFolder, ROOT, scoreline } from '../scoreline.js';

const FEATURES =
  'month,day,weekday,hour,minute,dep_delay,distance,air_time,carrier_code,origin_code,dest_code,sched_arr_time';
let python = '';

beforeAll(() => {
  python = pythonWith('requirements.txt');
});

describe.each(['zstd', 'snappy', 'gzip', 'lz4', 'uncompressed'])(
  'predictions in Parquet with %s',
  (compression) => {
    it("equal Python's onnxruntime bit for bit, in the order and with the keys of the input, as read by pyarrow", async () => {
      const output = join(makeFolder(), 'out');
      const job = join(ROOT, 'jobs/flights.yaml');
      const run = await scoreline([
        'run',
        job,
        '--set',
        `output.path=${output}`,
        '--set',
        `output.compression=${compression}`,
      ]);
      expect(run).toMatchObject({ exit: 0, stderr: '' });
      const args = [
        join(FIXTURES, 'flights'),
        join(FIXTURES, 'models/flights.onnx'),
        join(output, 'current'),
        FEATURES,
      ];
      const answer: unknown = JSON.parse(
        execFileSync(python, [join(ROOT, 'test/slow/check.py'), ...args], { encoding: 'utf8' }),
      );
      expect(answer).toEqual({
        rows: 328_521,
        differ: 0,
        types: { flight_id: 'int64', carrier: 'string', delay_minutes: 'float' },
      });
    });
  },
);
