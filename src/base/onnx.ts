/** ONNX Runtime sessions: the only importer of onnxruntime-node. */
import { existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { env, InferenceSession, listSupportedBackends, Tensor } from 'onnxruntime-node';
import type { TypedArray } from './columns.js';
import type { ElementType } from './elements.js';
import { errnoOf, firstLine, isOutOfMemory, messageOf, ScorelineError, shown } from './errors.js';
import { localeRemedy } from './locale.js';
import { usableMemoryBytes } from './machine.js';
import { elementName } from './onnx-file.js';
import { type Rewritten, withoutZipMaps } from './onnx-rewrite.js';
import { Malformed } from './protobuf.js';

env.logLevel = 'error';

/** Element types of tensors: those of columns, and float16 (held as its 16 bits). */
export type TensorElement = ElementType | 'float16';

/** An input or output of a model. A dimension is a number, or a name (empty when it has none) for any number. */
export interface TensorSpec {
  readonly name: string;
  /** undefined for what is no tensor (a sequence or a map). */
  readonly element: TensorElement | undefined;
  readonly shape: readonly (number | string)[];
  /** Whether the model declares no shape, which is then empty. */
  readonly shapeless?: true;
  /** The class labels of an output that was a ZipMap's, in the order of its elements. */
  readonly labels?: readonly string[];
}

/** Values of a tensor in row-major order. */
export interface TensorValues {
  readonly element: TensorElement;
  readonly shape: readonly number[];
  readonly values: TypedArray | string[];
}

/** What runs the model. `cpu` is always there. */
export type Device = string;

/** The devices that this build of ONNX Runtime knows, and for those that cannot be used here, why. */
export function devices(): { name: Device; unusable?: string }[] {
  return listSupportedBackends().map(({ name }) => {
    const unusable = missingFor(name);
    return unusable === undefined ? { name } : { name, unusable };
  });
}

/** What the machine visibly lacks for a device; undefined when nothing is known to be missing. */
function missingFor(device: Device): string | undefined {
  if (device === 'cuda' || device === 'tensorrt') {
    if (process.platform === 'linux' && !existsSync('/dev/nvidiactl') && !existsSync('/dev/dxg')) {
      return 'no NVIDIA driver (/dev/nvidiactl is absent)';
    }
  }
  if (device === 'webgpu' && process.platform === 'linux' && !existsSync('/dev/dri')) {
    return 'no graphics device (/dev/dri is absent)';
  }
  return undefined;
}

/** A loaded model. The opener closes it. */
export class Session {
  private readonly session: InferenceSession;
  readonly device: Device;
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];

  private constructor(session: InferenceSession, device: Device, labels: Rewritten['labels']) {
    this.session = session;
    this.device = device;
    this.inputs = session.inputMetadata.map(specOf);
    this.outputs = session.outputMetadata.map(specOf).map((spec) => {
      const known = labels.get(spec.name);
      return known === undefined ? spec : { ...spec, labels: known };
    });
  }

  /**
   * Loads a model with one thread (more than one changes a tree ensemble's last bits), without the ZipMaps of its
   * outputs. `shownAs` names it in messages. Throws `model` when it cannot be loaded or the device is absent.
   */
  static async open(path: string, shownAs: string, device: Device): Promise<Session> {
    if (device !== 'cpu') {
      const known = devices().find(({ name }) => name === device);
      if (known === undefined) {
        const names = devices().map(({ name }) => name);
        throw new ScorelineError(
          'model',
          `device ${shown(device)}: not in this build of ONNX Runtime, which has ${names.join(', ')}`,
        );
      }
      if (known.unusable !== undefined) {
        throw new ScorelineError('model', `device ${device}: ${known.unusable}`);
      }
    }
    try {
      const rewritten = rewrittenIfNeeded(path);
      const session =
        rewritten === undefined
          ? await InferenceSession.create(path, optionsFor(device))
          : await createFrom(rewritten.bytes, path, device);
      if (session.outputNames.includes(LOST_NAME)) {
        await session.release();
        throw new Error(`has an output named ${LOST_NAME}, ${WHY_LOST}`);
      }
      return new Session(session, device, rewritten?.labels ?? new Map());
    } catch (error) {
      const locale = /locale with name:([\w.@-]+?):/.exec(messageOf(error))?.[1];
      if (locale !== undefined) {
        throw new ScorelineError(
          'environment',
          `model ${shownAs}: needs the locale ${locale}, which this machine lacks; add it with ${localeRemedy(locale)}`,
          { cause: error },
        );
      }
      const subject = device === 'cpu' ? `model ${shownAs}` : `model ${shownAs} on ${device}`;
      throw (
        starvation(error, subject) ??
        new ScorelineError('model', `${subject}: ${runtimeMessage(error, path, shownAs)}`, {
          cause: error,
        })
      );
    }
  }

  /** Loads a part of the model at `path`, on the CPU and otherwise as `open` does. Throws ONNX Runtime's own error. */
  static async openPart(bytes: Uint8Array, path: string): Promise<Session> {
    return new Session(await createFrom(bytes, path, 'cpu'), 'cpu', new Map());
  }

  /** Runs one batch and returns the outputs asked for. Throws ONNX Runtime's own error. */
  async run(
    feeds: ReadonlyMap<string, TensorValues>,
    outputs: readonly string[],
  ): Promise<Map<string, TensorValues>> {
    const inputs: [string, Tensor][] = [];
    for (const [name, { element, shape, values }] of feeds) {
      const type = element === 'utf8' ? 'string' : element;
      // The constructor is typed per element type; the pairing is that of newArray.
      inputs.push([name, new Tensor(type as never, values as never, shape)]);
    }
    const results = await this.session.run(Object.fromEntries(inputs), outputs);
    return new Map(outputs.map((name) => [name, valuesOf(results[name])]));
  }

  /** Releases the model. */
  async close(): Promise<void> {
    await this.session.release();
  }
}

/** Results are properties of a plain object in the binding, where this name is none; other outputs fail beside it too. */
const LOST_NAME = '__proto__';
const WHY_LOST = 'which the Node binding of ONNX Runtime loses; rename it in the model';

function optionsFor(device: Device): InferenceSession.SessionOptions {
  return {
    executionProviders: [device],
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    logSeverityLevel: 3,
  };
}

/** A session of bytes, which have no folder: of those at `path` it is that where external data lie. */
function createFrom(bytes: Uint8Array, path: string, device: Device): Promise<InferenceSession> {
  const folder = dirname(resolve(path));
  return InferenceSession.create(bytes, {
    ...optionsFor(device),
    extra: { session: { model_external_initializers_file_folder_path: folder } },
  });
}

/** The model without its ZipMaps. What cannot be read is left to ONNX Runtime, which says what is wrong. */
function rewrittenIfNeeded(path: string): Rewritten | undefined {
  try {
    return withoutZipMaps(path);
  } catch (error) {
    if (error instanceof Malformed || errnoOf(error) !== undefined) return undefined;
    throw error;
  }
}

function specOf(metadata: InferenceSession.ValueMetadata): TensorSpec {
  return metadata.isTensor
    ? { name: metadata.name, element: elementOf(metadata.type), shape: metadata.shape }
    : { name: metadata.name, element: undefined, shape: [] };
}

function elementOf(type: string): TensorElement | undefined {
  if (type === 'string') return 'utf8';
  return TENSOR_ELEMENTS.find((element) => element === type);
}

const TENSOR_ELEMENTS: readonly TensorElement[] = [
  'bool',
  'int8',
  'uint8',
  'int16',
  'uint16',
  'int32',
  'uint32',
  'int64',
  'uint64',
  'float32',
  'float64',
  'float16',
];

/** The number of an element type in TensorProto.DataType. */
export function elementType(element: TensorElement): number {
  return ELEMENT_TYPES[element];
}

const ELEMENT_TYPES: Readonly<Record<TensorElement, number>> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  utf8: 8,
  bool: 9,
  float16: 10,
  float64: 11,
  uint32: 12,
  uint64: 13,
};

function valuesOf(value: unknown): TensorValues {
  if (!(value instanceof Tensor)) throw new TypeError('an output is not a tensor');
  const element = elementOf(value.type);
  if (element === undefined) throw new TypeError(`an output has element type ${value.type}`);
  const data = value.data as TypedArray | string[];
  // Newer versions of Node have an array type of its own for float16: here it is always its bits.
  const values =
    element === 'float16' && !Array.isArray(data)
      ? new Uint16Array(data.buffer, data.byteOffset, data.length)
      : data;
  return { element, shape: value.dims, values };
}

/**
 * The error for a model that the machine refuses memory; undefined where that is not the reason, or where the model asks for more
 * than any machine like this one has.
 */
export function starvation(error: unknown, subject: string): ScorelineError | undefined {
  if (!isOutOfMemory(error)) return undefined;
  const wanted = Number(/buffer of size (\d+)/.exec(messageOf(error))?.[1] ?? 0);
  if (wanted > usableMemoryBytes()) return undefined;
  return new ScorelineError(
    'environment',
    `${subject}: out of memory (${runtimeMessage(error)}): give scoreline more memory, or fewer run.batch_rows or run.workers`,
    { cause: error },
  );
}

/**
 * ONNX Runtime's message in one line, without the model's path on this machine and without places in its own
 * source.
 */
export function runtimeMessage(error: unknown, path?: string, shownAs?: string): string {
  let message = firstLine(messageOf(error).replaceAll('\r', '').replace(/\n+/g, ' '));
  if (path !== undefined) message = message.replaceAll(path, shownAs ?? 'the model');
  const unsupported = /Unsupported data type: (\d+)$/.exec(message)?.[1];
  if (unsupported !== undefined) {
    return `has ${elementName(BigInt(unsupported))} inputs or outputs, which the Node binding of ONNX Runtime does not support; cast them in the model`;
  }
  message = message
    // A place in its source, with the function that it is in: "/…/zipmap.cc:42 onnxruntime::ml::ZipMapOp::ZipMapOp(…) ".
    .replace(
      /\s*\/[^\s:]+\.(?:cc|h|cpp|hpp):\d+\s*(?:[\w:*&<>, ]*?[\w:~]+::[\w~]+(?:<[^>]*>)?\([^)]*\)(?: const)?(?: \[with [^\]]*\])?)?\s*/g,
      ' ',
    )
    .replace(/\b\w+\.(?:cc|h|cpp|hpp):\d+ \w+ ?/g, '')
    .replace(/[\w:~]+::[\w~]+(?:<[^>]*>)?\([^)]*\)(?: const)?(?: \[with [^\]]*\])?\s*/g, '')
    .replace(/Exception during initialization: |\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : /g, '')
    .replace(
      /ONNX Runtime only \*guarantees\* support for models stamped with official released onnx opset versions\. /,
      '',
    )
    .replace(/ The operator schemas and or other functionality may change .*? compatibility\./, '')
    .replace(/\s+/g, ' ')
    .trim();
  return shown(message, 300);
}

/** The version of ONNX Runtime. */
export function runtimeVersion(): string {
  return env.versions.node ?? env.versions.common;
}
