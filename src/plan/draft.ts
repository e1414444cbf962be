/**
 * A job for a model and data that nobody has described yet: what follows from both is settled; what does not is left open for
 * a person, with what is known of it. Pure.
 */
import { nearNames, ScorelineError, shown } from '../base/errors.js';
import type { TensorSpec } from '../base/onnx.js';
import type { JobFeatures } from './job.js';
import { bindOutputs, type OutputFacts } from './predictions.js';
import { areDistinct, isName, knownNames, proposeColumns, refusal, wanted } from './proposal.js';
import {
  bindModel,
  type ColumnSource,
  castKind,
  columnProblems,
  listTypeOf,
  type ModelFacts,
} from './signature.js';

/** A column that every file has, or that folders give. */
export interface DraftColumn extends ColumnSource {
  /** Its type; of one that is written as text, the type that its values look like. */
  readonly looksLike: string;
}

/** What a draft is made from. */
export interface DraftFacts {
  readonly model: ModelFacts;
  readonly metadata: Readonly<Record<string, string>>;
  readonly columns: readonly DraftColumn[];
  /** Columns that have another value in every row, as far as was looked. */
  readonly unique: readonly string[];
}

/** One line to uncomment: a column, in a map with its input, and what is to be said of it. */
export interface OpenLine {
  readonly input?: string;
  readonly column: string;
  readonly remark: string;
}

/** The columns that feed the model; `open` where the data do not settle them. */
export type FeaturesDraft =
  | { readonly by: 'name' }
  | { readonly by: 'list'; readonly columns: readonly string[]; readonly why: string }
  | {
      readonly by: 'open';
      readonly why: string;
      readonly lines: readonly OpenLine[];
      readonly form: 'list' | 'map';
    };

/** What was settled of a job. */
export interface Draft {
  readonly features: FeaturesDraft;
  /** The column whose name says that it names rows, and which does. */
  readonly key: string | undefined;
  /** Others in which every row has a value of its own. */
  readonly otherKeys: readonly string[];
  readonly keep: readonly string[];
  /** Columns that feed nothing and are not kept either. */
  readonly leftOut: readonly string[];
  /** The prediction columns of a job that names none; empty when it has to name them. */
  readonly predictions: readonly string[];
  /** Entries of `output.columns`, where there have to be some. */
  readonly outputs: readonly string[];
}

/** More columns than this are not kept unasked. */
const KEPT_MAX = 8;
/** A name that says: this names rows. */
const KEY_NAME = /^(?:id|key|uuid|guid)$|_(?:id|key|uuid|guid)$/i;
const KEY_CAMEL = /[a-z](?:I[dD]|Key|U[uU][iI][dD])$/;
/** Types of columns that are passed through unasked. */
const KEPT_TYPE =
  /^(?:BOOLEAN|U?(?:TINY|SMALL|BIG|HUGE)INT|U?INTEGER|FLOAT|DOUBLE|DECIMAL\(\d+,\d+\)|VARCHAR|DATE|TIME.*|UUID|ENUM\(.*\))$/s;
const KEY_TYPE = /^(?:U?(?:TINY|SMALL|BIG|HUGE)INT|U?INTEGER|VARCHAR|UUID)$/;

/** The columns in which every row might have a value of its own, those whose names say so first: at most `most`. */
export function keyCandidates(columns: readonly DraftColumn[], most: number): string[] {
  const fit = columns.filter(({ type, partition }) => !partition && KEY_TYPE.test(type));
  const names = fit.map(({ name }) => name);
  return [...names.filter(isKey), ...names.filter((name) => !isKey(name))].slice(0, most);
}

function isKey(name: string): boolean {
  return KEY_NAME.test(name) || KEY_CAMEL.test(name);
}

/** Settles what can be settled of a job. */
export function draftJob(facts: DraftFacts): Draft {
  const { model, columns, unique } = facts;
  const key = unique.find(isKey);
  const features = draftFeatures(facts, key);
  const problems: string[] = [];
  const bound = bindOutputs(model.outputs, [], problems);
  const proposed = problems.length > 0 ? proposeColumns(model.outputs) : [];
  const outputs = namesOf(proposed).length > 0 ? proposed : [];
  const predictions = problems.length > 0 ? [] : bound.map(({ column }) => column);
  const feeding = feedingNames(facts, features);
  const taken = new Set([...predictions, ...namesOf(outputs)].map((name) => name.toLowerCase()));
  const free = columns
    .filter(({ partition, type }) => !partition && KEPT_TYPE.test(type))
    .map(({ name }) => name)
    .filter((name) => name !== key && !feeding.has(name) && !taken.has(name.toLowerCase()));
  const keyFirst = key === undefined || taken.has(key.toLowerCase()) ? [] : [key];
  const all = [...keyFirst, ...free];
  const keep = all.length <= KEPT_MAX && areDistinct(all) ? all : keyFirst;
  return {
    features,
    key,
    otherKeys: unique.filter((name) => name !== key && !feeding.has(name)),
    keep,
    leftOut: free.filter((name) => !keep.includes(name)),
    predictions,
    outputs,
  };
}

/** The names of prediction columns in lines of `output.columns`. */
function namesOf(lines: readonly string[]): string[] {
  return lines.flatMap(
    (line) => /^(?:"((?:[^"\\]|\\.)*)"|([A-Za-z_][\w.-]*)):/.exec(line)?.slice(1) ?? [],
  );
}

/** The columns that feed the model, or might. */
function feedingNames({ model, columns }: DraftFacts, features: FeaturesDraft): Set<string> {
  switch (features.by) {
    case 'name':
      return new Set(model.inputs.map(({ name }) => name));
    case 'list':
      return new Set(features.columns);
    case 'open':
      return new Set(
        columns
          .filter(({ looksLike }) => model.inputs.some((spec) => feeds(looksLike, spec)))
          .map(({ name }) => name),
      );
  }
}

function draftFeatures(facts: DraftFacts, key: string | undefined): FeaturesDraft {
  const { model } = facts;
  if (fits(facts, { by: 'name' })) return { by: 'name' };
  const unfit = model.inputs.flatMap((spec) => {
    const why = refusal(spec);
    return why === undefined ? [] : [`input "${shown(spec.name)}" cannot be fed: ${why}`];
  });
  if (unfit.length > 0) return { by: 'open', why: unfit.join('; '), lines: [], form: 'list' };
  const [only] = model.inputs;
  if (model.inputs.length !== 1 || only === undefined) return openMap(facts);
  return matrix(facts, only, key);
}

/** Whether columns bind to the model's inputs so, each of a type that can feed its input. */
function fits({ model, columns }: DraftFacts, features: JobFeatures): boolean {
  const lists = columns.filter(({ type }) => listTypeOf(type) !== undefined);
  try {
    const binding = bindModel(
      { ...model, outputs: [ANY_OUTPUT] },
      {
        features,
        columns: [],
        shownAs: '',
        allowRandom: true,
        listColumns: new Set(lists.map(({ name }) => name)),
      },
    );
    return columnProblems(columns, binding, []).length === 0;
  } catch (error) {
    if (!(error instanceof ScorelineError)) throw error;
    return false;
  }
}

/** What stands for the outputs while only inputs are looked at. */
const ANY_OUTPUT: OutputFacts = { name: 'any', element: 'float32', width: 1, problem: undefined };

/** The columns of the one input of a model, where the model names them or there is no choice. */
function matrix(facts: DraftFacts, spec: TensorSpec, key: string | undefined): FeaturesDraft {
  const { columns, metadata } = facts;
  const size = spec.shape.length === 1 ? 1 : spec.shape[1];
  const width = spec.shape.length <= 2 && typeof size === 'number' ? size : undefined;
  const list = (names: readonly string[], why: string): FeaturesDraft | undefined =>
    areDistinct(names) && fits(facts, { by: 'list', columns: names })
      ? { by: 'list', columns: names, why }
      : undefined;
  const known = knownNames(width, metadata);
  const named = known && list(known, 'as the metadata of the model names them');
  if (named !== undefined) return named;
  const usable = columns.filter(({ looksLike }) => feeds(looksLike, spec));
  const single = usable.filter(({ looksLike }) => listTypeOf(looksLike) === undefined);
  const others = single.filter(({ name }) => name !== key);
  const lists = usable.filter((column) => !single.includes(column));
  const kind = spec.element === 'utf8' ? 'text' : 'number';
  // One column has no order. Of several the data know theirs alone, which need not be that of the training.
  const settled =
    width === 1 && others.length === 1
      ? list(
          [others[0]!.name],
          `the only column of ${kind}s${others.length < single.length ? ' but the key' : ''}`,
        )
      : lists.length === 1 && single.length < (width ?? 1)
        ? list([lists[0]!.name], 'the one column of lists')
        : undefined;
  if (settled !== undefined) return settled;
  const open = usable.filter(({ name }) => name !== key);
  const many = `${width ?? 'as many'} ${spec.element === 'utf8' ? 'text' : spec.element} ${width === 1 ? 'column' : 'columns'}`;
  const takes =
    spec.shape.length > 2
      ? `one column of ${wanted(spec)}`
      : `${many}${width === undefined ? ' as the model was trained with' : ''}`;
  return {
    by: 'open',
    why: `input "${shown(spec.name)}" takes ${takes}, in the order of the training, which the model ${
      known === undefined
        ? 'does not name'
        : `names otherwise (${known
            .slice(0, 12)
            .map((name) => shown(name, 40))
            .join(', ')}${known.length > 12 ? ', …' : ''})`
    }; ${countOf(open.length, width)}`,
    lines: open.map(({ name, type, looksLike }) => ({
      column: name,
      remark: type === looksLike ? type : `text that looks like ${looksLike}`,
    })),
    form: 'list',
  };
}

function countOf(usable: number, width: number | undefined): string {
  if (usable === 0) return 'no column of the data could be one';
  if (usable === width && usable > 1) {
    return `the data have just these ${usable}, here in the order of the data: put them in that of the training`;
  }
  return usable === 1
    ? 'this column of the data could be one'
    : `these ${usable} columns of the data could be among them`;
}

/** Whether a column of a type could feed an input, or be one of several that do. */
function feeds(type: string, spec: TensorSpec): boolean {
  if (spec.element === undefined) return false;
  const inner = spec.shape.length >= 2 ? listTypeOf(type)?.leaf : undefined;
  if (inner === undefined && spec.shape.length > 2) return false;
  return castKind(inner ?? type, spec.element) !== undefined;
}

/** A column for each of several inputs: those of the same name, and for the others what is near. */
function openMap({ model, columns }: DraftFacts): FeaturesDraft {
  const names = columns.map(({ name }) => name);
  const missing = model.inputs.filter(({ name }) => !names.includes(name)).length;
  return {
    by: 'open',
    why:
      missing === 0
        ? 'the columns of the names of its inputs do not all fit'
        : `${missing} of the ${model.inputs.length} inputs have no column of their name`,
    lines: model.inputs.map((spec) => {
      const near = nearest(spec.name, names);
      const column = names.includes(spec.name) ? spec.name : (near[0] ?? spec.name);
      const known = names.includes(column) ? '' : ', which no column is named';
      return { input: spec.name, column, remark: `${wanted(spec)}${known}` };
    }),
    form: 'map',
  };
}

/** Names that differ in case and punctuation alone, else those that are near. */
function nearest(name: string, names: readonly string[]): string[] {
  const bare = (text: string): string => text.toLowerCase().replace(/[^\p{L}\p{N}]/gu, '');
  const same = names.filter((other) => bare(other) === bare(name) && isName(other));
  return same.length > 0 ? same : nearNames(name, names).filter(isName);
}
