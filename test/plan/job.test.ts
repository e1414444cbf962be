// Longer than 400 lines: it is the list of everything that the job file refuses, and a list reads best in one piece.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import * as z from 'zod';
import { ScorelineError } from '../../src/base/errors.js';
import {
  JOB_KEYS,
  type Job,
  jobFileSchema,
  jobFromObject,
  loadJob,
  parseJob,
} from '../../src/plan/job.js';

const MINIMAL = `name: flights
input:
  path: ../data
model:
  path: m.onnx
output:
  path: ../out
`;

const FILE = '/jobs/flights.yaml';

function parse(text: string, ...overrides: string[]): Job {
  return parseJob(text, { file: FILE, overrides });
}

/** The lines of the error that reading a text ends with, without the name of the file. */
function errors(text: string, ...overrides: string[]): string[] {
  return failure(() => parse(text, ...overrides))
    .message.split('\n')
    .map((line) => line.replace(`${FILE}:`, ''));
}

function failure(act: () => unknown): ScorelineError {
  try {
    act();
  } catch (error) {
    if (error instanceof ScorelineError) return error;
    throw error;
  }
  throw new Error('expected an error');
}

/** The minimal job with one key of `output` more. */
const withOutput = (line: string) => `${MINIMAL}  ${line}\n`;

/** The minimal job with one key of `input` more, on line 3. */
const withInput = (line: string) => MINIMAL.replace('input:\n', `input:\n  ${line}\n`);

describe('a valid job', () => {
  test('has every default filled in', () => {
    expect(parse(MINIMAL)).toEqual({
      file: FILE,
      baseDir: '/jobs',
      source: {
        name: 'flights',
        input: { path: '../data' },
        model: { path: 'm.onnx' },
        output: { path: '../out' },
      },
      name: 'flights',
      input: {
        path: '/data',
        pathText: '../data',
        key: undefined,
        where: undefined,
        ready: undefined,
        types: [],
        checksums: true,
      },
      model: { path: '/jobs/m.onnx', sha256: undefined, allowRandom: false },
      features: { by: 'name' },
      output: {
        path: '/out',
        format: 'parquet',
        compression: 'zstd',
        keep: [],
        columns: [],
        emptyPartitions: 'stage',
        partitionColumns: 'folders',
        keepSnapshots: 10,
      },
      quarantine: { max: { unit: 'share', share: 0.001, minRows: 10 }, nonFinite: 'quarantine' },
      statistics: [],
      sampleRows: 4096,
      baseline: 'auto',
      gates: undefined,
      canary: false,
      run: {
        workers: 'auto',
        memoryBytes: undefined,
        device: 'auto',
        engine: 'auto',
        batchRows: 'auto',
        batchTimeoutMs: 300_000,
        graceMs: 10_000,
      },
    });
  });

  test('can be made again from its source, also what the command line set', () => {
    const job = parse(
      MINIMAL.replace('../data', '"*/[a-c]?/**/*.parquet"'),
      'run.workers=2',
      'output.columns={z: a, 1: b, a: c}',
      'quarantine.max=0.5%',
    );
    const source: unknown = JSON.parse(JSON.stringify(job.source));
    expect(jobFromObject(source, { baseDir: '/jobs' })).toEqual({ ...job, file: undefined });
  });

  test('keeps the special characters of a glob, and the path as written', () => {
    const { input } = parse(MINIMAL.replace('../data', '"*/[a-c]?/**/*.parquet"'));
    expect(input.path).toBe('/jobs/*/[a-c]?/**/*.parquet');
    expect(input.pathText).toBe('*/[a-c]?/**/*.parquet');
  });

  test('keeps absolute paths', () => {
    expect(parse(MINIMAL.replace('m.onnx', '/models/m.onnx')).model.path).toBe('/models/m.onnx');
  });

  test('brings column types to one form, by column name', () => {
    const job = parse(withInput('types: { b: double, a: "decimal( 10, 02 )" }'));
    expect(job.input.types).toEqual([
      { column: 'a', type: 'DECIMAL(10,2)' },
      { column: 'b', type: 'DOUBLE' },
    ]);
  });

  test('has the digits of a SHA-256 in lower case', () => {
    const text = MINIMAL.replace('m.onnx', `m.onnx\n  sha256: "${'A1'.repeat(32)}"`);
    expect(parse(text).model.sha256).toBe('a1'.repeat(32));
  });

  test('takes features as an ordered list', () => {
    const job = parse(`${MINIMAL}features: [z, a]\n`);
    expect(job.features).toEqual({ by: 'list', columns: ['z', 'a'] });
  });

  test('takes features as a map, in the order of the input names', () => {
    const job = parse(`${MINIMAL}features: { y: col_b, x: col_b }\n`);
    expect(job.features).toEqual({
      by: 'map',
      inputs: [
        { input: 'x', column: 'col_b' },
        { input: 'y', column: 'col_b' },
      ],
    });
  });

  test('reads prediction columns as outputs or elements of outputs, in order', () => {
    const job = parse(
      withOutput('columns: { p: "probabilities[late]", m: variable, q: "a[0][1]" }'),
    );
    expect(job.output.columns).toEqual([
      { name: 'p', output: 'probabilities', element: 'late' },
      { name: 'm', output: 'variable', element: undefined },
      { name: 'q', output: 'a[0]', element: '1' },
    ]);
  });

  test('compresses CSV only when told to', () => {
    expect(parse(withOutput('format: csv')).output.compression).toBe('none');
  });

  test.each(['zstd', 'snappy', 'gzip', 'lz4', 'uncompressed'])('writes Parquet with %s', (name) => {
    expect(parse(withOutput(`compression: ${name}`)).output.compression).toBe(name);
  });

  test.each([
    ['0.5%', { unit: 'share', share: 0.005, minRows: 10 }],
    ['100%', { unit: 'share', share: 1, minRows: 10 }],
    ['0%', { unit: 'rows', rows: 0 }],
    ['25', { unit: 'rows', rows: 25 }],
  ])('allows quarantine.max: %s', (written, limit) => {
    expect(parse(`${MINIMAL}quarantine: { max: ${written} }\n`).quarantine.max).toEqual(limit);
  });

  test('turns the seconds of a deadline into milliseconds', () => {
    const { run } = parse(`${MINIMAL}run: { batch_timeout: 0.25, workers: 2, batch_rows: 4096 }\n`);
    expect(run).toEqual({
      workers: 2,
      memoryBytes: undefined,
      device: 'auto',
      engine: 'auto',
      batchRows: 4096,
      batchTimeoutMs: 250,
      graceMs: 10_000,
    });
  });

  test.each([
    ['4GB', 4e9],
    ['1.5 GiB', 1.5 * 2 ** 30],
    ['512MiB', 2 ** 29],
    ['1TB', 1e12],
    ['auto', undefined],
  ])('reads %s of memory as bytes', (memory, bytes) => {
    expect(parse(`${MINIMAL}run: { memory: ${memory} }\n`).run.memoryBytes).toBe(bytes);
  });

  test('may begin with a byte order mark and have Windows line ends', () => {
    expect(parse(`\uFEFF${MINIMAL.replaceAll('\n', '\r\n')}`).name).toBe('flights');
  });

  test('may use an alias', () => {
    const job = parse(`${MINIMAL}  keep: &ids [a, b]\nfeatures: *ids\n`);
    expect(job.features).toEqual({ by: 'list', columns: ['a', 'b'] });
  });

  test('takes yes and no for text, as YAML 1.2 does', () => {
    expect(parse(withOutput('keep: [yes, no]')).output.keep).toEqual(['yes', 'no']);
  });

  test('takes names that mean something to JavaScript for names', () => {
    const job = parse(withOutput('columns: { constructor: toString, hasOwnProperty: valueOf }'));
    expect(job.output.columns.map(({ name }) => name)).toEqual(['constructor', 'hasOwnProperty']);
  });
});

describe('an error', () => {
  test('names file, line, key, value, what is allowed, and what may be meant', () => {
    const { code, message } = failure(() => parse(withOutput('compression: gzipp')));
    expect(code).toBe('usage');
    expect(message).toBe(
      `${FILE}:8: output.compression: "gzipp" is not allowed; expected one of zstd, snappy, gzip, lz4, uncompressed ` +
        'for parquet; none, gzip, zstd for csv (did you mean "gzip"?)',
    );
  });

  test('names the file as the user did', () => {
    const act = () => parseJob('a', { file: 'jobs/x.yaml', overrides: [] });
    expect(failure(act).message).toMatch(/^jobs\/x\.yaml:1: "a" is not a job; expected a map of/);
  });

  test('comes with all others, in the order of their lines', () => {
    const text = `name: -x
input: { path: 5 }
model:
  path: a
  sha256: abc
output:
  path: ../out
  format: csvs
  keep: [a, a]
run:
  workers: 0
  device: CUDA
`;
    expect(errors(text)).toEqual([
      '1: name: "-x" is not allowed; expected 1 to 64 letters, digits, ".", "_" or "-", beginning with a letter or a digit',
      '2: input.path: 5 is not allowed; expected a local file, folder or glob; in quotes it is text: "5"',
      '5: model.sha256: "abc" is not allowed; expected a SHA-256 of 64 hexadecimal digits',
      '8: output.format: "csvs" is not allowed; expected one of parquet, csv (did you mean "csv"?)',
      '9: output.keep[1]: "a" is given twice',
      '11: run.workers: 0 is not allowed; expected auto or a whole number from 1 to 256',
      expect.stringMatching(
        /^12: run\.device: "CUDA" is not allowed; .* \(did you mean "cuda"\?\)$/,
      ),
    ]);
  });

  test('about a name without quotes shows it as it is written, not as YAML reads it', () => {
    const text = `${MINIMAL}features: [007, 1e3, 0x1F, +5, True, a]\n`;
    const written = ['007', '1e3', '0x1F', '+5', 'True'];
    expect(errors(text)).toEqual(
      written.map(
        (name, i) =>
          `8: features[${i}]: ${name} is not allowed; expected a column name; in quotes it is text: "${name}"`,
      ),
    );
    expect(
      errors(MINIMAL, 'input.key=012', 'features=[b, 1_0, 1.50]', 'output={path: o, keep: [08.0]}'),
    ).toEqual([
      '--set features=[b, 1_0, 1.50]: features[2]: 1.50 is not allowed; expected a column name; in quotes it is text: "1.50"',
      '--set output={path: o, keep: [08.0]}: output.keep[0]: 08.0 is not allowed; expected a column name; in quotes it is text: "08.0"',
    ]);
  });

  test('about an element stands at the line of the element', () => {
    expect(errors(`${MINIMAL}features:\n  - a\n\n  # note\n  - 5\n`)).toEqual([
      '12: features[1]: 5 is not allowed; expected a column name; in quotes it is text: "5"',
    ]);
  });

  test('about an entry of a map stands at the line of the entry', () => {
    const [line] = errors(withInput('types:\n    a: DOUBLE\n    "b c": FLOATS'));
    expect(line).toMatch(
      /^5: input\.types\."b c": "FLOATS" is not allowed; .*did you mean "FLOAT"/,
    );
  });

  test('about a missing key stands at the line of the map that lacks it', () => {
    expect(errors(MINIMAL.replace('path: m.onnx', 'sha256: x'))[0]).toBe(
      '4: model.path: is missing; expected a local ONNX file',
    );
  });

  test('about a missing map lists its keys', () => {
    expect(errors('# a comment\n\nname: a\ninput: { path: a }\nmodel: { path: b }\n')).toEqual([
      '3: output: is missing; expected a map of keys (path, format, compression, keep, partition_columns, columns, empty_partitions, keep_snapshots)',
    ]);
  });

  test('about an unknown key suggests the near one', () => {
    expect(errors(withOutput('comprission: zstd'))).toEqual([
      '8: unknown key "output.comprission" (did you mean "output.compression"?)',
    ]);
  });

  test('about a key at the wrong place says where it belongs', () => {
    expect(errors(`${MINIMAL}workers: 2\n`)).toEqual([
      '8: unknown key "workers" (did you mean "run.workers"?)',
    ]);
  });

  test('about any other unknown key lists those that exist', () => {
    expect(errors(`${MINIMAL}run: { zzz: 1 }\n`)).toEqual([
      '8: unknown key "run.zzz"; expected one of workers, memory, device, engine, batch_rows, batch_timeout, grace',
    ]);
  });

  test('does not come in thousands', () => {
    const lines = errors(Array.from({ length: 300 }, (_, i) => `k${i}: 1\n`).join(''));
    expect(lines).toHaveLength(51);
    expect(lines[50]).toBe('… and 254 more errors');
  });

  test('shows control characters and overrides of direction as escapes', () => {
    const hostile = '\\e[31mred\\u202e\\n';
    const message = errors(`${MINIMAL}"${hostile}": 1\nfeatures: { "${hostile}": 5 }\n`).join('\n');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: none of them may be in the message
    expect(message).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u202e]/);
    expect(message).toContain('unknown key "\\u{1b}[31mred\\u{202e}\\u{a}"');
    expect(message.split('\n')).toHaveLength(2);
  });

  test('shows raw escape sequences of a broken file as escapes', () => {
    const message = errors('a: &\u001b[31mx *\u001b[32my\n"\u001b]0;t\u0007": [\n').join('\n');
    expect(message).not.toContain('\u001b');
    expect(message).not.toContain('\u0007');
  });

  test('shortens a long value', () => {
    const [line] = errors(`${MINIMAL}run: { device: ${'X'.repeat(100_000)} }\n`);
    expect(line?.length).toBeLessThan(300);
  });

  test('escapes the name of the file', () => {
    const act = () => parseJob('a', { file: 'a\u001b[31m\n.yaml', overrides: [] });
    expect(failure(act).message).toMatch(/^a\\u\{1b\}\[31m\\u\{a\}\.yaml:1: /);
  });
});

describe('a value is refused', () => {
  test.each([
    ['name', '""'],
    ['name', '"a/b"'],
    ['name', `"${'a'.repeat(65)}"`],
    ['input.path', '""'],
    ['input.path', '"s3://bucket/x"'],
    ['input.path', '"a\\0b"'],
    ['input.key', '"\\ud800"'],
    ['input.where', '[a]'],
    ['input.ready', '".."'],
    ['input.ready', '"a/b"'],
    ['input.ready', '"a\\\\b"'],
    ['input.types', '[a]'],
    ['input.types', '{ "": FLOAT }'],
    ['input.types', '{ a: INT8 }'],
    ['input.types', '{ a: "DECIMAL(39,1)" }'],
    ['input.types', '{ a: "DECIMAL(0,0)" }'],
    ['input.types', '{ a: "DECIMAL(4,5)" }'],
    ['input.types', '{ a: DECIMAL }'],
    ['input.types', '{ a: "VARCHAR; DROP TABLE x" }'],
    ['model.sha256', `"${'g'.repeat(64)}"`],
    ['features', '[]'],
    ['features', '{}'],
    ['features', 'month'],
    ['features', '[a, ""]'],
    ['features', '[a, A]'],
    ['output.keep', 'a'],
    ['output.columns', '{ a: "x[" }'],
    ['output.columns', '{ a: "x[]" }'],
    ['output.columns', '{ a: "[x]" }'],
    ['output.columns', '{ a: "x]" }'],
    ['quarantine.max', '101%'],
    ['quarantine.max', '-1'],
    ['quarantine.max', '0.5'],
    ['quarantine.max', 'none'],
    ['quarantine.non_finite', 'drop'],
    ['run.workers', '257'],
    ['run.workers', '1.5'],
    ['run.workers', '"2"'],
    ['run.batch_rows', '1048577'],
    ['run.memory', '4'],
    ['run.memory', '1MB'],
    ['run.memory', '4 GBs'],
    ['run.memory', '-4GB'],
    ['run.batch_timeout', '0'],
    ['run.batch_timeout', '.inf'],
    ['run.batch_timeout', '.nan'],
    ['run.batch_timeout', '1e9'],
    ['run.device', 'gpu-0'],
    ['run', '[1]'],
    ['run', 'null'],
  ])('%s: %s', (key, value) => {
    const [section = '', name] = key.split('.');
    const job: Record<string, string> = {
      name: 'flights',
      input: '{ path: a }',
      model: '{ path: m }',
      output: '{ path: o }',
      [section]: value,
    };
    if (name !== undefined) {
      const required = ['input', 'model', 'output'].includes(section) && name !== 'path';
      job[section] = `{ ${required ? 'path: a, ' : ''}${name}: ${value} }`;
    }
    const text = Object.entries(job).map(([k, v]) => `${k}: ${v}\n`);
    const line = text.findIndex((entry) => entry.startsWith(`${section}:`)) + 1;
    const found = errors(text.join(''));
    expect(found).toHaveLength(1);
    expect(found[0]?.startsWith(`${line}: ${key}`), found[0]).toBe(true);
  });

  test('when a compression does not fit the format', () => {
    expect(errors(withOutput('format: csv\n  compression: snappy'))).toEqual([
      '9: output.compression: "snappy" does not fit the format csv; expected one of none, gzip, zstd',
    ]);
    expect(errors(withOutput('compression: none'))).toEqual([
      '8: output.compression: "none" does not fit the format parquet; expected one of zstd, snappy, gzip, lz4, uncompressed',
    ]);
  });

  test('when a prediction takes the name of a kept column, whatever the case', () => {
    expect(errors(withOutput('keep: [Carrier]\n  columns: { carrier: x }'))).toEqual([
      '9: output.columns.carrier: the name "carrier" is taken by output.keep (as "Carrier"; upper and lower case are the same)',
    ]);
  });

  test('when two predictions differ in case only', () => {
    expect(errors(withOutput('columns:\n    p: x\n    P: y'))).toEqual([
      '10: output.columns.P: the name "P" is taken by output.columns (as "p"; upper and lower case are the same)',
    ]);
  });

  test('beside another wrong one of the same map', () => {
    expect(errors(withOutput('format: csv\n  compression: lz4\n  keep: [a, 5, a]'))).toEqual([
      expect.stringMatching(/^9: output\.compression: "lz4" does not fit/),
      expect.stringMatching(/^10: output\.keep\[1\]: 5 is not allowed/),
      '10: output.keep[2]: "a" is given twice',
    ]);
  });

  test('when a name is __proto__, which could get lost', () => {
    expect(errors(withOutput('columns: { __proto__: x }'))).toEqual([
      '8: output.columns.__proto__: the name __proto__ is not allowed as a key',
    ]);
    expect(errors(`${MINIMAL}__proto__: { polluted: 1 }\n`)[0]).toMatch(/^8: __proto__: the name/);
    expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
  });
});

describe('YAML', () => {
  test.each([
    ['an empty file', '', /^1: the file is empty; expected a map of keys \(name, input, /],
    ['a file of comments', '# nothing\n', /^1: the file is empty/],
    ['a list', '\n- a\n', /^2: a list is not a job; expected a map/],
    ['a NUL byte', 'name: a\nb: \0\n', /^2: a NUL byte: this is not a text file$/],
    ['a tab as indentation', 'name: a\ninput:\n\tpath: x\n', /^3: a tab is used as indentation/],
    ['a bracket that stays open', 'name: a\nfeatures: [a, b\n', /^\d: not valid YAML: /],
    ['a second document', 'name: a\n---\nname: b\n', /^2: a second document starts here/],
    ['a custom tag', 'name: a\nrun: !exec ls\n', /^2: a tag \(!…\) is not allowed: .*!exec/],
    ['a tag that YAML 1.1 knows', 'name: !!binary aGk=\n', /^1: a tag \(!…\) is not allowed/],
    ['a directive', '%YAML 1.1\n---\nname: a\n', /^1: a %YAML directive is not allowed/],
    ['an unquoted glob', 'input:\n  path: *.parquet\n', /^2: "\*\.parquet" refers to an anchor/],
    ['a key that is a list', 'name: a\n? [b]\n: c\n', /^2: a key must be plain text$/],
    ['an alias of itself', 'a: &a [*a]\n', /^1: nested deeper than 16 levels$/],
    [
      'deep nesting',
      `a: ${'['.repeat(40)}${']'.repeat(40)}\n`,
      /^1: nested deeper than 16 levels$/,
    ],
    ['a bottomless nesting', '['.repeat(20_000), /^1: nested too deeply$/],
    ['a crowd of values', `a: [${'x,'.repeat(100_001)}]\n`, /^1: more than 100000 values$/],
    ['more than 1 MiB', `# ${'x'.repeat(1 << 20)}`, /^1: larger than 1048576 bytes$/],
  ])('%s is refused', (_what, text, message) => {
    const found = errors(text);
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(message);
  });

  test('of a key given twice is refused, with both lines', () => {
    expect(errors(`${MINIMAL}  path: other\n`)).toEqual([
      '8: the key "output.path" is given twice (first on line 7)',
    ]);
  });

  test('of keys that are the same text is refused', () => {
    expect(errors('a: { 1: x, "1": y }\n')).toEqual([
      '1: the key "a.1" is given twice (first on line 1)',
    ]);
  });

  test('does not merge by <<', () => {
    expect(errors(`${MINIMAL}run:\n  <<: { workers: 2 }\n`)[0]).toMatch(
      /^9: unknown key "run\.<<"/,
    );
  });

  test('that doubles itself by aliases is refused at once', () => {
    const levels = Array.from({ length: 30 }, (_, i) => {
      const inner = i === 0 ? 'x' : `*l${i - 1}`;
      return `l${i}: &l${i} [${Array(9).fill(inner).join(', ')}]\n`;
    });
    const start = performance.now();
    expect(errors(levels.join(''))[0]).toMatch(/more than 20 aliases/);
    expect(performance.now() - start).toBeLessThan(1000);
  });

  test('reports every mistake of its own', () => {
    expect(errors("a: 'b' c\nd: @x\n")).toHaveLength(2);
  });
});

describe('--set', () => {
  test('replaces a value of the file', () => {
    expect(parse(`${MINIMAL}run: { workers: 4 }\n`, 'run.workers=2').run.workers).toBe(2);
  });

  test('adds a map that the file does not have', () => {
    expect(parse(MINIMAL, 'run.device=cpu').run.device).toBe('cpu');
  });

  test('counts where the file is wrong or silent', () => {
    const text = MINIMAL.replace('name: flights\n', '').replace('m.onnx', '5');
    expect(parse(text, 'name=a', 'model.path=b').model.path).toBe('/jobs/b');
  });

  test('given twice counts as the last says', () => {
    expect(parse(MINIMAL, 'run.workers=2', 'run.workers=3').run.workers).toBe(3);
  });

  test('takes lists and maps', () => {
    const job = parse(MINIMAL, 'output.keep=[a, b]', 'run={workers: 2}');
    expect(job.output.keep).toEqual(['a', 'b']);
    expect(job.run.workers).toBe(2);
  });

  test('takes text as it is written', () => {
    const job = parse(
      MINIMAL,
      'input.path=*.parquet',
      'input.where="a" = \'b\' # c: d',
      'name=2013',
      'output.columns.p=x[1]',
    );
    expect(job.input.path).toBe('/jobs/*.parquet');
    expect(job.input.where).toBe('"a" = \'b\' # c: d');
    expect(job.name).toBe('2013');
    expect(job.output.columns).toEqual([{ name: 'p', output: 'x', element: '1' }]);
  });

  test('takes the quotes off a text that is quoted as a whole', () => {
    expect(parse(MINIMAL, 'input.key="a b"').input.key).toBe('a b');
  });

  test('takes all of the key below a map of names for one name', () => {
    expect(parse(MINIMAL, 'input.types.a.b=date').input.types).toEqual([
      { column: 'a.b', type: 'DATE' },
    ]);
  });

  test('of a path is relative to the job file', () => {
    expect(parse(MINIMAL, 'output.path=../else').output.path).toBe('/else');
  });

  test('of an unknown key suggests the near one', () => {
    expect(errors(MINIMAL, 'run.wrokers=2')).toEqual([
      '--set run.wrokers=2: unknown key "run.wrokers" (did you mean "run.workers"?)',
    ]);
  });

  test('of a key below a plain value is an unknown key', () => {
    expect(errors(MINIMAL, 'name.x=2')).toEqual(['--set name.x=2: unknown key "name.x"']);
  });

  test('without a value says how it is written', () => {
    expect(errors(MINIMAL, 'run.workers')).toEqual([
      '--set run.workers: expected key=value, for instance run.workers=2',
    ]);
  });

  test('of a value that is not allowed is named instead of a line', () => {
    expect(errors(`${MINIMAL}run:\n  workers: 2\n`, 'run.workers=0')).toEqual([
      '--set run.workers=0: run.workers: 0 is not allowed; expected auto or a whole number from 1 to 256',
    ]);
  });

  test('of a map is named for what is wrong inside it', () => {
    expect(errors(MINIMAL, 'model={sha: x}')).toEqual([
      '--set model={sha: x}: model.path: is missing; expected a local ONNX file',
      '--set model={sha: x}: unknown key "model.sha"; expected one of path, sha256, allow_random',
    ]);
  });

  test('of broken YAML is an error', () => {
    expect(errors(MINIMAL, 'output.keep=[a')[0]).toMatch(/^--set output\.keep=\[a: not valid YAML/);
  });

  test('inside a list of the file asks for the whole', () => {
    expect(errors(`${MINIMAL}features: [a]\n`, 'features.x=a')).toEqual([
      '--set features.x=a: features is a list in the job file; set features as a whole',
    ]);
  });

  test('comes after the errors of the file', () => {
    expect(errors(`${MINIMAL}x: 1\n`, 'y=1').map((line) => line.slice(0, 7))).toEqual([
      '8: unkn',
      '--set y',
    ]);
  });

  test('leaves the line of a value that it makes wrong', () => {
    expect(errors(withOutput('compression: snappy'), 'output.format=csv')[0]).toMatch(
      /^8: output\.compression: "snappy" does not fit the format csv/,
    );
  });

  test('of __proto__ is refused', () => {
    expect(errors(MINIMAL, '__proto__.x=1')[0]).toMatch(/unknown key "__proto__"/);
    expect(errors(MINIMAL, 'output.columns.__proto__=x')[0]).toMatch(/__proto__ is not allowed/);
  });

  test('is shown escaped', () => {
    expect(errors(MINIMAL, '\u001b[31m=1')[0]).not.toContain('\u001b');
  });
});

describe('a job from arguments', () => {
  const value = { name: 'a', input: { path: 'x' }, model: { path: 'm' }, output: { path: 'o' } };

  test('has no file, and paths from the folder given', () => {
    const job = jobFromObject(value, { baseDir: '/base' });
    expect(job).toMatchObject({ file: undefined, baseDir: '/base', input: { path: '/base/x' } });
  });

  test('is refused with the key alone', () => {
    const act = () => jobFromObject({ ...value, run: { workers: 0 }, x: 1 }, { baseDir: '/base' });
    expect(failure(act).message.split('\n')).toEqual([
      'run.workers: 0 is not allowed; expected auto or a whole number from 1 to 256',
      'unknown key "x"; expected one of name, input, model, features, output, quarantine, statistics, sample_rows, baseline, gates, canary, run',
    ]);
  });

  test('is refused when it is nothing', () => {
    expect(failure(() => jobFromObject(null, { baseDir: '/' })).message).toMatch(/a map of keys/);
  });
});

describe('loading', () => {
  const folder = mkdtempSync(join(tmpdir(), 'scoreline-job-'));
  afterAll(() => rmSync(folder, { recursive: true }));

  async function loadBytes(bytes: string | Buffer): Promise<Job> {
    const file = join(folder, 'job.yaml');
    writeFileSync(file, bytes);
    return loadJob(file, []);
  }

  test('reads a file, and its relative path starts from the working folder', async () => {
    await loadBytes(MINIMAL);
    const file = join(folder, 'job.yaml');
    const job = await loadJob(relative(process.cwd(), file), ['run.workers=2']);
    expect(job).toMatchObject({ file, baseDir: folder, run: { workers: 2 } });
    expect(job.output.path).toBe(join(dirname(folder), 'out'));
  });

  test('a file that is not there is wrong usage', async () => {
    await expect(loadJob(join(folder, 'none.yaml'), [])).rejects.toMatchObject({
      code: 'usage',
      message: `cannot read job file ${folder}/none.yaml: ENOENT`,
    });
  });

  test('a folder is wrong usage', async () => {
    await expect(loadJob(folder, [])).rejects.toMatchObject({
      code: 'usage',
      message: `cannot read job file ${folder}: EISDIR`,
    });
  });

  test('a file of 10 MB is refused', async () => {
    await expect(loadBytes(Buffer.alloc(10_000_000, '#'))).rejects.toMatchObject({
      code: 'usage',
      message: expect.stringMatching(/is larger than 1048576 bytes$/),
    });
  });

  test('bytes that are not UTF-8 are refused', async () => {
    await expect(loadBytes(Buffer.from([0x61, 0xff, 0xfe]))).rejects.toThrow('is not UTF-8 text');
  });

  test('a byte order mark is fine', async () => {
    expect((await loadBytes(`\uFEFF${MINIMAL}`)).name).toBe('flights');
  });
});

describe('the reference', () => {
  const docs = readFileSync(
    fileURLToPath(new URL('../../docs/job-file.md', import.meta.url)),
    'utf8',
  );
  const blocks = (language: string) =>
    [...docs.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\``, 'gms'))].map(
      ([, b]) => b ?? '',
    );

  test.each(JOB_KEYS.map(({ key }) => key))('has a row for %s', (key) => {
    expect(docs).toContain(`\n| \`${key}\` |`);
  });

  test('has no row for a key that does not exist', () => {
    const rows = [...docs.matchAll(/^\| `([^`]+)` \|/gm)].map(([, key]) => key);
    expect(rows).toEqual(JOB_KEYS.map(({ key }) => key));
  });

  test('shows a job that is valid and says the defaults', () => {
    const job = parse(blocks('yaml')[0] ?? '');
    const { quarantine, run } = parse(MINIMAL);
    expect(job).toMatchObject({ name: 'flights', quarantine, run });
    expect(job.features).toMatchObject({ by: 'list', columns: { length: 12 } });
  });

  test('shows the errors that its example gives', () => {
    const act = () =>
      parseJob(blocks('yaml').at(-1) ?? '', { file: 'jobs/flights.yaml', overrides: [] });
    expect(blocks('text')[0]).toBe(`${failure(act).message}\n`);
  });

  test('is in the schema too: every key has one sentence', () => {
    expect(JOB_KEYS.map(({ key }) => key)).toContain('run.batch_timeout');
    for (const { key, description } of JOB_KEYS) expect(description, key).toMatch(/^[A-Z].*\.$/);
  });

  test('can be generated as JSON Schema', () => {
    const schema = z.toJSONSchema(jobFileSchema, { io: 'input' });
    expect(schema).toMatchObject({
      additionalProperties: false,
      required: ['name', 'input', 'model', 'output'],
      properties: { output: { properties: { format: { enum: ['parquet', 'csv'] } } } },
    });
  });
});
