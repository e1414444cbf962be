/** A model that needs a locale of the machine. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { makeCase } from '../job-case.js';
import { int, node, part, tensor, writeModel } from '../onnx.js';
import { writeParquet } from '../parquet.js';
import { scoreline } from '../scoreline.js';

/** An attribute that holds one text. */
const text = (name: string, value: string): Buffer =>
  part(5, part(1, name), part(4, value), int(20, 3));

test('a locale that the machine lacks is the fault of the environment, with the commands that add it', async () => {
  const lower = text('case_change_action', 'LOWER');
  const model = writeModel({
    inputs: [tensor('x', 'string', ['N'])],
    outputs: [tensor('y', 'string', ['N'])],
    nodes: [node('StringNormalizer', ['x'], ['y'], lower, text('locale', 'xx_XX.UTF-8'))],
  });
  const job = makeCase({ model: { path: model }, features: undefined });
  await writeParquet(join(job.input, 'x.parquet'), "SELECT 'A' AS x");
  expect(await job.run()).toMatchObject({
    exit: 6,
    stderr:
      'scoreline: model model.onnx: needs the locale xx_XX.UTF-8, which this machine lacks; add it with ' +
      '"apt-get install locales", then "localedef -i xx_XX -f UTF-8 xx_XX.UTF-8"\n',
  });
});

test('doctor says whether the machine has the usual locale', async () => {
  const { stdout } = await scoreline(['doctor']);
  expect(stdout).toMatch(/^locale {6}en_US\.UTF-8: (?:present|unknown|absent; .*localedef.*)$/m);
});
