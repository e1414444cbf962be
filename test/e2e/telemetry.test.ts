/** Nothing leaves the machine, and nothing is left on it outside the output. */
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { FIXTURES, makeFolder, scoreline } from '../scoreline.js';

it("a run leaves no trace of ONNX Runtime's telemetry in the home or the temporary folder", async () => {
  const folder = makeFolder();
  const [home, temporary] = [join(folder, 'home'), join(folder, 'tmp')];
  for (const path of [home, temporary]) mkdirSync(path);
  const run = await scoreline(
    [
      'score',
      join(FIXTURES, 'models/small/linear.onnx'),
      join(FIXTURES, 'flights/month=2'),
      '-o',
      join(folder, 'out'),
      '--features',
      'day,hour',
    ],
    { env: { HOME: home, TMPDIR: temporary, XDG_CACHE_HOME: join(home, '.cache') } },
  );
  expect(run.exit).toBe(0);
  expect(readdirSync(home)).toEqual([]);
  expect(readdirSync(temporary)).toEqual([]);
});
