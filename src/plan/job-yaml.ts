/**
 * Reads the YAML of a job file: YAML 1.2 core schema, one document, plain values only, and for every value the line
 * where it stands. What the text says is not judged here; `job.ts` does that.
 */
import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  type YAMLError,
} from 'yaml';
import { firstLine, messageOf, shown } from '../base/errors.js';

/** Where a value stands in the job file: map keys and list indexes from the root. */
export type JobPath = readonly PropertyKey[];

/** One thing that is wrong with the text, at a line counted from 1. */
interface YamlProblem {
  readonly line: number;
  readonly message: string;
}

/** The plain value of a YAML text; it means something only when `problems` is empty. */
interface YamlText {
  readonly value: unknown;
  readonly problems: readonly YamlProblem[];
  /** The line of a value, or of the nearest enclosing one where the value itself is not there. */
  lineOf(path: JobPath): number;
  /** A number or truth value as it is written; undefined for others, and where there is none. */
  sourceOf(path: JobPath): string | undefined;
}

/** The largest text that is read. */
export const MAX_YAML_BYTES = 1 << 20;

const MAX_DEPTH = 16;
const MAX_VALUES = 100_000;
const MAX_ALIASES = 20;

/** What the reading of one text gathers on its way. */
interface Reading {
  readonly document: Document.Parsed;
  readonly problems: YamlProblem[];
  readonly lines: Map<string, number>;
  readonly sources: Map<string, string>;
  lineAt(node: unknown): number;
  values: number;
  aliases: number;
}

/** Reads a YAML text; whatever it holds, the answer is a value or a list of problems, never a crash. */
export function readYaml(text: string): YamlText {
  const nul = text.indexOf('\0');
  if (nul >= 0) {
    const line = text.slice(0, nul).split('\n').length;
    return failed([{ line, message: 'a NUL byte: this is not a text file' }]);
  }
  if (Buffer.byteLength(text) > MAX_YAML_BYTES) {
    return failed([{ line: 1, message: `larger than ${MAX_YAML_BYTES} bytes` }]);
  }
  const lineCounter = new LineCounter();
  let document: Document.Parsed;
  try {
    document = parseDocument(text.replace(/^\uFEFF/, ''), {
      version: '1.2',
      schema: 'core',
      lineCounter,
      prettyErrors: false,
      resolveKnownTags: false,
      stringKeys: true,
      // Its own check is quadratic in the number of keys; `readMap` has a linear one.
      uniqueKeys: false,
    });
  } catch (error) {
    // A text of nothing but opening brackets exhausts the stack of the parser.
    return failed([{ line: 1, message: `not valid YAML: ${shown(firstLine(messageOf(error)))}` }]);
  }
  const errors = [...document.errors, ...document.warnings];
  const exhausted = errors.filter((error) => error.code === 'RESOURCE_EXHAUSTION').slice(0, 1);
  const problems = (exhausted.length > 0 ? exhausted : errors).map((error) => ({
    line: Math.max(1, lineCounter.linePos(error.pos[0]).line),
    message: sayYamlError(error),
  }));
  if (document.directives.yaml.explicit === true) {
    problems.push({ line: 1, message: 'a %YAML directive is not allowed: remove it' });
  }
  if (problems.length > 0) return failed(problems);
  return readDocument(document, lineCounter);
}

/** Turns the nodes of a parsed document into plain values. */
function readDocument(document: Document.Parsed, lineCounter: LineCounter): YamlText {
  const reading: Reading = {
    document,
    problems: [],
    lines: new Map(),
    sources: new Map(),
    lineAt: (node) => {
      const start = isNode(node) ? node.range?.[0] : undefined;
      return start === undefined ? 1 : Math.max(1, lineCounter.linePos(start).line);
    },
    values: 0,
    aliases: 0,
  };
  reading.lines.set(pathId([]), reading.lineAt(document.contents));
  const value = readNode(reading, document.contents, []);
  return {
    value,
    problems: reading.problems,
    lineOf: (path) => {
      for (let length = path.length; length >= 0; length--) {
        const line = reading.lines.get(pathId(path.slice(0, length)));
        if (line !== undefined) return line;
      }
      return 1;
    },
    sourceOf: (path) => reading.sources.get(pathId(path)),
  };
}

/** The plain value of one node; what is wrong with it goes to the problems. */
function readNode(reading: Reading, node: unknown, path: JobPath): unknown {
  if (++reading.values > MAX_VALUES) {
    return refuseOnce(reading, node, `more than ${MAX_VALUES} values`);
  }
  if (path.length > MAX_DEPTH) {
    return refuseOnce(reading, node, `nested deeper than ${MAX_DEPTH} levels`);
  }
  if (isScalar(node)) {
    const { value, source } = node;
    if ((typeof value === 'number' || typeof value === 'boolean') && source !== undefined) {
      reading.sources.set(pathId(path), source);
    }
    return value;
  }
  if (isMap(node)) return readMap(reading, node.items, path);
  if (isSeq(node)) {
    return node.items.map((element, index) => {
      const elementPath = [...path, index];
      reading.lines.set(pathId(elementPath), reading.lineAt(element));
      return readNode(reading, element, elementPath);
    });
  }
  if (isAlias(node)) {
    if (++reading.aliases > MAX_ALIASES) {
      return refuseOnce(reading, node, `more than ${MAX_ALIASES} aliases (*name) are followed`);
    }
    const target = node.resolve(reading.document);
    if (target === undefined) {
      const name = shown(node.source, 40);
      const message = `"*${name}" refers to an anchor that is not there; put text that starts with * in quotes`;
      reading.problems.push({ line: reading.lineAt(node), message });
      return null;
    }
    return readNode(reading, target, path);
  }
  return null;
}

/** The plain value of a map; a key that is given twice is a problem. */
function readMap(
  reading: Reading,
  pairs: readonly { key: unknown; value: unknown }[],
  path: JobPath,
): Record<string, unknown> {
  const first = new Map<string, number>();
  const map: Record<string, unknown> = {};
  for (const pair of pairs) {
    const line = reading.lineAt(pair.key);
    if (!isScalar(pair.key)) {
      reading.problems.push({ line, message: 'a key must be plain text' });
      continue;
    }
    const key = String(pair.key.value ?? '');
    const before = first.get(key);
    if (before !== undefined) {
      const message = `the key ${sayKey([...path, key])} is given twice (first on line ${before})`;
      reading.problems.push({ line, message });
      continue;
    }
    first.set(key, line);
    reading.lines.set(pathId([...path, key]), line);
    setOwn(map, key, readNode(reading, pair.value, [...path, key]));
  }
  return map;
}

/** Notes a limit that was passed: once, because every value after the first would pass it too. */
function refuseOnce(reading: Reading, node: unknown, message: string): null {
  if (!reading.problems.some((problem) => problem.message === message)) {
    reading.problems.push({ line: reading.lineAt(node), message });
  }
  return null;
}

/** Whether a value is a map of a job file. */
export function isPlainMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Sets a property whatever its name; a plain assignment to `__proto__` would replace the prototype. */
export function setOwn(target: Record<string, unknown>, key: string, value: unknown): void {
  Object.defineProperty(target, key, {
    value,
    writable: true,
    enumerable: true,
    configurable: true,
  });
}

/** A path as people write it: `output.columns.delay`, `output.keep[2]`, `input.types."a b"`. */
export function sayPath(path: JobPath): string {
  return path.reduce<string>((said, step) => {
    if (typeof step === 'number') return `${said}[${step}]`;
    const name = String(step);
    const plain = /^[A-Za-z0-9_-]+$/.test(name) ? name : sayValue(name);
    return said === '' ? plain : `${said}.${plain}`;
  }, '');
}

/** A key in quotes, for messages that are about the key itself. */
export function sayKey(path: JobPath): string {
  return `"${shown(path.map(String).join('.'), 80)}"`;
}

/** A value in few words: a text in quotes and escaped, a list or a map by its kind. */
export function sayValue(value: unknown): string {
  if (typeof value === 'string') return shown(JSON.stringify(value), 80);
  if (Array.isArray(value)) return value.length > 0 ? 'a list' : 'an empty list';
  if (typeof value !== 'object') return shown(String(value), 80);
  if (value === null) return 'an empty value';
  return Object.keys(value).length > 0 ? 'a map' : 'an empty map';
}

/** A text that is the same for the same path, and different for different ones. */
function pathId(path: JobPath): string {
  return JSON.stringify(path.map(String));
}

function failed(problems: readonly YamlProblem[]): YamlText {
  return { value: undefined, problems, lineOf: () => 1, sourceOf: () => undefined };
}

/** The parser's complaint in one line, without the text around it. */
function sayYamlError(error: YAMLError): string {
  switch (error.code) {
    case 'MULTIPLE_DOCS':
      return 'a second document starts here (---); a job file holds one';
    case 'TAB_AS_INDENT':
      return 'a tab is used as indentation; use spaces';
    case 'RESOURCE_EXHAUSTION':
      return 'nested too deeply';
    case 'NON_STRING_KEY':
      return 'a key must be plain text';
    case 'TAG_RESOLVE_FAILED':
      return `a tag (!…) is not allowed: ${shown(firstLine(error.message), 80)}`;
    default:
      return `not valid YAML: ${shown(firstLine(error.message))}`;
  }
}
