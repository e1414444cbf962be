/** The schema of `report.json`: what was scored, how it differs from what it is compared with, and what the gates say. */
import * as z from 'zod';
import { explanationSchema } from './explanation-schema.js';

/** The number of the format. */
export const REPORT_FORMAT = 1;

const count = z.int().nonnegative();
/** A number, or in words what JSON has no number for. */
const anyNumber = z.union([z.number(), z.enum(['Infinity', '-Infinity', 'NaN'])]);
const status = z.enum(['pass', 'warn', 'fail', 'skipped']);
const unit = z.enum(['share', 'number', 'rows']);

const findingSchema = z
  .strictObject({
    column: z.string().nullable().describe('null: all rows'),
    status,
    measured: anyNumber.nullable().describe('null where it could not be measured'),
    limit: anyNumber.nullable().describe('The limit that was passed, or the one that would fail.'),
    baseline: anyNumber.nullable().describe('What the measure is of on the side of the baseline.'),
    p: z
      .number()
      .nullable()
      .describe('Corrected for the number of columns; null where nothing is left to chance.'),
    reason: z
      .string()
      .nullable()
      .describe('Why it was skipped, or passed though the limit is exceeded.'),
  })
  .describe('A gate, judged for one column or for all rows. Shares are from 0 to 1.');

const gateSchema = z.strictObject({
  gate: z.string().describe('As the job file has it: drift.psi.'),
  status,
  unit,
  baselineUnit: unit,
  compared: z.boolean().describe('Whether it is judged against the baseline.'),
  day: z.string().nullable().describe('The day that is worst, where days are judged one by one.'),
  findings: z.array(findingSchema).describe('The worst first.'),
});

const daySchema = z.strictObject({
  day: z.string(),
  verdict: z.enum(['pass', 'warn', 'fail']),
  rows: count,
  partitions: count,
  baseline: z.strictObject({ label: z.string(), rows: count }).nullable(),
  reason: z.string().nullable().describe('Why there is no baseline.'),
  gates: z
    .array(gateSchema)
    .describe('The gates that warn or fail, each with every column that does.'),
});

const numericSummary = z.strictObject({
  kind: z.literal('numeric'),
  rows: count,
  missing: count.describe('Null or not a number.'),
  nulls: count.optional(),
  nan: count.optional(),
  infinite: count,
  positiveInfinite: count.optional(),
  negativeInfinite: count.optional(),
  zeros: count,
  distinct: count.describe('Different numbers, or of more than 4,096 their buckets.'),
  min: z.number().nullable(),
  max: z.number().nullable(),
  mean: z.number().nullable(),
  variance: anyNumber.nullable().describe('Of the population.'),
  quantiles: z.array(z.strictObject({ share: z.number(), value: z.number() })),
  top: z
    .array(z.strictObject({ value: z.number(), count }))
    .optional()
    .describe('The ten most frequent; not there of more than 4,096 different ones.'),
});

const categorySummary = z.strictObject({
  kind: z.literal('category'),
  rows: count,
  missing: count,
  empty: count,
  distinct: count.describe('Of more than 10,000 an estimate.'),
  shortest: count.nullable(),
  longest: count.nullable(),
  meanLength: z.number().nullable(),
  top: z
    .array(z.strictObject({ text: z.string(), count }))
    .describe('The ten most frequent; of more than 10,000 different ones, of a sample of these.'),
});

const summary = z.discriminatedUnion('kind', [numericSummary, categorySummary]);

const lone = z.strictObject({ text: z.string(), count, p: z.number() });

const changeSchema = z.strictObject({
  psi: anyNumber.nullable(),
  js: z.number().nullable(),
  hellinger: z.number().nullable(),
  chiSquared: z
    .strictObject({ statistic: anyNumber, freedom: z.number(), p: z.number(), effect: z.number() })
    .nullable(),
  p: z
    .number()
    .nullable()
    .optional()
    .describe('How likely values as different are by chance: of texts not that of chiSquared.'),
  ks: z.strictObject({ distance: z.number(), p: z.number() }).nullable(),
  wasserstein: anyNumber.nullable().describe('In standard deviations of the baseline.'),
  wassersteinPlain: anyNumber.nullable().optional().describe('In the unit of the numbers.'),
  greatestChange: z.number().nullable().describe('L-infinity, of texts.'),
  mean: z
    .strictObject({ change: anyNumber, relative: anyNumber.nullable(), p: z.number() })
    .nullable(),
  missing: z
    .strictObject({ increase: z.number(), p: z.number() })
    .nullable()
    .describe('Of the share of rows without a value.'),
  bins: z
    .array(
      z.strictObject({
        from: z.number().nullable().describe('null: open, or no number'),
        to: z.number().nullable(),
        text: z.string().nullable().describe('The category; null for the rare ones together.'),
        baseline: count,
        current: count,
      }),
    )
    .describe('Rows in each bin.'),
  added: z
    .strictObject({ count, first: z.array(lone) })
    .describe(
      'Categories that the baseline lacks; of more than 10,000 different ones, those in a sample.',
    ),
  vanished: z.strictObject({ count, first: z.array(lone) }),
});

const sideSchema = z.strictObject({
  counts: z.array(count),
  below: count.describe('Numbers below the first edge.'),
  above: count.describe('Numbers above the last one.'),
});

const histogramSchema = z
  .strictObject({
    edges: z.array(z.number()).describe('One more than there are bins.'),
    current: sideSchema,
    baseline: sideSchema.nullable(),
  })
  .describe('To look at: bins of equal width.');

const columnSchema = z.strictObject({
  name: z.string(),
  role: z.enum(['feature', 'kept', 'output']),
  ignored: z
    .boolean()
    .describe(
      'Whether it differs by its nature, as the column of a partition: drift is judged only where a gate names it.',
    ),
  current: summary,
  baseline: summary.nullable(),
  change: changeSchema.nullable().describe('null without a baseline of the same kind.'),
  histogram: histogramSchema.nullable().describe('null of texts, and without a finite number.'),
});

const flipColumn = z.strictObject({
  name: z.string(),
  kind: z.enum(['label', 'number']),
  changed: count,
  pairs: z.array(
    z.strictObject({ before: z.string().nullable(), now: z.string().nullable(), keys: count }),
  ),
  sum: anyNumber,
  finite: count,
  largest: anyNumber,
  movers: z.array(
    z.strictObject({
      key: z.string(),
      before: z.string().nullable(),
      now: z.string().nullable(),
    }),
  ),
});

const flipsSchema = z.strictObject({
  keys: z.strictObject({ both: count, before: count, now: count }),
  columns: z.array(flipColumn),
  absent: z.array(z.string()),
});

/** The schema of `report.json`. */
export const qualitySchema = z
  .strictObject({
    format: z.literal(REPORT_FORMAT),
    run: z.string().describe('The id of the run.'),
    job: z.string(),
    outcome: z.enum(['published', 'partial', 'unchanged', 'scored', 'staged', 'failed']),
    verdict: z
      .enum(['pass', 'warn', 'fail', 'none'])
      .describe('The worst of the gates; none: nothing was judged.'),
    enforced: z.boolean().describe('Whether the job sets gates: without, they only warn.'),
    because: z.string().nullable().describe('Why it was published though a gate had failed.'),
    error: z.string().nullable(),
    ledger: z.strictObject({ rows: count, scored: count, quarantined: count, filtered: count }),
    judged: z
      .strictObject({
        rows: count,
        partitions: count,
        day: z
          .string()
          .nullable()
          .describe('The day that the columns are of, where days are judged one by one.'),
      })
      .nullable()
      .describe('What was judged: what the run publishes anew.'),
    baseline: z
      .strictObject({ label: z.string(), rows: count, partitions: z.array(z.string()) })
      .nullable(),
    reason: z.string().nullable().describe('Why there is no baseline.'),
    gates: z.array(gateSchema),
    days: z
      .array(daySchema)
      .optional()
      .describe('Every day by itself, where more than one was judged.'),
    columns: z.array(columnSchema),
    flips: flipsSchema
      .nullable()
      .describe('What changed for the same key; null where it was not compared.'),
    explanation: explanationSchema
      .nullable()
      .describe('Why scores moved; null without a baseline, or where the job keeps no sample.'),
  })
  .meta({
    title: 'scoreline report',
    description: 'What a run of scoreline scored, and how it differs from before.',
  });

/** What `report.json` says. */
export type QualityReport = z.infer<typeof qualitySchema>;

/** The report that a text holds; undefined when it is none of this format. */
export function parseQuality(text: string): QualityReport | undefined {
  try {
    return qualitySchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

/** How likely a change of a column is by chance, as far as the report says it; those of before said it of the bins alone. */
export function chanceOf({
  p,
  chiSquared,
}: NonNullable<QualityReport['columns'][number]['change']>): number {
  return p ?? chiSquared?.p ?? 1;
}

/** The day that the baseline, the columns and the reasons of a report are of; undefined where it goes by no days. */
export function dayWords({ judged, days }: QualityReport): string | undefined {
  if (judged?.day == null) return undefined;
  if (days === undefined) return judged.day;
  const which = days.some(({ verdict }) => verdict !== 'pass') ? 'the worst' : 'the last';
  return `${judged.day}, ${which} of ${days.length} days`;
}

/** A report as the text of its file. */
export function reportText(report: QualityReport): string {
  return `${JSON.stringify(report, undefined, 1)}\n`;
}

/** The JSON Schema of `report.json`, as docs/report.schema.json has it. */
export function qualityJsonSchema(): unknown {
  return z.toJSONSchema(qualitySchema);
}
