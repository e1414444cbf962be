/** The schema of an explanation: why scores moved, as `report.json` and `scoreline compare --json` have it. */
import * as z from 'zod';

const count = z.int().nonnegative();
/** Of what numbers cannot say there is nothing. */
const number = z.number().nullable();

const part = {
  change: number.describe('What it adds to the change, in the unit of the measure.'),
  error: number.describe('The standard error: only a sample was looked at.'),
};

const causeSchema = z.strictObject({
  kind: z.enum(['nulls', 'new', 'gone']).describe('Missing values, or a category.'),
  value: z.string().nullable(),
  before: z.number().describe('The share of rows that have it.'),
  now: z.number(),
});

const keyPart = z.strictObject({
  share: z.number().describe('Of the rows of its side.'),
  change: number,
});

const changeSchema = z.strictObject({
  column: z.string().describe('The prediction.'),
  measure: z.enum(['mean', 'quantile', 'rate']).describe('rate: the share of rows of one label.'),
  share: z.number().nullable().describe('Of a quantile: 0.95.'),
  label: z.string().nullable(),
  verdict: z
    .enum(['moved', 'nothing', 'unclear', 'offset'])
    .describe(
      'unclear: too little to tell from chance; offset: parts that are large cancel each other.',
    ),
  sentence: z.string(),
  before: number.describe('Of all rows.'),
  now: number,
  ...part,
  rows: z.strictObject(part).describe('The part of the rows: all features together.'),
  model: z.strictObject(part).describe('The part of the model.'),
  parts: z
    .array(
      z.strictObject({
        kind: z.enum(['feature', 'model', 'others', 'rows']),
        name: z.string(),
        ...part,
      }),
    )
    .describe('As the sentence names them, the largest first; they add up to the change.'),
  features: z
    .array(
      z.strictObject({
        features: z.array(z.string()).describe('More than one: those that move together.'),
        ...part,
        cause: causeSchema.nullable(),
      }),
    )
    .describe('The largest first; they add up to the part of the rows.'),
  keys: z
    .strictObject({ came: keyPart, went: keyPart, changed: keyPart })
    .nullable()
    .describe('What became of keys; null where rows have none, or none is on both sides.'),
  segments: z
    .array(
      z.strictObject({
        column: z.string(),
        category: z.string().nullable(),
        before: z.number().describe('Its share of the rows.'),
        now: z.number(),
        meanBefore: number,
        meanNow: number,
        within: number.describe('What of its change is in the scores of its own rows.'),
        ...part,
      }),
    )
    .describe('By category of kept columns, the largest first: of the sample.'),
});

/** The schema of an explanation. */
export const explanationSchema = z
  .strictObject({
    verdict: z
      .enum(['moved', 'nothing', 'unclear', 'offset', 'none'])
      .describe('That of the first change; none: nothing was explained.'),
    sentence: z.string().nullable(),
    reason: z.string().nullable().describe('Why nothing is explained.'),
    notes: z.array(z.string()),
    sampled: z.strictObject({ before: count, now: count }).nullable(),
    sameModel: z.boolean().nullable(),
    orders: z
      .enum(['both', 'rows-first', 'model-first'])
      .nullable()
      .describe('In which orders rows and model were put in each other’s place.'),
    matched: z.boolean().nullable().describe('Whether rows of the same key were held together.'),
    scored: count.nullable().describe('How many rows were scored for it.'),
    ms: z.number().nullable(),
    changes: z.array(changeSchema).describe('The one that matters most first.'),
  })
  .describe('Why scores moved.');

/** An explanation. */
export type Explanation = z.infer<typeof explanationSchema>;
