// Longer than 400 lines: one format, and most of the length is tables of cases.
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ScorelineError, shown } from '../../src/base/errors.js';
import { externalDataFiles, type OnnxFile, readOnnxFile } from '../../src/base/onnx-file.js';

const MODELS = join(import.meta.dirname, '../../fixtures/models');
const small = (name: string): string => join(MODELS, 'small', `${name}.onnx`);
const broken = (name: string): string => join(MODELS, 'broken', `${name}.onnx`);

let folder: string;

beforeAll(() => {
  folder = fs.mkdtempSync(join(tmpdir(), 'onnx-file-'));
});

afterAll(() => {
  fs.rmSync(folder, { recursive: true });
});

// --- Protobuf by hand: fields as in onnx.proto3 ---

function varint(value: number | bigint): Buffer {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return Buffer.from([...bytes, Number(rest)]);
}

const int = (field: number, value: number | bigint): Buffer =>
  Buffer.concat([varint(field * 8), varint(value)]);

function part(field: number, ...content: (Buffer | string)[]): Buffer {
  const bytes = Buffer.concat(content.map((c) => (typeof c === 'string' ? Buffer.from(c) : c)));
  return Buffer.concat([varint(field * 8 + 2), varint(bytes.length), bytes]);
}

const entry = (key: string, value: string): Buffer => Buffer.concat([part(1, key), part(2, value)]);
const tensorType = (element: number, ...dims: Buffer[]): Buffer =>
  part(1, int(1, element), part(2, ...dims.map((dim) => part(1, dim))));
const output = (name: string, ...type: Buffer[]): Buffer => part(12, part(1, name), ...type);
const external = (name: string, location: string, dataLocation: number | bigint = 1): Buffer =>
  Buffer.concat([
    part(8, name),
    part(13, entry('location', location)),
    part(13, entry('offset', '0')),
    int(14, dataLocation),
  ]);
const Y = output('y', part(2, tensorType(1)));

/** A model around the fields of a graph; the graph's output is y unless it has its own. */
const model = (graph: Buffer[], ...more: Buffer[]): Buffer =>
  Buffer.concat([int(1, 8), part(7, ...graph), part(8, int(2, 15)), ...more]);

let written = 0;
function write(bytes: Buffer | string): string {
  const path = join(folder, `m${written++}.onnx`);
  fs.writeFileSync(path, bytes);
  return path;
}

const read = (graph: Buffer[], ...more: Buffer[]): Promise<OnnxFile> =>
  readOnnxFile(write(model(graph, ...more)));

/** The message of the refusal, without the path; fails unless it is a `ScorelineError` of one line. */
async function refusal(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (e: unknown) => e,
  );
  if (!(error instanceof ScorelineError)) throw new Error('no ScorelineError', { cause: error });
  expect(error.code).toBe('model');
  expect(error.message).not.toContain('\n');
  return error.message.replace(/^model \S+\.onnx: /, '');
}

describe('readOnnxFile', () => {
  it('reads the signature, operator sets and operators of a LightGBM export', async () => {
    const file = await readOnnxFile(join(MODELS, 'flights.onnx'));
    expect(file).toMatchObject({
      irVersion: 4,
      producer: 'OnnxMLTools',
      domain: 'onnxml',
      modelVersion: 0n,
      initializers: [],
      externalData: [],
      functions: [],
    });
    expect(file.opsets).toContainEqual({ domain: 'ai.onnx.ml', version: 1 });
    expect(file.inputs).toEqual([
      { name: 'input', kind: 'tensor', elementType: 'float', shape: [null, 12], optional: false },
    ]);
    expect(file.outputs.map(({ name, shape }) => ({ name, shape }))).toEqual([
      { name: 'variable', shape: [null, 1] },
    ]);
    expect(file.ops).toContainEqual({
      domain: 'ai.onnx.ml',
      op: 'TreeEnsembleRegressor',
      count: 1,
    });
  });

  it('reads every small fixture', async () => {
    for (const name of fs.readdirSync(join(MODELS, 'small')).filter((n) => n.endsWith('.onnx'))) {
      const file = await readOnnxFile(join(MODELS, 'small', name));
      expect(file.outputs.length, name).toBeGreaterThan(0);
      expect(file.irVersion, name).toBe(8);
    }
  });

  it('tells types and shapes apart', async () => {
    const { inputs, outputs } = await readOnnxFile(small('ints'));
    expect(inputs.map((v) => [v.name, v.elementType, v.shape])).toEqual([
      ['i', 'int64', ['N', 1]],
      ['f', 'double', ['N', 1]],
    ]);
    expect(outputs.map((v) => [v.name, v.elementType, v.shape])).toEqual([
      ['d', 'double', ['N', 1]],
      ['k', 'int64', ['N']],
    ]);
    expect((await readOnnxFile(small('strings'))).inputs[0]?.elementType).toBe('string');
    expect((await readOnnxFile(small('no-batch'))).inputs[0]?.shape).toEqual([3]);
  });

  it('counts the operators of subgraphs', async () => {
    const { ops } = await readOnnxFile(small('slow'));
    const count = (op: string): number | undefined => ops.find((o) => o.op === op)?.count;
    expect([count('Loop'), count('Identity'), count('Add'), count('Mul')]).toEqual([1, 1, 2, 2]);
  });

  it('takes hostile names as they are', async () => {
    const { inputs, outputs } = await readOnnxFile(small('hostile-names'));
    expect(inputs[0]?.name).toBe('"; DROP TABLE x; --');
    expect(outputs[0]?.name).toBe('<img src=x onerror=alert(1)>\u001b[31m');
  });

  it('reads models that are well formed though they cannot run', async () => {
    expect((await readOnnxFile(broken('custom-op'))).ops).toEqual([
      { domain: 'com.acme', op: 'Frobnicate', count: 1 },
    ]);
    expect((await readOnnxFile(broken('unknown-opset'))).opsets[0]?.version).toBe(999);
  });

  it('spells sequences, maps, optionals and sparse tensors out', async () => {
    const map = part(5, int(1, 7), part(2, tensorType(1)));
    const { outputs } = await read([
      output('seq', part(2, part(4, part(1, map)))),
      output('map', part(2, part(5, int(1, 8), part(2, tensorType(11))))),
      output('opt', part(2, part(9, part(1, part(8, int(1, 10)))))),
      output('sparse', part(2, part(8, int(1, 1), part(2, part(1, int(1, 3)))))),
      output('opaque', part(2, part(7, part(1, 'd')))),
      output('untyped'),
      output('new', part(2, tensorType(99))),
    ]);
    expect(outputs.map((v) => [v.name, v.kind, v.elementType, v.shape])).toEqual([
      ['seq', 'sequence', 'seq(map(int64,float))', null],
      ['map', 'map', 'map(string,double)', null],
      ['opt', 'optional', 'optional(sparse(float16))', null],
      ['sparse', 'sparse', 'float', [3]],
      ['opaque', 'unknown', 'unknown', null],
      ['untyped', 'unknown', 'unknown', null],
      ['new', 'tensor', 'type 99', []],
    ]);
  });

  it('takes a negative, unnamed or absent dimension for an unknown one', async () => {
    const dims = [int(1, -1), part(2, ''), Buffer.alloc(0), int(1, 0), part(2, 'N')];
    const { outputs } = await read([
      output('y', part(2, tensorType(1, ...dims))),
      output('no shape', part(2, part(1, int(1, 1)))),
    ]);
    expect(outputs.map((v) => v.shape)).toEqual([[null, null, null, 0, 'N'], null]);
  });

  it('marks inputs that are initializers, dense or sparse, as optional', async () => {
    const names = ['x', 'w', 's'].map((name) => part(11, part(1, name)));
    const dense = part(5, part(8, 'w'));
    const { inputs, initializers } = await read([
      ...names,
      Y,
      dense,
      part(15, part(1, part(8, 's'))),
    ]);
    expect(initializers).toEqual(['w', 's']);
    expect(inputs.map((v) => v.optional)).toEqual([false, true, true]);
  });

  it('reads what the model says of itself, and metadata whose keys are any text', async () => {
    const file = await read(
      [Y],
      part(2, 'me'),
      part(3, '1.2'),
      part(4, 'dom'),
      int(5, 2n ** 62n + 1n),
      part(6, 'd'.repeat(300_000)),
      part(14, entry('__proto__', 'p')),
      part(14, entry('é\n', '')),
      part(8, part(1, 'ai.onnx'), int(2, 3)),
    );
    expect(file).toMatchObject({ producer: 'me', producerVersion: '1.2', domain: 'dom' });
    expect(file.modelVersion).toBe(2n ** 62n + 1n);
    expect(file.docString).toHaveLength(256 * 1024);
    expect(Object.entries(file.metadata)).toEqual([
      ['__proto__', 'p'],
      ['é\n', ''],
    ]);
    expect(file.opsets).toEqual([
      { domain: '', version: 15 },
      { domain: '', version: 3 },
    ]);
  });

  it('finds functions, and external data wherever tensors can be', async () => {
    const constant = (location: string): Buffer =>
      part(1, part(4, 'Constant'), part(5, part(5, external('', location))));
    const branch = Buffer.concat([constant('branch'), part(5, external('bw', 'branch-init'))]);
    const file = await read(
      [
        part(1, part(4, 'If'), part(5, part(6, branch))),
        part(1, part(4, 'T'), part(5, part(10, external('', 'a')), part(10, external('', 'b')))),
        part(1, part(4, 'G'), part(5, part(11, constant('graphs')))),
        part(1, part(4, 'S'), part(5, part(22, part(1, external('', 'sparse'))))),
        part(1, part(4, 'SS'), part(5, part(23, part(2, external('', 'sparses'))))),
        part(5, external('w', 'a')),
        part(5, external('not external', 'ignored', 0)),
        part(5, external('a number that protobuf truncates', 'wide', 2n ** 32n + 1n)),
        part(15, part(1, external('v', 'values')), part(2, external('', 'indices'))),
        Y,
      ],
      part(25, part(1, 'F'), part(10, 'acme'), part(7, part(4, 'Relu'))),
      part(25, part(1, 'H'), part(11, part(5, external('', 'default')))),
    );
    expect(file.functions).toEqual(['acme::F', 'H']);
    expect(file.ops.find((o) => o.op === 'Constant')?.count).toBe(2);
    expect(file.ops.find((o) => o.op === 'Relu')?.count).toBe(1);
    const expected =
      'branch branch-init a b graphs sparse sparses wide values indices default'.split(' ');
    expect(file.externalData).toEqual(expected);
  });

  it('steps over tensor data and long lists, packed or not, wherever they end', async () => {
    const times = (count: number, one: Buffer): Buffer => Buffer.alloc(count * one.length, one);
    const lists = [
      times(90_001, Buffer.from([7 * 8 + 5, 1, 2, 3, 4])), // floats, a field each
      times(50_001, int(8, -3)),
      times(200_003, int(8, 5)),
      times(40_001, part(9, 'BRANCH_LEQ')),
      times(3_001, part(9, 'x'.repeat(200))),
      part(7, Buffer.alloc(400_004)), // floats, packed
    ];
    const { ops, initializers } = await read([
      part(1, part(5, part(1, 'list'), ...lists, int(20, 8)), part(4, 'Trees')),
      part(5, part(9, Buffer.alloc(700_000, 0x2a)), part(8, 'w')),
      Y,
    ]);
    expect(ops).toEqual([{ domain: '', op: 'Trees', count: 1 }]);
    expect(initializers).toEqual(['w']);
  });

  it('knows models of before operator sets', async () => {
    const file = await readOnnxFile(write(Buffer.concat([int(1, 2), part(7, Y)])));
    expect(file.opsets).toEqual([]);
  });
});

describe('readOnnxFile refuses', () => {
  const deepGraph = (depth: number): Buffer =>
    depth === 0 ? Y : part(1, part(5, part(6, deepGraph(depth - 1))));
  const deepType = (depth: number): Buffer =>
    depth === 0 ? Buffer.alloc(0) : part(4, part(1, deepType(depth - 1)));
  const twice = part(1, part(5, part(5, int(14, 1)), part(5, external('', '/secret', 0))));

  it.each<[what: string, bytes: Buffer | string, message: string]>([
    ['an empty file', '', 'the file is empty'],
    ['text', 'a,b\n1,2\n', 'not an ONNX file, but text'],
    ['JSON', '{"trees": []}', 'not an ONNX file, but JSON'],
    ['HTML', '\n<!DOCTYPE html><title>404</title>', 'not an ONNX file, but an HTML page'],
    ['Parquet', 'PAR1\x15\x04\x15\x10PAR1', 'not an ONNX file, but a Parquet file'],
    [
      'a zip',
      'PK\x03\x04\x14\x00',
      'not an ONNX file, but a zip archive, as PyTorch and Keras write',
    ],
    [
      'a pointer to the file',
      'version https://git-lfs.github.com/spec/v1\noid sha256:0',
      'not an ONNX file, but a Git LFS pointer: run "git lfs pull"',
    ],
    ['zeros', Buffer.alloc(1000), 'not an ONNX file'],
    ['a lone byte', Buffer.from([8]), 'cut short: it needs at least 2 bytes and has 1'],
    [
      'a length that no file has',
      Buffer.concat([int(1, 8), Buffer.from([7 * 8 + 2]), varint(0xffff_ffff), Y]),
      'cut short: it needs at least 4294967303 bytes and has 21',
    ],
  ])('%s', async (_, bytes, message) => {
    expect(await refusal(readOnnxFile(write(bytes)))).toBe(message);
  });

  it.each<[what: string, bytes: Buffer, reason: string]>([
    ['no graph', int(1, 8), 'no graph that has an output'],
    ['no outputs', model([]), 'no graph that has an output'],
    ['an IR version of zero', Buffer.concat([int(1, 0), part(7, Y)]), 'no IR version'],
    ['no operator set', Buffer.concat([int(1, 8), part(7, Y)]), 'no operator set'],
    [
      'a field that runs past its message',
      model([Buffer.from([12 * 8 + 2, 100]), Y]),
      'the field at byte 6 runs past its message',
    ],
    ['a group', model([Buffer.from([3 * 8 + 3])]), 'a protobuf group at byte 5'],
    ['an endless number', model([Buffer.alloc(99, 255)]), 'no protobuf field at byte 4'],
    ['deep graphs', model([deepGraph(3000), Y]), 'nested deeper than 100 levels'],
    ['deep types', model([output('y', part(2, deepType(3000)))]), 'nested deeper than 100 levels'],
    ['a name longer than any', model([output('y'.repeat(300_000))]), 'a name of 300000 bytes'],
    [
      'more parts than any model has',
      model([Buffer.alloc(6_000_000, part(11)), Y]),
      'describes more parts and names than any model has',
    ],
    [
      'two tensors that protobuf would merge into one with hidden external data',
      model([twice, Y]),
      'two tensors in a place for one, before byte 52',
    ],
  ])('%s', async (_, bytes, reason) => {
    const message = await refusal(readOnnxFile(write(bytes)));
    expect(message).toBe(`not a valid ONNX file (${reason})`);
  });

  it('a file that is not there, and what is not a file', async () => {
    const absent = join(folder, 'absent.onnx');
    expect(await refusal(readOnnxFile(absent))).toBe(`model not found: ${absent}`);
    expect(await refusal(readOnnxFile(join(write('x'), 'y')))).toMatch(/^model not found: /);
    expect(await refusal(readOnnxFile(folder))).toBe(`model ${folder}: is a directory`);
    expect(await refusal(readOnnxFile('/dev/null'))).toBe('model /dev/null: is not a regular file');
    expect(await refusal(readOnnxFile('a\0b'))).toMatch(/^cannot read model a\\u\{0\}b/);
  });

  it.each([
    ['empty', 'the file is empty'],
    ['not-onnx', 'not an ONNX file, but text'],
    ['truncated', 'cut short: it needs at least 112245 bytes and has 67360'],
  ])('the fixture %s', async (name, message) => {
    expect(await refusal(readOnnxFile(broken(name)))).toBe(message);
  });

  it('a model that is cut off at any byte', async () => {
    const whole = fs.readFileSync(small('slow'));
    for (let length = 1; length < whole.length; length++) {
      const message = await refusal(readOnnxFile(write(whole.subarray(0, length))));
      expect(message, `${length} bytes`).toMatch(/^(cut short|not a valid ONNX file \(no )/);
    }
  });
});

/** A repeatable source of numbers in [0, below). */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** One random edit: bytes are cut off, changed, flipped, put in, or taken out. */
function mutate(bytes: Buffer, next: (below: number) => number): Buffer {
  const at = next(bytes.length);
  const kind = next(5);
  if (kind === 0) return bytes.subarray(0, at + 1);
  if (kind === 1) return Buffer.from(bytes.map((b, i) => (i === at ? next(256) : b)));
  if (kind === 2) return Buffer.from(bytes.map((b, i) => (i === at ? b ^ (1 << next(8)) : b)));
  if (kind === 3) {
    const more = Buffer.from([255, next(256), next(256)]);
    return Buffer.concat([bytes.subarray(0, at), more, bytes.subarray(at)]);
  }
  return Buffer.concat([bytes.subarray(0, at + 1), bytes.subarray(at + 1 + next(9))]);
}

describe('damaged models', () => {
  it('are read or refused in one line, whatever the damage', async () => {
    const names = ['linear', 'slow', 'hostile-names', 'external', 'ints'];
    const models = names.map((name) => fs.readFileSync(small(name)));
    const next = numbers(20_240_501);
    let refused = 0;
    for (let i = 0; i < 500; i++) {
      let bytes: Buffer = models[i % models.length]!;
      for (let edits = 1 + next(3); edits > 0; edits--) bytes = mutate(bytes, next);
      const path = write(bytes);
      try {
        await externalDataFiles(path, await readOnnxFile(path));
      } catch (error) {
        if (!(error instanceof ScorelineError)) throw error;
        expect(error.code).toBe('model');
        expect(error.message).not.toContain('\n');
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(250);
    expect(refused).toBeLessThan(500);
  });
});

describe('externalDataFiles', () => {
  /** What `externalDataFiles` says of a model in a fresh folder whose data lie at `location`. */
  async function files(location: string, layOut: (home: string) => void): Promise<string[]> {
    const home = join(fs.mkdtempSync(join(folder, 'x-')), 'home');
    fs.mkdirSync(home);
    layOut(home);
    const path = join(home, 'm.onnx');
    fs.writeFileSync(path, model([part(5, external('w', location)), Y]));
    return externalDataFiles(path, await readOnnxFile(path));
  }
  const nothing = (): void => {};

  it('gives absolute paths, none for a model that holds its data', async () => {
    const path = small('external');
    expect(await externalDataFiles(path, await readOnnxFile(path))).toEqual([`${path}.data`]);
    expect(await externalDataFiles('gone.onnx', await readOnnxFile(small('linear')))).toEqual([]);
  });

  it('gives a file once that is named in several ways', async () => {
    const home = fs.mkdtempSync(join(folder, 'x-'));
    const path = join(home, 'm.onnx');
    fs.writeFileSync(join(home, 'w.bin'), 'w');
    const tensors = [part(5, external('a', 'w.bin')), part(5, external('b', './w.bin'))];
    fs.writeFileSync(path, model([...tensors, Y]));
    expect(await externalDataFiles(path, await readOnnxFile(path))).toEqual([join(home, 'w.bin')]);
  });

  it('allows folders below, and links that stay inside', async () => {
    const paths = await files('link.bin', (home) => {
      fs.mkdirSync(join(home, 'sub'));
      fs.writeFileSync(join(home, 'sub/w.bin'), 'w');
      fs.symlinkSync('sub/w.bin', join(home, 'link.bin'));
    });
    expect(paths).toEqual([expect.stringMatching(/home\/link\.bin$/)]);
  });

  it('follows a model that is a link to where its data lie too, as ONNX Runtime does', async () => {
    const cache = fs.mkdtempSync(join(folder, 'cache-'));
    for (const name of ['blobs', 'snapshot']) fs.mkdirSync(join(cache, name));
    for (const name of ['external.onnx', 'external.onnx.data']) {
      fs.copyFileSync(join(MODELS, 'small', name), join(cache, 'blobs', name));
      fs.symlinkSync(`../blobs/${name}`, join(cache, 'snapshot', name));
    }
    const path = join(cache, 'snapshot/external.onnx');
    expect(await externalDataFiles(path, await readOnnxFile(path))).toEqual([`${path}.data`]);
  });

  const linkOut = (home: string): void => {
    fs.writeFileSync(join(home, '../secret'), 's');
    fs.symlinkSync('../secret', join(home, 'w.bin'));
  };
  /** Links to a sibling whose name begins with that of the model's folder. */
  const linkBeside = (home: string): void => {
    fs.mkdirSync(`${home}2`);
    fs.writeFileSync(`${home}2/w.bin`, 's');
    fs.symlinkSync('../home2', join(home, 'link'));
  };

  it.each<[location: string, says: string, layOut: (home: string) => void]>([
    ['w.bin', 'is missing', nothing],
    ['w.bin/x', 'is missing', (home) => fs.writeFileSync(join(home, 'w.bin'), '')],
    ['w.bin', 'is missing', (home) => fs.symlinkSync('nowhere', join(home, 'w.bin'))],
    ['sub', 'is not a file', (home) => fs.mkdirSync(join(home, 'sub'))],
    ['.', 'is not a file', nothing],
    ['', 'has no possible name', nothing],
    ['a\0b', 'has no possible name', nothing],
    ['m.onnx', 'is the model file itself', nothing],
    ['link', 'is the model file itself', (home) => fs.symlinkSync('m.onnx', join(home, 'link'))],
    ['/etc/hostname', "lies outside the model's folder", nothing],
    ['C:\\w.bin', "lies outside the model's folder", nothing],
    ['../secret', "lies outside the model's folder", nothing],
    ['sub/../w.bin', "lies outside the model's folder", nothing],
    ['..\\w.bin', "lies outside the model's folder", nothing],
    ['w.bin', "lies outside the model's folder", linkOut],
    ['link/w.bin', "lies outside the model's folder", linkBeside],
  ])('refuses %j: %s', async (location, says, layOut) => {
    const message = await refusal(files(location, layOut));
    expect(message).toBe(`external data file "${shown(location)}" ${says}`);
  });

  it('refuses a link that leads in a circle', async () => {
    const circle = (home: string): void => fs.symlinkSync('w.bin', join(home, 'w.bin'));
    expect(await refusal(files('w.bin', circle))).toMatch(
      /^cannot read the external data of model/,
    );
  });

  it.each([
    ['escaping-external-data', '"../../secret.bin" lies outside the model\'s folder'],
    ['missing-external-data', '"missing-external-data.onnx.data" is missing'],
  ])('refuses the fixture %s', async (name, says) => {
    const path = broken(name);
    const promise = externalDataFiles(path, await readOnnxFile(path));
    expect(await refusal(promise)).toBe(`external data file ${says}`);
  });
});
