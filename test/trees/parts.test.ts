/** The parts that a model is cut into are as the whole is; and what cannot be cut. */
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Session } from '../../src/base/onnx.js';
import {
  constant,
  ELEMENT,
  int,
  type ModelParts,
  node,
  number,
  part,
  sequence,
  tensor,
  writeModel,
} from '../onnx.js';
import { compareFeeds } from '../tree-engines.js';
import { ensembleNode, stump } from '../tree-models.js';
import { branch, checked, drawFeeds, grove, OUT, partsOf, ROWS, X, Y } from '../tree-parts.js';

describe('a part of a model has', () => {
  test('external data, from the folder of the whole', async () => {
    const entry = (key: string, value: string): Buffer => part(13, part(1, key), part(2, value));
    const outside = Buffer.concat([
      int(1, 2),
      int(2, ELEMENT.float),
      part(8, 'scale'),
      entry('location', 'scale.bin'),
      entry('length', '8'),
      int(14, 1),
    ]);
    const path = writeModel({
      inputs: [tensor('raw', 'float', ['N', 2])],
      outputs: [OUT],
      nodes: [
        node('Mul', ['raw', 'scale'], ['x']),
        ensembleNode(grove()),
        node('Neg', ['y'], ['out']),
      ],
      constants: [outside],
    });
    const scale = Buffer.from(Float32Array.of(2, 3).buffer);
    writeFileSync(join(dirname(path), 'scale.bin'), scale);
    expect(await partsOf(path)).toMatchObject({ before: 1, behind: 1 });
    expect(await compareFeeds(path, drawFeeds)).toEqual({ different: 0, values: ROWS });
  });

  test('the functions of the whole, and its sparse constants', async () => {
    const twice = Buffer.concat([
      part(1, 'Twice'),
      part(4, 'of'),
      part(5, 'result'),
      part(7, node('Add', ['of', 'of'], ['result'])),
      part(9, part(1, ''), int(2, 13)),
      part(10, 'own'),
    ]);
    const sparse = part(
      15,
      part(1, constant('shift', 'float', [1], [3])),
      part(2, constant('shift_places', 'int64', [1], [1])),
      int(3, 2),
    );
    const parts: ModelParts = {
      inputs: [tensor('raw', 'float', ['N', 2])],
      outputs: [OUT],
      nodes: [
        node('own.Twice', ['raw'], ['double']),
        node('Add', ['double', 'shift'], ['x']),
        ensembleNode(grove()),
        node('own.Twice', ['y'], ['out']),
      ],
      more: [sparse],
      after: [part(25, twice), part(8, part(1, 'own'), int(2, 1))],
    };
    expect(await checked(parts)).toMatchObject({ before: 2, behind: 1 });
  });

  test('a fixed number of rows, where the whole has', async () => {
    const path = writeModel({
      inputs: [tensor('raw', 'float', [8, 2])],
      outputs: [tensor('out', 'float', [8, 1])],
      nodes: [node('Neg', ['raw'], ['x']), ensembleNode(grove()), node('Neg', ['y'], ['out'])],
    });
    const values = Float32Array.from({ length: 16 }, (_, i) => (i % 7) - 3);
    const feeds = new Map([['raw', { element: 'float32' as const, shape: [8, 2], values }]]);
    expect(await compareFeeds(path, () => feeds)).toEqual({ different: 0, values: 8 });
  });
});

describe('a model is left to ONNX Runtime, with the reason, when', () => {
  test.each<[string, Partial<ModelParts> & Pick<ModelParts, 'nodes'>, string]>([
    [
      'nodes form a circle',
      {
        nodes: [
          node('Identity', ['b'], ['a']),
          node('Identity', ['a'], ['b']),
          ensembleNode(grove()),
        ],
      },
      'the nodes of the graph form a cycle',
    ],
    [
      'its ensemble stands in a branch',
      {
        nodes: [
          node(
            'If',
            ['is'],
            ['y'],
            branch('then_branch', ensembleNode(grove(), { y: 'then' })),
            branch('else_branch', node('Neg', ['x'], ['then'])),
          ),
        ],
        inputs: [X, tensor('is', 'bool', [])],
      },
      'its tree ensembles stand in branches, loops or functions',
    ],
    [
      'its input is a constant',
      {
        nodes: [ensembleNode(grove(), { x: 'c' })],
        constants: [constant('c', 'float', [1, 2], [1, 2])],
      },
      'its input holds neither floats nor whole numbers',
    ],
    [
      'a sequence crosses',
      {
        inputs: [tensor('raw', 'float', ['N', 2])],
        nodes: [
          node('SplitToSequence', ['raw'], ['columns'], number('axis', 1)),
          node('ConcatFromSequence', ['columns'], ['x'], number('axis', 1)),
          ensembleNode(grove()),
          node('SequenceLength', ['columns'], ['length']),
          node('Cast', ['length'], ['count'], number('to', ELEMENT.float)),
          node('Mul', ['y', 'count'], ['out']),
        ],
        outputs: [OUT],
      },
      'what crosses the ensemble is no tensor',
    ],
    [
      'no output comes from its ensemble',
      {
        nodes: [ensembleNode(grove()), node('Neg', ['x'], ['out'])],
        outputs: [tensor('out', 'float', ['N', 2])],
      },
      'no output comes from the ensemble',
    ],
    [
      'it uses more features than there are',
      { nodes: [ensembleNode({ ...stump(), featureids: [2, 0, 0] })] },
      'it uses feature 2 of 2',
    ],
  ])('%s', async (_name, { inputs = [X], outputs = [Y], nodes, constants = [] }, why) => {
    expect(await partsOf(writeModel({ inputs, outputs, nodes, constants }))).toBe(why);
  });

  test('its ensemble stands in a function', async () => {
    const grown = Buffer.concat([
      part(1, 'Grown'),
      part(4, 'of'),
      part(5, 'result'),
      part(7, ensembleNode(grove(), { x: 'of', y: 'result' })),
      part(9, part(1, 'ai.onnx.ml'), int(2, 3)),
      part(10, 'own'),
    ]);
    const path = writeModel({
      inputs: [X],
      outputs: [Y],
      nodes: [node('own.Grown', ['x'], ['y'])],
      after: [part(25, grown), part(8, part(1, 'own'), int(2, 1))],
      ml: 3,
    });
    await (await Session.open(path, 'm', 'cpu')).close();
    expect(await partsOf(path)).toBe('its tree ensembles stand in branches, loops or functions');
  });

  test('ONNX Runtime refuses a part of it', async () => {
    const path = writeModel({
      inputs: [tensor('raw', 'float', ['N', 2])],
      outputs: [Y],
      nodes: [node('NoSuchThing', ['raw'], ['x']), ensembleNode(grove())],
    });
    await expect(Session.open(path, 'm', 'cpu')).rejects.toThrow();
    expect(await partsOf(path)).toMatch(/^ONNX Runtime refuses a part of it: .*NoSuchThing/);
  });

  test('an output is a sequence: the others are given', async () => {
    const path = writeModel({
      inputs: [X],
      outputs: [Y, sequence('parts')],
      nodes: [ensembleNode(grove()), node('SequenceConstruct', ['y', 'y'], ['parts'])],
    });
    expect(await partsOf(path)).toMatchObject({ behind: 1, outputs: ['y', 'parts'] });
  });
});

test('a flipped byte anywhere in a model of three parts does no harm', async () => {
  const path = writeModel({
    inputs: [tensor('raw', 'float', ['N', 2])],
    outputs: [OUT, tensor('z', 'float', ['N', 2])],
    nodes: [
      node('Mul', ['raw', 'scale'], ['x']),
      ensembleNode(stump()),
      node('Add', ['y', 'x'], ['z']),
      node('Neg', ['y'], ['out']),
    ],
    constants: [constant('scale', 'float', [2], [2, 3])],
  });
  const bytes = readFileSync(path);
  let same = 0;
  for (let at = 0; at < bytes.length; at++) {
    bytes[at]! ^= 1;
    writeFileSync(path, bytes);
    bytes[at]! ^= 1;
    // Whatever ONNX Runtime refuses as a whole is never cut.
    const whole = await Session.open(path, 'm', 'cpu').catch(() => undefined);
    await whole?.close();
    if (whole === undefined) continue;
    const { unsupported, different } = await compareFeeds(path, drawFeeds).catch(() => {
      return { unsupported: 'while it runs', different: 0 };
    });
    if (unsupported === undefined) same++;
    expect({ at, different }).toEqual({ at, different: 0 });
  }
  expect(same).toBeGreaterThan(50);
});
