import * as fs from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Session } from '../../src/base/onnx.js';
import { withoutZipMaps } from '../../src/base/onnx-rewrite.js';
import { Malformed } from '../../src/base/protobuf.js';
import {
  attribute,
  constant,
  int,
  type ModelParts,
  maps,
  modelBytes,
  node,
  part,
  tensor,
  varint,
  writeModel,
} from '../onnx.js';
import { makeFolder } from '../scoreline.js';

const DOUBLE = constant('W', 'float', [3, 3], [2, 0, 0, 0, 2, 0, 0, 0, 2]);
const STRINGS = attribute('classlabels_strings', ['yes', 'no', 'maybe']);
const NUMBERS = attribute('classlabels_int64s', [-3, 5, 2n ** 53n + 1n]);

/** A model that doubles its three columns, and zips them. */
function zipped(labels: Buffer, more: Partial<ModelParts> = {}): ModelParts {
  return {
    inputs: [tensor('x', 'float', ['N', 3])],
    outputs: [maps('probabilities', 'string')],
    nodes: [
      node('MatMul', ['x', 'W'], ['p']),
      node('ai.onnx.ml.ZipMap', ['p'], ['probabilities'], labels),
    ],
    constants: [DOUBLE],
    ...more,
  };
}

/** Runs a model on one row. */
async function run(path: string, name = 'probabilities') {
  const session = await Session.open(path, 'm', 'cpu');
  try {
    const feeds = {
      element: 'float32',
      shape: [1, 3],
      values: Float32Array.of(1, 2, 4),
    } as const;
    const results = await session.run(new Map([['x', feeds]]), [name]);
    return { output: session.outputs.find((spec) => spec.name === name), got: results.get(name) };
  } finally {
    await session.close();
  }
}

describe('a model without ZipMap', () => {
  it('is left alone', () => {
    const parts = zipped(STRINGS, {
      outputs: [tensor('p', 'float', ['N', 3])],
      nodes: [node('MatMul', ['x', 'W'], ['p'])],
    });
    expect(withoutZipMaps(writeModel(parts))).toBeUndefined();
  });

  it('is one whose ZipMap is of another domain, or makes no output', () => {
    const outputs = [tensor('p', 'float', ['N', 3])];
    expect(withoutZipMaps(writeModel(zipped(STRINGS, { outputs })))).toBeUndefined();
    const nodes = [node('com.acme.ZipMap', ['x'], ['probabilities'], STRINGS)];
    expect(withoutZipMaps(writeModel(zipped(STRINGS, { nodes })))).toBeUndefined();
  });
});

describe('a ZipMap that makes an output', () => {
  it('becomes a tensor under the same name, with the labels in order', async () => {
    const { output, got } = await run(writeModel(zipped(STRINGS)));
    expect(output).toMatchObject({ element: 'float32', labels: ['yes', 'no', 'maybe'] });
    expect(got).toMatchObject({ shape: [1, 3], values: Float32Array.of(2, 4, 8) });
  });

  it('may have whole numbers as labels, packed or not', async () => {
    const labels = ['-3', '5', '9007199254740993'];
    const packed = part(
      5,
      part(1, 'classlabels_int64s'),
      part(8, varint(-3), varint(5), varint(2n ** 53n + 1n)),
      int(20, 7),
    );
    for (const given of [NUMBERS, packed]) {
      const parts = zipped(given, { outputs: [maps('probabilities', 'int64')] });
      expect((await run(writeModel(parts))).output?.labels).toEqual(labels);
    }
  });

  it('may lie behind Identity nodes, whose declared types go with it', async () => {
    const parts = zipped(STRINGS, {
      nodes: [
        node('MatMul', ['x', 'W'], ['p']),
        node('ai.onnx.ml.ZipMap', ['p'], ['z'], STRINGS),
        node('Identity', ['z'], ['y']),
        node('Identity', ['y'], ['probabilities']),
      ],
      more: [part(13, maps('z', 'string')), part(13, tensor('p', 'float', ['N', 3]))],
      opset: 16,
    });
    const { output, got } = await run(writeModel(parts));
    expect(output?.labels).toEqual(['yes', 'no', 'maybe']);
    expect(got?.values).toEqual(Float32Array.of(2, 4, 8));
  });

  it('may be one of several, beside a tensor', async () => {
    const parts = zipped(STRINGS, {
      outputs: [maps('one', 'string'), tensor('p', 'float', ['N', 3]), maps('two', 'int64')],
      nodes: [
        node('MatMul', ['x', 'W'], ['p']),
        node('ai.onnx.ml.ZipMap', ['p'], ['one'], STRINGS),
        node('ai.onnx.ml.ZipMap', ['x'], ['two'], NUMBERS),
      ],
    });
    const path = writeModel(parts);
    expect([...withoutZipMaps(path)!.labels.keys()]).toEqual(['one', 'two']);
    expect((await run(path, 'one')).got?.values).toEqual(Float32Array.of(2, 4, 8));
    expect((await run(path, 'two')).got?.values).toEqual(Float32Array.of(1, 2, 4));
    expect((await run(path, 'p')).output).not.toHaveProperty('labels');
  });

  it('works in a model that has no operators of ONNX itself', async () => {
    const parts = zipped(STRINGS, {
      nodes: [node('ai.onnx.ml.ZipMap', ['x'], ['probabilities'], STRINGS)],
      constants: [],
      onlyMl: true,
    });
    expect((await run(writeModel(parts))).got?.values).toEqual(Float32Array.of(1, 2, 4));
  });

  it('keeps all other bytes, fields of a later ONNX included', () => {
    const unknown = part(900, 'a field of the future');
    const before = modelBytes(zipped(STRINGS, { more: [unknown, int(901, 7)] }));
    const path = join(makeFolder(), 'm.onnx');
    fs.writeFileSync(path, Buffer.concat([before, unknown]));
    const after = Buffer.from(withoutZipMaps(path)!.bytes);
    const expected = modelBytes({
      ...zipped(STRINGS, { more: [unknown, int(901, 7)] }),
      nodes: [node('MatMul', ['x', 'W'], ['p']), node('Identity', ['p'], ['probabilities'])],
      outputs: [Buffer.concat([part(1, 'probabilities'), part(2, part(1, int(1, 1)))])],
    });
    expect(after).toEqual(Buffer.concat([expected, unknown]));
  });

  it('finds its external data', async () => {
    const folder = makeFolder();
    const entry = (key: string, value: string) => part(13, part(1, key), part(2, value));
    const outside = Buffer.concat([
      int(1, 3),
      int(1, 3),
      int(2, 1),
      part(8, 'W'),
      entry('location', 'w.data'),
      entry('offset', '0'),
      entry('length', '36'),
      int(14, 1),
    ]);
    fs.writeFileSync(join(folder, 'w.data'), Float32Array.of(3, 0, 0, 0, 3, 0, 0, 0, 3));
    const path = join(folder, 'm.onnx');
    fs.writeFileSync(path, modelBytes(zipped(STRINGS, { constants: [outside] })));
    expect((await run(path)).got?.values).toEqual(Float32Array.of(3, 6, 12));
  });
});

describe('a hostile model', () => {
  it('with Identity nodes in a circle does not hang', () => {
    const nodes = [
      node('Identity', ['b'], ['a']),
      node('Identity', ['a'], ['b']),
      node('Identity', ['a'], ['probabilities']),
      node('ai.onnx.ml.ZipMap', ['x'], ['unused'], STRINGS),
    ];
    expect(withoutZipMaps(writeModel(zipped(STRINGS, { nodes })))).toBeUndefined();
  });

  it('with two graphs, or cut short anywhere, is malformed or left alone', () => {
    const bytes = modelBytes(zipped(STRINGS));
    const path = join(makeFolder(), 'm.onnx');
    fs.writeFileSync(path, Buffer.concat([bytes, part(7, part(2, 'another'))]));
    expect(() => withoutZipMaps(path)).toThrow(Malformed);
    let refused = 0;
    for (let length = 0; length < bytes.length; length++) {
      fs.writeFileSync(path, bytes.subarray(0, length));
      try {
        withoutZipMaps(path);
      } catch (error) {
        expect(error).toBeInstanceOf(Malformed);
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(bytes.length / 2);
  });

  it('with any byte changed is malformed or rewritten within its bounds', () => {
    const bytes = modelBytes(zipped(STRINGS));
    const path = join(makeFolder(), 'm.onnx');
    for (let at = 0; at < bytes.length; at++) {
      for (const value of [0, 0x7f, 0xff, bytes[at]! ^ 1, bytes[at]! ^ 0x80]) {
        const changed = Buffer.from(bytes);
        changed[at] = value;
        fs.writeFileSync(path, changed);
        let outcome: unknown;
        try {
          outcome = withoutZipMaps(path)?.bytes.length ?? 0;
        } catch (error) {
          outcome = error instanceof Malformed ? 0 : error;
        }
        expect(outcome).toBeTypeOf('number');
        expect(outcome as number).toBeLessThan(bytes.length + 64);
      }
    }
  });
});
